"""Against a stored baseline: the screen on minima (procedure A of docs/verdict.md).

Interference only ever slows code down, and some short round in some process meets the machine undisturbed. So a test is
cleared as soon as one round of it reaches its baseline. What does not is a regression where neither the machine's speed,
as read beside every round, nor the differences between processes can explain it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from pytest_perfguard.core.metric_names import metric_kind, metric_order
from pytest_perfguard.core.model import Comparison, Finding, Measurement, Record, Verdict
from pytest_perfguard.core.parsers import KINDS
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.core.stats.moderated import VarianceEstimate, moderated
from pytest_perfguard.core.stats.robust import agreeing
from pytest_perfguard.core.stats.sequential import t_quantile
from pytest_perfguard.core.text import first_of
from pytest_perfguard.engine.measure.messages import BUSY_MACHINE
from pytest_perfguard.engine.verdict.combine import concluded
from pytest_perfguard.engine.verdict.comparability import other_conditions, other_points
from pytest_perfguard.engine.verdict.limits import judge_limits
from pytest_perfguard.engine.verdict.looks import SUSPICIOUS, TAIL_THRESHOLD
from pytest_perfguard.engine.verdict.machine_speed import (
    NEAR_FULL_SPEED,
    at_full_speed,
    expected_range,
    likely_at_full_speed,
    near_full_speed,
    pace_ratios,
)
from pytest_perfguard.engine.verdict.memory import judge_memory
from pytest_perfguard.engine.verdict.metric_comparison import MetricComparison, finding
from pytest_perfguard.engine.verdict.summary import kept_summary

#: Processes that clear a test, or leave it to pairs where there can be pairs.
SCREENED: Final = 2
#: Without pairs: the numbers of processes after which a difference may be called a regression.
PROCESS_LOOKS: Final = (4, 6, 8, 12, 16, 20)
MAX_PROCESSES: Final = PROCESS_LOOKS[-1]
#: A longer call cannot fit into the machine's fast moments, so that its minimum holds less still.
LONG_CALL: Final = 2e-3
LONG_CALL_THRESHOLD: Final = 0.10
#: A call longer than this meets many speeds of the machine whatever the kernels beside it met.
PACED_CALL: Final = 20e-3
#: Other processes on a busy machine empty the caches, too, which slows code by up to so much that computes in memory, and
#: the calibration kernel hardly.
CONTENTION: Final = 1.15
#: What another speed of the machine does to code, where no calibration kernel was recorded.
UNKNOWN_SPEED: Final = 1.6
#: Beyond the limit by this factor, a difference in several processes is reported without statistics.
OBVIOUS: Final = 1.15
#: From this gain on it is worth recording again.
MIN_GAIN: Final = 0.05
#: No luck of one process makes it so many times as fast.
EVIDENT_GAIN: Final = 1.5
#: A floor was found where so many processes came within this of the minimum.
FLOOR_AGREEMENT: Final = 0.02
FLOOR_PROCESSES: Final = 3
#: Chance that the t test accuses identical code, per metric of a test, over all the looks at it.
ALPHA: Final = 0.001
#: Spread of the processes near full speed: its standard deviation is 1 to 3 % (docs/verdict.md).
PROCESS_PRIOR: Final = VarianceEstimate(0.03**2, 4.0)
#: Processes near full speed that it takes on each side.
MIN_NEAR_FULL_SPEED: Final = 3
#: A test that computes for this share of its time is as fast as the machine, whose pace is known; one that waits for a
#: disk or a peer has states of its own.
COMPUTES: Final = 0.95
CONFIDENCE: Final = 0.95


def judge_stored(
    nodeid: str, record: Record, measurement: Measurement, settings: Settings, *, final: bool, screen: bool = False
) -> Comparison | None:
    """Return the verdict on one test, or None while another process may settle it.

    Parameters
    ----------
    final
        there will be no other process.
    screen
        what is not plainly unchanged will be measured in pairs: it is inconclusive here, after a few processes.
    """
    final = final or (screen and measurement.processes >= SCREENED)
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
        _judge(
            MetricComparison.of(name, record, kept_summary(now[name]), measurement, settings, final=final),
            screen=screen,
        )
        for name in sorted(wanted & set(now), key=metric_order)
    ]
    findings += judge_limits(measurement, settings, final=final)
    return concluded(nodeid, findings, _with_gain(measurement, findings))


def _with_gain(measurement: Measurement, findings: Sequence[Finding | None]) -> Measurement:
    """With a note where it is faster than its baseline: a slowdown back to the old time would pass."""
    fewer = 1 / (1 + MIN_GAIN)
    times = [finding for finding in findings if finding is not None and metric_kind(finding.name) == "time"]
    if not any(finding.ratio is not None and finding.ratio < fewer for finding in times):
        return measurement
    note = "faster than its baseline; to hold it to the new time, record again: pytest --perf-baseline"
    return replace(measurement, notes=(*measurement.notes, note))


def looks_much_slower(comparison: Comparison) -> bool:
    """Is a time still open that seems to have grown so much that it is to be settled whatever it takes?"""
    return any(
        finding.verdict is Verdict.INCONCLUSIVE
        and finding.unit == "s"
        and metric_kind(finding.name) != "p95"
        and (finding.ratio or 0.0) > math.exp(SUSPICIOUS)
        for finding in comparison.findings
    )


def _with_new_imports(record: Record, measurement: Measurement) -> Measurement:
    """With a note that names the modules that were not imported when the baseline was recorded."""
    new = set(measurement.imports) - set(record.imports) if record.imports else set()
    if not new:
        return measurement
    note = f"imported now, and not when the baseline was recorded: {first_of(new)}"
    return replace(measurement, notes=(*measurement.notes, note))


def _judge(case: MetricComparison, *, screen: bool) -> Finding | None:
    if case.base.unit != "s":
        return judge_memory(case)
    return _TimeCase(case).screen() if screen else _TimeCase(case).judge()


def time_threshold(settings: Settings, seconds_per_call: float) -> float:
    """Return the relative threshold that a stored baseline can hold for a call of this length."""
    return max(settings.threshold, LONG_CALL_THRESHOLD) if seconds_per_call > LONG_CALL else settings.threshold


@dataclass(frozen=True)
class _TimeCase:
    """One time metric: the processes of both sides, as they would be at the recorded full speed."""

    case: MetricComparison

    def judge(self) -> Finding | None:
        """Return the finding, None while another process may settle it."""
        case = self.case
        if case.base.minimum <= 0 and case.now.minimum > self._limit:
            return self._finding(Verdict.INCONCLUSIVE, "the clock was too coarse for it when it was recorded")
        if self._is_cleared or (self._is_look and self._is_equivalent):
            return self._cleared()
        if self._is_look and (self._is_obvious or self._differs(math.log(self._allowed))):
            return self._finding(Verdict.REGRESSION)
        if not case.final:
            return None
        return self._finding(Verdict.INCONCLUSIVE, self._why_open, self._smallest)

    def screen(self) -> Finding | None:
        """Return unchanged where that is plain, None while another process may show it, else inconclusive."""
        if self._is_cleared and not self._seems_faster:
            return self._finding(Verdict.UNCHANGED)
        return self._finding(Verdict.INCONCLUSIVE, "not plainly unchanged") if self.case.final else None

    @cached_property
    def _limit(self) -> float:
        """Seconds per call up to which nothing is wrong.

        CPU time matters in proportion to the time that the test takes: 300 us of CPU in a wait of 30 ms are held to 5 %
        of the wait.
        """
        case = self.case
        threshold = time_threshold(case.settings, case.wall)
        if metric_kind(case.name) == "p95":
            threshold = max(threshold, TAIL_THRESHOLD)
        return case.base.minimum + max(threshold * max(case.base.minimum, case.wall), case.settings.floor.seconds)

    @property
    def _allowed(self) -> float:
        """The same as a ratio, with what else may have made identical code slower."""
        unknown = 1.0 if self.case.record.kernel > 0 else UNKNOWN_SPEED
        contention = CONTENTION if self.case.measurement.lost > BUSY_MACHINE else 1.0
        return self._limit / self.case.base.minimum * self._waiting_spread**2 * unknown * contention

    @cached_property
    def _speeds(self) -> list[float]:
        """For each process the time of the kernel beside it, divided by its recorded best; 1 where that is not known."""
        return pace_ratios(self.case.measurement.paces, self.case.record.kernel)

    @property
    def _is_cleared(self) -> bool:
        """Did one process reach the limit, on a machine that was no faster than when the baseline was recorded?

        The pace beside a call that is much longer than the kernel says little of it, and nothing against it.
        """
        is_long = self.case.base.minimum >= PACED_CALL
        lows = zip(self.case.now.minima, self._speeds or [1.0] * len(self.case.now.minima), strict=False)
        return any(
            low <= self._limit * (1.0 if is_long or speed >= 1 else expected_range(speed, self.case.busy)[0])
            for low, speed in lows
        )

    @property
    def _is_equivalent(self) -> bool:
        """Does the interval of the difference lie below the limit, at the most that the machine's speed leaves open?"""
        if self._test is None or self.case.base.minimum <= 0:
            return False
        difference, error, freedom = self._test
        half = t_quantile((1 + CONFIDENCE) / 2, round(freedom)) * error
        return difference + half + self._speed_doubt < math.log(self._limit / self.case.base.minimum)

    @property
    def _speed_doubt(self) -> float:
        """How much larger the difference may be (a logarithm), since the machine is faster than at the recording."""
        ranges = [expected_range(min(1.0, speed), self.case.busy) for speed in self._speeds if speed <= NEAR_FULL_SPEED]
        return statistics.fmean(math.log(high / low) for low, high in ranges) if ranges else 0.0

    def _cleared(self) -> Finding | None:
        """Unchanged, unless it is faster than the machine's speed explains: then an improvement, or more processes."""
        case = self.case
        if not self._seems_faster:
            return self._finding(Verdict.UNCHANGED)
        if self._gain > EVIDENT_GAIN or (self._is_look and self._differs(-math.log(self._limit / case.base.minimum))):
            return self._finding(Verdict.IMPROVEMENT)
        return self._finding(Verdict.UNCHANGED) if case.final else None

    @property
    def _is_look(self) -> bool:
        """May a difference be told now? Never by fewer processes than the first look takes, whatever the budget."""
        count = self.case.measurement.processes
        return count in PROCESS_LOOKS or (self.case.final and count > PROCESS_LOOKS[0])

    @property
    def _seems_faster(self) -> bool:
        return self._gain > self._limit / self.case.base.minimum

    @property
    def _gain(self) -> float:
        """How many times as fast it is as the baseline at least, whatever the machine's speed is now."""
        case = self.case
        slowest = min((expected_range(min(1.0, speed), case.busy)[0] for speed in self._speeds), default=1.0)
        return case.base.minimum * slowest / case.now.minimum if case.now.minimum > 0 else math.inf

    @cached_property
    def _then(self) -> list[float]:
        """Seconds of the baseline's processes at full speed, as lower bounds."""
        case = self.case
        paces = [max(pace, case.record.kernel) for pace in case.record.paces] or [0.0] * len(case.base.minima)
        return at_full_speed(case.base.minima, paces, case.record.kernel, case.busy)

    @cached_property
    def _now(self) -> list[float]:
        """Seconds of the processes of this run at full speed, as lower bounds."""
        case = self.case
        return at_full_speed(case.now.minima, self._paces, case.record.kernel, case.busy)

    @property
    def _paces(self) -> Sequence[float]:
        """The machine's pace in each process of this run; 0 where none was taken."""
        return self.case.measurement.paces or [0.0] * len(self.case.now.minima)

    @property
    def _is_obvious(self) -> bool:
        """Does a lower bound of its time lie beyond the limit by far, in several processes?

        The k-th largest of the bounds, since those of processes on a slow machine are too low by up to a third, and one or
        two processes may have met what no kernel sees.
        """
        return (
            len(self._now) >= PROCESS_LOOKS[0]
            and self._bound / self._reference > self._allowed * OBVIOUS * self._then_spread
        )

    @property
    def _bound(self) -> float:
        return _upper(self._now)

    def _with_bounds(self, told: Finding) -> Finding:
        """With the likely ratio, and an interval from its lower bound to that of the minima: a slow machine adds to these."""
        low, high = told.interval or (0.0, math.inf)
        bound = self._bound / self._reference
        return replace(
            told, estimated_ratio=self._likely_ratio, interval=(min(low, bound), max(high, self._likely_ratio))
        )

    @property
    def _likely_ratio(self) -> float:
        case = self.case
        likely = likely_at_full_speed(case.now.minima, self._paces, case.record.kernel, case.busy)
        return max(self._bound, statistics.median(likely)) / self._reference

    @property
    def _reference(self) -> float:
        """Seconds of the baseline at full speed: never below its minimum."""
        return max(self.case.base.minimum, _upper(self._then))

    @property
    def _then_spread(self) -> float:
        """How far the baseline's own processes lie above that, but for the largest."""
        return max(1.0, sorted(self._then)[-min(len(self._then), 2)] / self._reference)

    @cached_property
    def _test(self) -> tuple[float, float, float] | None:
        """(difference of the mean logarithms, its standard error, degrees of freedom) of the processes near full speed.

        A two-sample t test with a moderated variance; None where one of the sides has too few.
        """
        kernel = self.case.record.kernel
        then = _logs(near_full_speed(self._then, self.case.record.paces, kernel))
        now = _logs(near_full_speed(self._now, self.case.measurement.paces, kernel))
        if min(len(then), len(now)) < MIN_NEAR_FULL_SPEED:
            return None
        spread = moderated([then, now], PROCESS_PRIOR)
        error = math.sqrt(spread.variance * (1 / len(then) + 1 / len(now)))
        return statistics.fmean(now) - statistics.fmean(then), error, spread.freedom

    def _differs(self, bound: float) -> bool:
        """Is the difference beyond `bound`, a logarithm, and beyond chance, on that side?"""
        if self._test is None:
            return False
        difference, error, freedom = self._test
        chance = t_quantile(1 - ALPHA / len(PROCESS_LOOKS), round(freedom)) * error
        return difference > max(bound, chance) if bound >= 0 else difference < min(bound, -chance)

    @cached_property
    def _waiting_spread(self) -> float:
        """How far a test that waits may move by itself, where its processes found no common floor; 1 where they did."""
        if self.case.measurement.busy >= COMPUTES or metric_kind(self.case.name) == "cpu":
            return 1.0
        return max(unsettled_spread(self.case.base.minima), unsettled_spread(self.case.now.minima))

    @property
    def _smallest(self) -> float:
        """The smallest ratio that would have been a regression."""
        by_bound = self._allowed * OBVIOUS * self._then_spread * max(1.0, self.case.now.minimum / self._bound)
        if self._test is None:
            return by_bound
        _difference, error, freedom = self._test
        chance = math.exp(t_quantile(1 - ALPHA / len(PROCESS_LOOKS), round(freedom)) * error)
        return min(by_bound, max(self._allowed, chance))

    @property
    def _why_open(self) -> str:
        case = self.case
        if case.measurement.processes < PROCESS_LOOKS[0]:
            return f"{case.measurement.processes} of at least {PROCESS_LOOKS[0]} processes that it takes without pairs"
        if self._waiting_spread > 1:
            return "it waits, and its processes found no common floor: a stored baseline cannot hold it closer"
        if (slower := min(self._speeds, default=1.0)) > 1.03:
            return (
                f"the machine never reached its recorded speed: its calibration kernel took {slower:.2f} times as long"
            )
        if min(self._speeds, default=1.0) < 1 and case.now.minimum <= self._limit:
            return (
                "the baseline was recorded on a slower machine than this, which would hide a slowdown; record it again"
            )
        return "its processes differ among themselves by as much"

    def _finding(self, verdict: Verdict, reason: str = "", smallest: float | None = None) -> Finding:
        told = finding(self.case, verdict, self._limit, reason, smallest)
        if verdict is Verdict.UNCHANGED or self.case.base.minimum <= 0:
            return told
        if self._test is None:
            return self._with_bounds(told) if verdict is Verdict.REGRESSION else told
        difference, error, freedom = self._test
        half = t_quantile((1 + CONFIDENCE) / 2, round(freedom)) * error
        interval = math.exp(difference - half), math.exp(difference + half)
        return replace(told, estimated_ratio=math.exp(difference), interval=interval)


def _upper(values: Sequence[float]) -> float:
    """Return the value that a quarter of the values and one more reach."""
    return sorted(values)[-min(len(values), 2 + len(values) // 4)]


def _logs(values: Sequence[float]) -> list[float]:
    return [math.log(value) for value in values if value > 0]


def unsettled_spread(minima: Sequence[float]) -> float:
    """Return how far apart the processes' minima are (median / minimum), where no floor was found; 1 where one was.

    A floor is a minimum that several processes reached. Where none did, as with tests that wait for a disk, the next
    process may go as far below the smallest minimum as the processes are spread already.
    """
    if min(minima) <= 0 or agreeing(minima, FLOOR_AGREEMENT) >= FLOOR_PROCESSES:
        return 1.0
    return statistics.median(minima) / min(minima)
