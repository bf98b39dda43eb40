"""Data of the plots in the HTML page, as plain objects: the script that draws them knows nothing of verdicts and units."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Final, TypeAlias

from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Finding, Unjudged, Verdict
from pytest_perfguard.core.units import is_factor
from pytest_perfguard.engine.report.document import MetricSides, ReportedTest

_InSteps: TypeAlias = Callable[[Iterable[float]], list[int]]
#: The largest ratio that an axis shows.
_MAX_RATIO: Final = 1e9
#: Number of steps in the middle half of the amounts: a plot shows no smaller differences.
_STEPS: Final = 50
#: Outcomes of which only the first metric is drawn: nothing is the matter with them.
_QUIET: Final = (Verdict.UNCHANGED, Verdict.NEW, Unjudged.MEASURED)
#: Largest amount in seconds that is shown in this unit, and its length.
_TIMES: Final = ((1.0, "s"), (1e-3, "ms"), (1e-6, "us"), (0.0, "ns"))


def plots_of(entry: ReportedTest) -> list[dict[str, object]]:
    """Return the plots of one test: the pairs and both sides of each metric; of the first one for a test without findings."""
    findings = {finding.name: finding for finding in entry.comparison.findings}
    drawn = [name for name, sides in entry.sides.items() if name in findings and any(sides.candidate.minima)]
    shown = drawn[:1] if entry.comparison.outcome in _QUIET else drawn
    plots: list[dict[str, object]] = []
    for name in shown:
        if len(entry.sides[name].log_ratios) > 1:
            plots.append(_pairs(findings[name], entry.sides[name]))
        plots.append(_sides(findings[name], entry.sides[name]))
    return plots


def _pairs(finding: Finding, sides: MetricSides) -> dict[str, object]:
    """Return all numbers on the scale of the estimate: percentages, or factors where the estimate is one."""
    factors = is_factor(1.0 if finding.ratio is None else finding.ratio)
    scaled = _factor if factors else _percent
    return {
        "kind": "pairs",
        "title": f"{finding.name}: change in each pair of processes",
        "factors": factors,
        "changes": [scaled(math.exp(ratio)) for ratio in sides.log_ratios],
        "interval": [scaled(bound) for bound in finding.interval] if finding.interval else None,
        "allowed": scaled(finding.limit / finding.baseline) if finding.limit and finding.baseline else None,
    }


def _sides(finding: Finding, sides: MetricSides) -> dict[str, object]:
    """Return amounts in ascending order, each as a whole number of steps from the one before: a third of the room of decimals."""
    both = [("before", sides.baseline), ("now", sides.candidate)]
    there = [(name, stats) for name, stats in both if stats is not None]
    amounts = [(*stats.minima, *stats.medians) for _name, stats in there]
    factor, unit = _scale(max(map(max, amounts)), finding.unit)
    first, step = float(f"{min(map(min, amounts)):.5g}"), _step(amounts)

    def steps(values: Iterable[float]) -> list[int]:
        places = [0, *(round((value - first) / step) for value in sorted(values))]
        return [after - before for before, after in pairwise(places)]

    return {
        "kind": "sides",
        "title": f"{finding.name}: {'both sides' if sides.baseline else 'measured values'}",
        "unit": unit,
        "first": float(f"{first * factor:.5g}"),
        "step": float(f"{step * factor:.3g}"),
        "sides": [{"name": name, **_side(stats, steps)} for name, stats in there],
        "limit": float(f"{finding.limit * factor:.4g}") if finding.limit is not None else None,
    }


def _side(stats: MetricStats, steps: _InSteps) -> dict[str, object]:
    """Return minima and medians of the processes, and the quantiles at 5, 25, 50, 75 and 95 % of all rounds."""
    return {
        "minima": steps(stats.minima),
        "medians": steps(stats.medians),
        "quantiles": steps(stats.quantiles[1:-1]),
    }


def _step(sides: Sequence[Sequence[float]]) -> float:
    """Return the size of a step: a fiftieth of the spread of the middle half of the amounts of the steadier side.

    At least a hundred thousandth of the largest amount.
    """
    quarters = [statistics.quantiles(values, n=4) for values in sides if len(values) > 1]
    spreads = [ends[-1] - ends[0] for ends in quarters if ends[-1] > ends[0]]
    least = max(max(values) for values in sides) * 1e-5
    return float(f"{max(min(spreads, default=0.0) / _STEPS, least):.3g}") or 1.0


def _scale(largest: float, unit: str) -> tuple[float, str]:
    """Return the factor by which amounts are multiplied, and the name of the unit that they have then."""
    if unit != "s":
        return 1.0, "bytes" if unit == "B" else unit
    least, name = next(entry for entry in _TIMES if largest >= entry[0])
    return 1 / (least or 1e-9), name


def _percent(ratio: float) -> float:
    return round((min(ratio, _MAX_RATIO) - 1) * 100, 1)


def _factor(ratio: float) -> float:
    return float(f"{min(ratio, _MAX_RATIO):.4g}")
