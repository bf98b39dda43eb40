"""Box plot of a group as SVG: boxes from quartile to quartile, whiskers to the last values within 1.5 interquartile ranges."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from pytest_perfguard.compat.grouping import Row
from pytest_perfguard.core.json_values import as_number
from pytest_perfguard.core.text import plural

_LEFT: Final = 80
_TOP: Final = 40
_HEIGHT: Final = 320
_STEP: Final = 70
_LABELS: Final = 160
_TICKS: Final = 5
_STYLE: Final = "font-family: monospace; font-size: 11px"


def box_plot(title: str, rows: Sequence[Row], names: Sequence[str], unit: str, factor: float) -> str:
    """Return the plot as SVG. `factor` converts seconds to `unit`; results of saved runs are grey."""
    low = min(as_number(row["min"]) for row in rows) * factor
    high = max(as_number(row["hd15iqr"]) for row in rows) * factor
    span = (high - low) or 1.0

    def y(seconds: float) -> float:
        return _TOP + _HEIGHT * (1 - (min(seconds * factor, high) - low) / span)

    width, height = _LEFT + _STEP * len(rows) + 20, _TOP + _HEIGHT + _LABELS
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" style="{_STYLE}">',
        f'<text x="{_LEFT}" y="20">{escape(title)} ({escape(unit)})</text>',
        *_axis(low, span, width),
    ]
    for index, (row, name) in enumerate(zip(rows, names, strict=True)):
        lines += _box(
            row, name, _LEFT + _STEP * index + _STEP / 2, [y(as_number(row[key])) for key in _POINTS], factor, unit
        )
    return "\n".join([*lines, "</svg>", ""])


_POINTS: Final = ("ld15iqr", "q1", "median", "q3", "hd15iqr")


def _axis(low: float, span: float, width: float) -> list[str]:
    lines = []
    for tick in range(_TICKS + 1):
        at = _TOP + _HEIGHT * (1 - tick / _TICKS)
        lines.append(f'<line x1="{_LEFT}" y1="{at:.1f}" x2="{width - 20}" y2="{at:.1f}" stroke="#ddd"/>')
        lines.append(
            f'<text x="{_LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{low + span * tick / _TICKS:.3f}</text>'
        )
    return lines


def _box(row: Row, name: str, x: float, points: Sequence[float], factor: float, unit: str) -> list[str]:
    bottom, q1, median, q3, top = points
    fill = "#bbb" if row.get("path") else "#7aa6da"
    details = ", ".join(f"{key} {as_number(row[key]) * factor:.4f} {unit}" for key in ("min", *_POINTS, "max"))
    label = f'x="{x:.1f}" y="{_TOP + _HEIGHT + 14}" transform="rotate(60 {x:.1f} {_TOP + _HEIGHT + 14})"'
    return [
        f"<g><title>{escape(str(row['fullname']))}: {escape(details)}, {plural(int(as_number(row['rounds'])), 'round')}</title>",
        f'<line x1="{x:.1f}" y1="{bottom:.1f}" x2="{x:.1f}" y2="{top:.1f}" stroke="#444"/>',
        f'<rect x="{x - 18:.1f}" y="{q3:.1f}" width="36" height="{max(1.0, q1 - q3):.1f}" fill="{fill}" stroke="#444"/>',
        f'<line x1="{x - 18:.1f}" y1="{median:.1f}" x2="{x + 18:.1f}" y2="{median:.1f}" stroke="#000" stroke-width="2"/>',
        f"<text {label}>{escape(name)}</text></g>",
    ]
