"""Judge memory, and values that a test observes itself: almost deterministic, hence without statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Finding, Verdict
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.engine.verdict.metric_comparison import MetricComparison

TOLERANCE: Final = 0.02
#: Nearly one block per iteration: a block kept by every call is growth; caches and tables that fill up are not.
BLOCKS_FLOOR: Final = 0.9
#: Processes that settle a comparison with the ten or more of a baseline.
MEMORY_PROCESSES: Final = 3
#: Pairs that settle a comparison: all heads lie above all bases of identical code with a chance of 1 in 924.
MEMORY_PAIRS: Final = 6
#: Pairs that measure memory in any case.
MIN_MEMORY_PAIRS: Final = 2


def judge_memory(metric: MetricComparison, min_processes: int = MEMORY_PROCESSES) -> Finding | None:
    """Return the finding on a metric that is no time; None while another process may settle it.

    The metric is worse where even the lowest process is above the highest of the baseline, in at least `min_processes`;
    better the other way round.
    """
    base, now = metric.base.medians, metric.now.medians
    tolerance, floor = _allowance(metric.base.unit, metric.settings)
    limit = _limit(base, metric.base.unit, metric.settings)
    interval = (min(now) / max(base), max(now) / min(base)) if min(base) > 0 else None
    if min(now) <= limit:
        better = max(now) < min(min(base) / (1 + tolerance), min(base) - floor)
        return metric.finding(Verdict.IMPROVEMENT if better else Verdict.UNCHANGED, limit, interval=interval)
    if len(now) >= min_processes:
        return metric.finding(Verdict.REGRESSION, limit, interval=interval)
    if not metric.final:
        return None
    where = "the only process" if len(now) == 1 else f"each of the {len(now)} processes"
    reason = f"higher in {where} that the budget allowed, of at least {min_processes}"
    return metric.finding(Verdict.INCONCLUSIVE, limit, reason, interval=interval)


def is_higher(base: MetricStats, now: MetricStats, settings: Settings) -> bool:
    """Return whether every process so far is above the limit. Times are judged elsewhere: False."""
    return base.unit != "s" and min(now.medians) > _limit(base.medians, base.unit, settings)


def _limit(base: Sequence[float], unit: str, settings: Settings) -> float:
    tolerance, floor = _allowance(unit, settings)
    return max(max(base) * (1 + tolerance), max(base) + floor)


def _allowance(unit: str, settings: Settings) -> tuple[float, float]:
    """Return the relative and the absolute difference that does not matter."""
    floor = {"B": settings.floor.bytes, "blocks": BLOCKS_FLOOR}.get(unit, 0.0)
    return (TOLERANCE if unit else settings.threshold), floor
