"""Against a stored baseline: the screen on minima (procedure A of docs/verdict.md).

Interference only ever slows code down, and some short round in some process meets the machine undisturbed. So the
minimum over many short rounds in many processes is the one stored statistic that holds still, and a test is cleared
as soon as one round comes down to its baseline. Only what never does, although the machine did reach its recorded
speed, is a regression.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from pytest_perfguard.judge.case import Case, finding
from pytest_perfguard.judge.comparable import other_conditions, other_points
from pytest_perfguard.judge.conclusion import concluded
from pytest_perfguard.judge.limits import over_budget
from pytest_perfguard.judge.looks import TAIL_THRESHOLD
from pytest_perfguard.judge.memory import judge_memory
from pytest_perfguard.judge.pace import at_full_pace
from pytest_perfguard.metrics import metric_kind, metric_order
from pytest_perfguard.model import Comparison, Finding, Measurement, Record, Verdict
from pytest_perfguard.settings import Settings
from pytest_perfguard.startup.import_tree import some_of
from pytest_perfguard.stats.robust import agreeing, precedence_rank
from pytest_perfguard.values import KINDS

#: After so many processes a difference that is beyond all doubts is told; after the last, or at the end of the budget, what
#: is still in doubt is inconclusive.
LOOKS: Final = (8, 12, 16, 20, 25, 30)
MOST_PROCESSES: Final = LOOKS[-1]
#: A longer call cannot fit into the machine's fast moments, so that its minimum holds less still.
LONG_CALL: Final = 2e-3
LONG_CALL_THRESHOLD: Final = 0.10
#: The calibration kernel's minimum repeats within about 1 %; beyond this the machine ran at another speed.
KERNEL_TOLERANCE: Final = 0.03
#: A call longer than this meets many speeds of the machine whatever the kernels beside it met.
PACED_CALL: Final = 20e-3
#: The two speeds of one virtual CPU, as measured: what a slow phase alone can do to a short series.
SPEED_STATES: Final = 1.6
#: A floor was found where so many processes came within this of the minimum.
FLOOR_AGREEMENT: Final = 0.02
FLOOR_PROCESSES: Final = 3
#: Too few processes to rank may all have been unlucky by so much, although the machine was at full pace.
FEW_PROCESSES: Final = 1.5
#: Chance that the rank test accuses identical code, per metric of a test, over all the looks at it.
ALPHA: Final = 0.001
#: A test that computes for this share of its time is as fast as the machine, whose pace is known; one that waits for a
#: disk or a peer has states of its own.
BUSY: Final = 0.95


def judge_stored(
    nodeid: str, record: Record, measurement: Measurement, settings: Settings, *, final: bool
) -> Comparison | None:
    """The verdict on one test, or None while another process may clear it; `final`: there will be no other."""
    measurement = _with_new_imports(record, measurement)
    wanted = {name for name in record.metrics if KINDS[metric_kind(name)].metric in settings.metrics}
    recorded_kinds = {metric_kind(name) for name in record.metrics}
    now = {name: taken for name, taken in measurement.samples.items() if metric_kind(name) in recorded_kinds}
    labels = {*record.iterations, *measurement.iterations}
    reason = other_points(wanted, set(now), labels) or other_conditions(record, measurement)
    if not wanted & set(now):
        reason = f"no metric in common: recorded {', '.join(record.metrics)}, wanted {', '.join(settings.metrics)}"
    if reason:
        return Comparison(nodeid, Verdict.INCOMPARABLE, (), measurement, reason)
    findings = [
        _judge(Case.of(name, record, measurement, settings, final=final))
        for name in sorted(wanted & set(now), key=metric_order)
    ]
    findings += over_budget(measurement, settings, final=final)
    return concluded(nodeid, findings, measurement)


def _with_new_imports(record: Record, measurement: Measurement) -> Measurement:
    """With a note that names the modules that were not imported when the baseline was recorded."""
    new = set(measurement.imports) - set(record.imports) if record.imports else set()
    if not new:
        return measurement
    note = f"imported now, and not when the baseline was recorded: {some_of(new)}"
    return replace(measurement, notes=(*measurement.notes, note))


def _judge(case: Case) -> Finding | None:
    return _judge_time(case) if case.base.unit == "s" else judge_memory(case)


def time_threshold(settings: Settings, seconds_per_call: float) -> float:
    """The relative threshold that a stored baseline can hold for a call of this length."""
    return max(settings.threshold, LONG_CALL_THRESHOLD) if seconds_per_call > LONG_CALL else settings.threshold


def _judge_time(case: Case) -> Finding | None:
    base, now = case.base.minimum, case.now.minimum
    threshold = time_threshold(case.settings, case.wall)
    if metric_kind(case.name) == "p95":
        threshold = max(threshold, TAIL_THRESHOLD)
    # CPU time matters in proportion to the time that the test takes: 300 us of CPU in a wait of 30 ms are held to 5 %
    # of the wait.
    margin = max(threshold * max(base, case.wall), case.settings.floor.seconds)
    limit = base + margin
    if now <= limit:
        return _cleared(case, limit, better=now < base - margin and _beyond_luck(case, base / (1 + threshold)))
    if base <= 0:
        return finding(case, Verdict.INCONCLUSIVE, limit, "the clock was too coarse for it when it was recorded")
    doubts = list(_doubts(case))
    smallest = limit / base * math.prod(factor for factor, _reason in doubts)
    if case.ratio > smallest and (case.final or case.measurement.processes in LOOKS):
        return finding(case, Verdict.REGRESSION, limit)
    if not case.final:
        return None
    _factor, reason = max(doubts)
    return finding(case, Verdict.INCONCLUSIVE, limit, reason, smallest)


def _beyond_luck(case: Case, bound: float) -> bool:
    """Is it better by more than the luck of one process, which the candidate may have as those of the baseline had?"""
    now = case.now.minimum
    return now < bound and now < bound / (_ranked_spread(case, MOST_PROCESSES) or FEW_PROCESSES)


def _doubts(case: Case) -> Iterator[tuple[float, str]]:
    """What else could have made every round slow: (by which factor at most, in words)."""
    if case.slowdown > 1 + KERNEL_TOLERANCE:
        yield (
            case.slowdown * SPEED_STATES,
            "the machine never reached its recorded speed: its calibration kernel took "
            f"{case.slowdown:.2f} times as long",
        )
    spread = max(unsettled_spread(case.base.minima), unsettled_spread(case.now.minima))
    if spread > 1 and case.measurement.busy < BUSY:
        yield spread**2, "it waits, and its processes found no common floor: a stored baseline cannot hold it closer"
    yield from _processes_differ(case)


def _processes_differ(case: Case) -> Iterator[tuple[float, str]]:
    """A process keeps the memory layout that it was dealt, so the baseline's minimum may be one process's luck.

    The rank test asks for more: that every process of the candidate lies above the k-th smallest of the baseline, both at
    full pace, which identical code does with a probability of ALPHA divided by the number of looks (Bonferroni).
    """
    paced = sum(at_full_pace(case.measurement.paces, case.record.kernel))
    spread = _ranked_spread(case, paced)
    if spread is not None:
        yield spread, "its processes differ among themselves by as much"
    else:
        base = _at_full_pace(case)
        widest = max(base, default=case.base.minimum) / case.base.minimum
        yield widest * FEW_PROCESSES, f"too few processes met the machine at full speed ({paced} now, {len(base)} then)"


def _ranked_spread(case: Case, candidates: int) -> float | None:
    """How far the k-th smallest process of the baseline lies above the smallest; None: too few for any k."""
    base = _at_full_pace(case)
    rank = precedence_rank(len(base), candidates, ALPHA / len(LOOKS))
    return sorted(base)[rank - 1] / case.base.minimum if rank is not None else None


def _at_full_pace(case: Case) -> list[float]:
    """The minima of the baseline's processes that met the machine at full pace."""
    paced = at_full_pace(case.record.paces, case.record.kernel)
    return [low for low, full in zip(case.base.minima, paced, strict=False) if full]


def _cleared(case: Case, limit: float, *, better: bool) -> Finding:
    """At or below the limit: unchanged or improved, unless the baseline's own machine was slow.

    The pace beside a call that is much longer than the kernel says little of it, and nothing against it.
    """
    factor = 1 / case.slowdown
    if factor > 1 + KERNEL_TOLERANCE and case.base.minimum < PACED_CALL:
        reason = (
            f"the baseline was recorded while the machine was {factor:.2f} times slower than now, "
            "which would hide a slowdown; record it again"
        )
        return finding(case, Verdict.INCONCLUSIVE, limit, reason, factor * limit / case.base.minimum)
    return finding(case, Verdict.IMPROVEMENT if better else Verdict.UNCHANGED, limit)


def unsettled_spread(minima: Sequence[float]) -> float:
    """How far apart the processes' minima are (median / minimum), where no floor was found; 1 where one was.

    A floor is a minimum that several processes came down to. Where none did, as with tests that wait for a disk, the
    next process may go as far below the smallest minimum as the processes are spread already.
    """
    if min(minima) <= 0 or agreeing(minima, FLOOR_AGREEMENT) >= FLOOR_PROCESSES:
        return 1.0
    return statistics.median(minima) / min(minima)
