"""Data of the plots in the HTML page, as plain objects: the script that draws them knows nothing of verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from pytest_perfguard.core.model import Finding
from pytest_perfguard.core.text import plural
from pytest_perfguard.core.units import format_change, is_factor
from pytest_perfguard.engine.history.trends import Trend
from pytest_perfguard.engine.report.document import MetricSides, ReportedTest, stats_data

#: The largest ratio that an axis shows.
_MAX_RATIO: Final = 1e9


def plots_of(entry: ReportedTest, trends: Sequence[Trend]) -> list[dict[str, object]]:
    """Return the plots of one test: the pairs and both sides of each metric, then its history."""
    findings = {finding.name: finding for finding in entry.comparison.findings}
    plots: list[dict[str, object]] = []
    for name, sides in entry.sides.items():
        finding = findings.get(name)
        if finding is None or not any(sides.candidate.minima):
            continue
        if len(sides.log_ratios) > 1:
            plots.append(_pairs(finding, sides))
        plots.append(_sides(finding, sides))
    return [*plots, *(_history(trend) for trend in trends if len(trend.points) > 1)]


def _pairs(finding: Finding, sides: MetricSides) -> dict[str, object]:
    """Return all numbers on the scale of the estimate: percentages, or factors where the estimate is one."""
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


def _sides(finding: Finding, sides: MetricSides) -> dict[str, object]:
    return {
        "kind": "sides",
        "title": f"{finding.name}: {'both sides' if sides.baseline else 'measured values'}",
        "unit": finding.unit,
        "sides": list(_both_sides(sides)),
        "limit": finding.limit,
    }


def _both_sides(sides: MetricSides) -> Iterator[dict[str, object]]:
    for name, stats in (("baseline", sides.baseline), ("now", sides.candidate)):
        if stats is not None:
            yield {"name": name, **stats_data(stats)}


def _history(trend: Trend) -> dict[str, object]:
    return {
        "kind": "track",
        "title": f"{trend.metric}: history of {plural(len(trend.points), 'recording')}",
        "unit": trend.unit,
        "labels": [point.label for point in trend.points],
        "values": [point.value for point in trend.points],
        "steps": [
            {"index": step.index, "worse": step.ratio > 1, "text": format_change(step.ratio)} for step in trend.steps
        ],
        "anchor": trend.anchor,
    }


def _percent(ratio: float) -> float:
    return round((min(ratio, _MAX_RATIO) - 1) * 100, 3)


def _factor(ratio: float) -> float:
    return float(f"{min(ratio, _MAX_RATIO):.6g}")
