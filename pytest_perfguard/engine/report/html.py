"""The HTML report: one file that opens offline, the most severe tests first.

All text from tests and users passes through `escape`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from importlib import resources
from typing import Final

from pytest_perfguard.core.model import Comparison, Finding, Unjudged
from pytest_perfguard.core.units import format_amount, format_change, format_duration
from pytest_perfguard.engine.history.trends import Trend
from pytest_perfguard.engine.report.document import Report, ReportedTest
from pytest_perfguard.engine.report.flame import icicle_svg
from pytest_perfguard.engine.report.markup import escape, tag
from pytest_perfguard.engine.report.plot_data import plots_of
from pytest_perfguard.engine.report.text import (
    change_cell,
    change_in_words,
    counts_in_words,
    each_reason_once,
    interval_cell,
    leading_finding,
    most_severe_first,
    smallest_in_words,
)

_TITLES: Final = {
    "history": "history of",
    "measure": "measured",
    "baseline": "recorded",
    "compare": "compared with",
    "against": "measured side by side with",
}

#: The largest change on the axis of an interval, as the logarithm of a ratio: the axis runs from half to twice.
REACH: Final = math.log(2)
_WIDTH: Final = 200
_HEIGHT: Final = 24
#: Space for a mark at the end of the axis.
_EDGE: Final = 6


def html_report(report: Report, trends: Sequence[Trend] = ()) -> str:
    """Return the text of the page; `trends` are the histories of its tests."""
    by_test: dict[str, list[Trend]] = {}
    for trend in trends:
        by_test.setdefault(trend.nodeid, []).append(trend)
    entries = most_severe_first(report.entries, key=lambda entry: entry.comparison)
    plots = [plots_of(entry, by_test.get(entry.nodeid, ())) for entry in entries]
    template = _asset("page.html")
    parts = {
        "title": escape(f"perfguard: {counts_in_words(report.summary)}"),
        "style": _asset("page.css"),
        "heading": _heading(report),
        "chips": "".join(_chip(word, count) for word, count in report.summary.items()),
        "tests": "\n".join(_test(entry, index, plots[index]) for index, entry in enumerate(entries)),
        "plots": _embedded(plots),
        "kind": "compared" if _is_compared(report) else "measured",
        "columns": _columns(report),
        "plotting": _asset("plots.js"),
        "script": _asset("page.js"),
    }
    # One pass: a test named like a placeholder must not be replaced.
    pieces = template.split("@@")
    return "".join(parts[piece] if index % 2 else piece for index, piece in enumerate(pieces))


def _asset(name: str) -> str:
    return (resources.files("pytest_perfguard.engine.report") / "assets" / name).read_text(encoding="utf-8")


def _embedded(data: object) -> str:
    """Return JSON for a script element. `</script>` in a test's name must not end the element."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _heading(report: Report) -> str:
    facts = report.machine.facts
    rows = {
        "mode": f"{_TITLES[report.mode]} {report.against}".strip(),
        "commit": report.commit,
        "at": report.at,
        "machine": f"{facts.get('cpu', '')}, {facts.get('cpus', '?')} CPUs, {facts.get('system', '')}".strip(", "),
        "Python": str(facts.get("python_version", "")),
    }
    listed = "".join(f"<div><dt>{name}</dt><dd>{escape(text)}</dd></div>" for name, text in rows.items() if text)
    interrupted = [] if report.complete else ["The run was interrupted: tests are missing."]
    remarks = "".join(tag("p", escape(text), class_="remark") for text in (*interrupted, *report.notes))
    return f"<h1>{escape(counts_in_words(report.summary))}</h1>{remarks}<dl>{listed}</dl>"


def _is_compared(report: Report) -> bool:
    """Return whether any test has something that it was compared with."""
    return any(finding.baseline is not None for entry in report.entries for finding in entry.comparison.findings)


def _columns(report: Report) -> str:
    """Return the titles of the columns; those of a comparison only where there is one."""
    titles = [tag("span", "verdict"), tag("span", "test")]
    if _is_compared(report):
        titles += [
            tag("span", "time before → now", class_="right"),
            tag("span", interval_scale()),
            tag("span", "change", class_="right"),
        ]
    else:
        titles.append(tag("span", "time", class_="right"))
    return "".join([*titles, tag("span", "memory", class_="right")])


def _chip(word: str, count: int) -> str:
    return tag("button", f"{escape(word)} {count}", class_=f"chip {word}", type="button", data_verdict=word)


def _test(entry: ReportedTest, index: int, plots: Sequence[object]) -> str:
    comparison = entry.comparison
    time = leading_finding(comparison, "time", "cpu", "instructions")
    memory = leading_finding(comparison, "memory")
    word = str(comparison.outcome)
    summary = "".join(
        [
            badge(word),
            tag("span", escape(entry.nodeid), class_="name"),
            tag("span", amounts(time), class_="amounts"),
            tag("span", interval_bar(time), class_="interval-cell"),
            tag("span", escape(change_cell(time)), class_="change"),
            tag("span", _memory(memory), class_="memory"),
        ]
    )
    return tag(
        "details",
        f"<summary>{summary}</summary>{_panel(entry, drawn=bool(plots))}",
        class_=f"test {word}",
        data_index=index,
        data_nodeid=entry.nodeid,
        data_verdict=word,
        data_change=_sortable(time.change if time else None),
        data_time=_sortable(time.candidate if time else None),
        data_memory=_sortable(memory.change if memory else None),
        data_seconds=_sortable(comparison.measurement.seconds),
    )


def _memory(finding: Finding | None) -> str:
    if finding is None:
        return ""
    return escape(f"memory {change_cell(finding) or format_amount(finding.candidate, finding.unit)}")


def _panel(entry: ReportedTest, *, drawn: bool) -> str:
    comparison = entry.comparison
    parts = [tag("div", _findings(comparison), class_="scroll")] if comparison.findings else []
    if drawn:
        parts.append('<div class="plots"></div>')
    if entry.lines:
        parts.append(tag("pre", escape("\n".join(entry.lines))))
    elif comparison.broken or comparison.reason:
        parts.append(tag("pre", escape(comparison.broken or comparison.reason)))
    if comparison.explanation is not None:
        parts += [tag("div", icicle_svg(flame), class_="scroll") for flame in comparison.explanation.flames]
    notes = [_extent(comparison), *comparison.measurement.notes]
    if comparison.pairing is not None and comparison.pairing.why:
        notes.append(f"measured side by side, because: {comparison.pairing.why}")
    parts.append(tag("ul", "".join(f"<li>{escape(line)}</li>" for line in notes), class_="notes"))
    return tag("div", "".join(parts), class_="panel")


def _extent(comparison: Comparison) -> str:
    measurement, pairing = comparison.measurement, comparison.pairing
    unit = "pairs of processes" if pairing is not None else "processes"
    beside = f", beside {pairing.revision}" if pairing is not None else ""
    return f"{measurement.processes} {unit}, {format_duration(measurement.seconds)} of measuring{beside}"


def _findings(comparison: Comparison) -> str:
    head = "".join(
        f"<th>{name}</th>" for name in ("metric", "before", "now", "change", "interval", "allowed", "verdict")
    )
    rows = "".join(_finding_row(finding) for finding in each_reason_once(comparison.findings))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _finding_row(finding: Finding) -> str:
    cells = [
        finding.name,
        format_amount(finding.baseline, finding.unit) if finding.baseline is not None else "",
        format_amount(finding.candidate, finding.unit),
        change_cell(finding),
        interval_cell(finding),
        format_amount(finding.limit, finding.unit) if finding.limit is not None else "",
    ]
    last = badge(str(finding.verdict)) if finding.verdict else ""
    lines = [finding.reason, *finding.details]
    if finding.smallest is not None:
        lines.append(smallest_in_words(finding.smallest))
    why = "".join(f"<div class='why'>{escape(line)}</div>" for line in lines if line)
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + f"<td>{last}{why}</td></tr>"


def _sortable(value: float | None) -> str:
    """Return the number as the page's script parses it."""
    if value is None:
        return ""
    return "Infinity" if math.isinf(value) else f"{value:.9g}"


def badge(word: str) -> str:
    """Return an outcome as a coloured word."""
    return tag("span", escape(word), class_=f"badge {word}")


def amounts(finding: Finding | None) -> str:
    """Return `12.3 us → 25.1 us`."""
    if finding is None:
        return ""
    now = escape(format_amount(finding.candidate, finding.unit))
    if finding.baseline is None:
        return now
    return f"{escape(format_amount(finding.baseline, finding.unit))} → {now}"


def interval_bar(finding: Finding | None) -> str:
    """Return an inline SVG: the interval of the ratio and the limit, on a logarithmic axis from half to twice."""
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
        f'<svg class="bar {finding.verdict or Unjudged.MEASURED}" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
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
    """Return the position of a ratio on the axis, limited to its ends."""
    position = math.log(ratio) / REACH if ratio > 0 else -1.0
    return round(_EDGE + (min(1.0, max(-1.0, position)) + 1) / 2 * (_WIDTH - 2 * _EDGE), 1)
