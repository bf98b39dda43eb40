"""Pieces of the HTML page. Whatever a test or a user wrote passes through `escape`."""

from __future__ import annotations

import html
import math
from typing import Final

from pytest_perfguard.core.model import Finding
from pytest_perfguard.core.text import printable
from pytest_perfguard.core.units import format_amount, format_change
from pytest_perfguard.engine.report.change_text import change_in_words

#: What the axis of an interval shows at most, as the logarithm of a ratio: from half to twice.
REACH: Final = math.log(2)
_WIDTH: Final = 200
_HEIGHT: Final = 24
#: Room for a mark at the end of the axis.
_EDGE: Final = 6


def escape(text: str) -> str:
    """Text for HTML: its special characters escaped, its control characters made visible."""
    return html.escape("\n".join(printable(line) for line in text.split("\n")))


def tag(name: str, content: str = "", **attributes: object) -> str:
    """An element around `content`, which is HTML; `class_` and `data_x` stand for `class` and `data-x`."""
    named = {key.strip("_").replace("_", "-"): value for key, value in attributes.items()}
    text = "".join(f' {key}="{escape(str(value))}"' for key, value in named.items())
    return f"<{name}{text}>{content}</{name}>"


def badge(word: str) -> str:
    """A verdict as a coloured word."""
    return tag("span", escape(word), class_=f"badge {word}")


def amounts(finding: Finding | None) -> str:
    """`12.3 us → 25.1 us`."""
    if finding is None:
        return ""
    now = escape(format_amount(finding.candidate, finding.unit))
    if finding.baseline is None:
        return now
    return f"{escape(format_amount(finding.baseline, finding.unit))} → {now}"


def interval_bar(finding: Finding | None) -> str:
    """The interval of the ratio on a logarithmic axis from half to twice, against the threshold, as inline SVG."""
    if finding is None or finding.ratio is None or finding.ratio <= 0 or finding.baseline is None:
        return ""
    low, high = finding.interval or (finding.ratio, finding.ratio)
    begin, end = _place(low), _place(high)
    allowed = _place(finding.limit / finding.baseline) if finding.limit and finding.baseline > 0 else None
    parts = [
        f'<line class="axis" x1="0" x2="{_WIDTH}" y1="12" y2="12"/>',
        f'<line class="same" x1="{_place(1.0)}" x2="{_place(1.0)}" y1="3" y2="21"/>',
        f'<rect class="interval" x="{begin}" y="6" width="{max(2.0, round(end - begin, 1))}" height="12" rx="3"/>',
        f'<circle class="estimate" cx="{_place(finding.ratio)}" cy="12" r="5"/>',
    ]
    if allowed is not None:
        parts.insert(2, f'<line class="allowed" x1="{allowed}" x2="{allowed}" y1="1" y2="23"/>')
    title = change_in_words(finding, interval=True)
    if allowed is not None:
        title += f", allowed {format_change((finding.limit or 0.0) / finding.baseline, like=finding.ratio)}"
    return (
        f'<svg class="bar {finding.verdict or "measured"}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


def interval_scale() -> str:
    """Return the scale of the interval bars: half, the same, twice."""
    labels = [(0.5, "start", "0.5x"), (1.0, "middle", "same"), (2.0, "end", "2x")]
    texts = "".join(
        f'<text x="{_place(ratio)}" y="15" text-anchor="{anchor}">{label}</text>' for ratio, anchor, label in labels
    )
    return f'<svg class="bar" viewBox="0 0 {_WIDTH} {_HEIGHT}">{texts}</svg>'


def _place(ratio: float) -> float:
    """Where a ratio lies on the axis, kept inside of it."""
    position = math.log(ratio) / REACH if ratio > 0 else -1.0
    return round(_EDGE + (min(1.0, max(-1.0, position)) + 1) / 2 * (_WIDTH - 2 * _EDGE), 1)
