"""Memory, and what a test observes itself, against a baseline or a base: almost deterministic, so without statistics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pytest_perfguard.core.model import Finding, Samples, Verdict
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.engine.verdict.metric_comparison import MetricComparison, finding

TOLERANCE: Final = 0.02
#: Nearly a block per iteration: one that is kept by every call is growth; caches and tables that fill are not.
BLOCKS_FLOOR: Final = 0.9
#: Processes that settle it, against the ten or more of a baseline.
MEMORY_PROCESSES: Final = 3
#: And in pairs: all heads lie above all bases of identical code with a chance of 1 in 924.
MEMORY_PAIRS: Final = 6
#: Pairs that take the passes for memory in any case.
MIN_MEMORY_PAIRS: Final = 2


def judge_memory(case: MetricComparison, least: int = MEMORY_PROCESSES) -> Finding | None:
    """Worse where even the lowest process is above the highest of the baseline, better the other way round.

    It takes `least` processes to call it worse.
    """
    base, now = case.base.medians, case.now.medians
    tolerance, floor = _allowance(case.base.unit, case.settings)
    limit = _limit(base, case.base.unit, case.settings)
    interval = (min(now) / max(base), max(now) / min(base)) if min(base) > 0 else None
    if min(now) <= limit:
        better = max(now) < min(min(base) / (1 + tolerance), min(base) - floor)
        return finding(case, Verdict.IMPROVEMENT if better else Verdict.UNCHANGED, limit, interval=interval)
    if len(now) >= least:
        return finding(case, Verdict.REGRESSION, limit, interval=interval)
    if not case.final:
        return None
    reason = f"higher in each of the {len(now)} processes that the budget allowed, of at least {least}"
    return finding(case, Verdict.INCONCLUSIVE, limit, reason, interval=interval)


def is_higher(base: Samples, now: Samples, settings: Settings) -> bool:
    """Is every process so far above what is allowed? Times are judged elsewhere: False."""
    return base.unit != "s" and min(now.medians) > _limit(base.medians, base.unit, settings)


def _limit(base: Sequence[float], unit: str, settings: Settings) -> float:
    tolerance, floor = _allowance(unit, settings)
    return max(max(base) * (1 + tolerance), max(base) + floor)


def _allowance(unit: str, settings: Settings) -> tuple[float, float]:
    """Return the relative and the absolute difference that does not matter."""
    floor = {"B": settings.floor.bytes, "blocks": BLOCKS_FLOOR}.get(unit, 0.0)
    return (TOLERANCE if unit else settings.threshold), floor
