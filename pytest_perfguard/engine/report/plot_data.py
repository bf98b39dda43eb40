"""What the page's plots show, as plain data: the script that draws them knows nothing of verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from pytest_perfguard.core.model import Finding
from pytest_perfguard.core.units import format_change, is_factor
from pytest_perfguard.engine.history.trends import Trend
from pytest_perfguard.engine.report.document import Entry, Sides, Spread

#: A ratio to something that is nearly nothing is more than an axis shows.
_LARGEST: Final = 1e9


def plots_of(entry: Entry, tracks: Sequence[Trend]) -> list[dict[str, object]]:
    """The plots of one test: the pairs and both sides of each metric, then its history."""
    findings = {finding.name: finding for finding in entry.comparison.findings}
    plots: list[dict[str, object]] = []
    for name, sides in entry.sides.items():
        finding = findings.get(name)
        if finding is None or not any(sides.candidate.minima):
            continue
        if len(sides.log_ratios) > 1:
            plots.append(_pairs(finding, sides))
        plots.append(_sides(finding, sides))
    return [*plots, *(_track(track) for track in tracks if len(track.points) > 1)]


def _pairs(finding: Finding, sides: Sides) -> dict[str, object]:
    """All numbers on the scale of the estimate: percentages, or factors where it is one."""
    estimate = 1.0 if finding.ratio is None else finding.ratio
    factors = is_factor(estimate)
    scaled = _factor if factors else _percent
    return {
        "kind": "pairs",
        "title": f"{finding.name}: change in each pair of processes",
        "axis": "now / before" if factors else "change in %",
        "same": scaled(1.0),
        "changes": [scaled(math.exp(ratio)) for ratio in sides.log_ratios],
        "texts": [format_change(math.exp(ratio), like=estimate) for ratio in sides.log_ratios],
        "interval": [scaled(bound) for bound in finding.interval] if finding.interval else None,
        "estimate": scaled(finding.ratio) if finding.ratio is not None else None,
        "allowed": scaled(finding.limit / finding.baseline) if finding.limit and finding.baseline else None,
    }


def _sides(finding: Finding, sides: Sides) -> dict[str, object]:
    return {
        "kind": "sides",
        "title": f"{finding.name}: {'both sides' if sides.baseline else 'what was measured'}",
        "unit": finding.unit,
        "sides": list(_spreads(sides)),
        "limit": finding.limit,
    }


def _spreads(sides: Sides) -> Iterator[dict[str, object]]:
    for name, spread in (("baseline", sides.baseline), ("now", sides.candidate)):
        if spread is not None:
            yield {"name": name, **_spread(spread)}


def _spread(spread: Spread) -> dict[str, object]:
    return {
        "minima": list(spread.minima),
        "medians": list(spread.medians),
        "quantiles": list(spread.quantiles),
    }


def _track(track: Trend) -> dict[str, object]:
    return {
        "kind": "track",
        "title": f"{track.metric}: history of {len(track.points)} recordings",
        "unit": track.unit,
        "labels": [point.label for point in track.points],
        "values": [point.value for point in track.points],
        "steps": [
            {"index": step.index, "worse": step.ratio > 1, "text": format_change(step.ratio)} for step in track.steps
        ],
        "anchor": track.anchor,
    }


def _percent(ratio: float) -> float:
    return round((min(ratio, _LARGEST) - 1) * 100, 3)


def _factor(ratio: float) -> float:
    return float(f"{min(ratio, _LARGEST):.6g}")
