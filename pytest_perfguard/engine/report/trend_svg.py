"""The history of a metric as an SVG line: its recordings, its changes of level, the commits. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pytest_perfguard.core.units import format_amount, format_change
from pytest_perfguard.engine.history.trends import Trend
from pytest_perfguard.engine.report.markup import escape, tag

_WIDTH: Final = 640
_HEIGHT: Final = 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 28, 30, 62
#: Number of commits that are named below the line.
_MAX_LABELS: Final = 9
_MAX_LABEL: Final = 12
#: Values above this multiple of the median are drawn at the upper edge, so that they squeeze nothing.
_MAX_OUTLIER: Final = 4.0
_STEPS: Final = (1, 2, 2.5, 5, 10)


def no_address(_label: str) -> str:
    """Return no web address for any recording."""
    return ""


def trend_svg(trend: Trend, address: Callable[[str], str] = no_address) -> str:
    """Return a figure; `address` maps the label of a recording to the web address of its commit, or to an empty string."""
    top = _upper_end([point.value for point in trend.points], trend.anchor or 0.0)
    places = [(_across(index, len(trend.points)), _up(point.value, top)) for index, point in enumerate(trend.points)]
    title = f"{trend.metric}: {len(trend.points)} recordings"
    parts = [
        *_grid(trend, top),
        tag("polyline", points=" ".join(f"{x},{y}" for x, y in places), class_="line now"),
        *(_dot(trend, index, place, top) for index, place in enumerate(places)),
        *_steps(trend, places),
        *_labels(trend, places, address),
    ]
    svg = tag("svg", "".join(parts), viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img", aria_label=title)
    return tag("figure", f"<figcaption>{escape(title)}</figcaption>{svg}", class_="trend")


def _upper_end(values: Sequence[float], anchor: float) -> float:
    """Return the end of the axis: above all values but outliers."""
    ordered = sorted(values)
    bound = _MAX_OUTLIER * ordered[len(ordered) // 2]
    return max([value for value in (*values, anchor) if value <= bound] or [ordered[-1]]) * 1.15 or 1.0


def _across(index: int, count: int) -> float:
    return round(_LEFT + index / max(1, count - 1) * (_WIDTH - _LEFT - _RIGHT), 1)


def _up(value: float, top: float) -> float:
    return round(_HEIGHT - _BOTTOM - min(1.0, value / top) * (_HEIGHT - _TOP - _BOTTOM), 1)


def _grid(trend: Trend, top: float) -> Iterator[str]:
    rough = top / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in _STEPS if factor * power >= rough)
    for number in range(int(top / step) + 1):
        y = _up(number * step, top)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
        amount = escape(format_amount(number * step, trend.unit)) if number else "0"
        yield f'<text class="tick" x="{_LEFT - 8}" y="{y + 4}" text-anchor="end">{amount}</text>'
    if trend.anchor is not None:
        y = _up(trend.anchor, top)
        yield f'<line class="mark same" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
        yield f'<text class="mark-name same" x="{_WIDTH - _RIGHT}" y="{y - 5}" text-anchor="end">anchor</text>'


def _dot(trend: Trend, index: int, place: tuple[float, float], top: float) -> str:
    point, (x, y) = trend.points[index], place
    title = f"{point.label} {point.at[:10]}: {format_amount(point.value, trend.unit)}"
    shape = (
        f'<path class="dot filled now" d="M{x - 5},{y + 5}L{x},{y - 5}L{x + 5},{y + 5}Z">'
        if point.value > top
        else f'<circle class="dot filled now" cx="{x}" cy="{y}" r="3.4">'
    )
    return f"{shape}<title>{escape(title)}</title>{'</path>' if point.value > top else '</circle>'}"


def _steps(trend: Trend, places: Sequence[tuple[float, float]]) -> Iterator[str]:
    for step in trend.steps:
        x, y = places[step.index]
        kind = "worse" if step.ratio > 1 else "better"
        anchor = "end" if x > _WIDTH - 80 else "middle"
        yield f'<line class="step {kind}" x1="{x}" x2="{x}" y1="{y - 6}" y2="{max(_TOP - 12, y - 18)}"/>'
        text = escape(format_change(step.ratio))
        yield f'<text class="step-name {kind}" x="{x}" y="{max(_TOP - 14, y - 22)}" text-anchor="{anchor}">{text}</text>'


def _labels(trend: Trend, places: Sequence[tuple[float, float]], address: Callable[[str], str]) -> Iterator[str]:
    every = math.ceil(len(places) / _MAX_LABELS)
    for index in range(0, len(places), every):
        label, x, y = trend.points[index].label, places[index][0], _HEIGHT - _BOTTOM + 16
        text = (
            f'<text class="tick" x="{x}" y="{y}" text-anchor="end" transform="rotate(-35 {x} {y})">'
            f"{escape(label[:_MAX_LABEL])}</text>"
        )
        target = address(label)
        yield tag("a", text, href=target) if target else text
