"""Judge a measurement against a stored baseline by the minima of its processes (docs/verdict.md).

Interference only slows code down, and some short round in some process runs undisturbed. So a test is cleared as soon as
one round reaches the baseline. A test that does not is a regression where neither the machine's speed, measured beside
every round, nor the spread of the processes explains the difference.
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
from pytest_perfguard.core.stats.robust import count_near_minimum
from pytest_perfguard.core.stats.sequential import t_quantile
from pytest_perfguard.core.text import first_of
from pytest_perfguard.engine.measure.messages import BUSY_SHARE
from pytest_perfguard.engine.verdict.combine import combine
from pytest_perfguard.engine.verdict.comparability import different_conditions, different_points
from pytest_perfguard.engine.verdict.instructions import judge_instructions
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
from pytest_perfguard.engine.verdict.metric_comparison import MetricComparison

#: Processes that clear a test, or pass it on to pairs where pairs are possible.
SCREENED: Final = 2
#: Without pairs: the numbers of processes after which a difference may be a regression.
PROCESS_LOOKS: Final = (4, 6, 8, 12, 16, 20)
MAX_PROCESSES: Final = PROCESS_LOOKS[-1]
#: A call longer than this, in seconds, does not fit into the machine's fast moments, so that its minimum varies more.
LONG_CALL: Final = 2e-3
LONG_CALL_THRESHOLD: Final = 0.10
#: Seconds above which a call runs at many speeds of the machine, so that the kernels beside it do not show its speed.
PACED_CALL: Final = 20e-3
#: Other processes on a busy machine also empty the caches. This slows code that works in memory by up to this factor, and
#: hardly slows the calibration kernel.
CONTENTION: Final = 1.15
#: Effect of another machine speed on code where no calibration kernel was recorded.
UNKNOWN_SPEED: Final = 1.6
#: Beyond the limit by this factor, a difference in several processes is reported without statistics.
OBVIOUS: Final = 1.15
#: Gain above which a new recording is suggested.
MIN_GAIN: Final = 0.05
#: Factor by which no chance of a single process makes a test faster.
EVIDENT_GAIN: Final = 1.5
#: A floor is a minimum that FLOOR_PROCESSES processes reached within this relative distance.
FLOOR_AGREEMENT: Final = 0.02
FLOOR_PROCESSES: Final = 3
#: Chance of a false regression by the t test, per metric of a test, over all looks.
ALPHA: Final = 0.001
#: Spread of the processes near full speed: its standard deviation is 1 to 3 % (docs/verdict.md).
PROCESS_PRIOR: Final = VarianceEstimate(0.03**2, 4.0)
#: Processes near full speed that the t test needs on each side.
MIN_NEAR_FULL_SPEED: Final = 3
#: A test with this share of CPU time is as fast as the machine, whose speed is known. A test that waits for a disk or a
#: peer has states of its own.
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
        pairs will follow for a test that is not clearly unchanged: it is inconclusive here, after a few processes. Pass
        the settings of pairs, so that a slowdown that pairs can detect is left to them.
    """
    final = final or (screen and measurement.processes >= SCREENED)
    measurement = _with_new_imports(record, measurement)
    wanted = {name for name in record.metrics if KINDS[metric_kind(name)].metric in settings.metrics}
    recorded_kinds = {metric_kind(name) for name in record.metrics}
    now = {name: stats for name, stats in measurement.samples.items() if metric_kind(name) in recorded_kinds}
    points = {*record.iterations, *measurement.iterations}
    reason = different_points(wanted, set(now), points) or different_conditions(record, measurement)
    if not wanted & set(now):
        reason = f"no metric in common: recorded {', '.join(record.metrics)}, requested {', '.join(settings.metrics)}"
    if reason:
        return Comparison(nodeid, Verdict.INCOMPARABLE, (), measurement, reason)
    names = sorted(wanted & set(now), key=metric_order)
    # Rounded like the record: otherwise a value that repeats exactly could exceed a threshold of 0 %.
    stats = {name: now[name].as_stored() for name in names}
    metrics = [MetricComparison(name, record, stats[name], measurement, settings, final) for name in names]
    findings = [_judge(metric, screen=screen) for metric in metrics]
    findings += judge_limits(measurement, settings, final=final)
    return combine(nodeid, findings, _with_gain(measurement, findings))


def _with_gain(measurement: Measurement, findings: Sequence[Finding | None]) -> Measurement:
    """Return the measurement, with a note if it is faster than its baseline: a slowdown to the old time would pass."""
    fewer = 1 / (1 + MIN_GAIN)
    times = [finding for finding in findings if finding is not None and metric_kind(finding.name) == "time"]
    if not any(finding.ratio is not None and finding.ratio < fewer for finding in times):
        return measurement
    note = "faster than its baseline; to make the new time the baseline, record again: pytest --perf-baseline"
    return replace(measurement, notes=(*measurement.notes, note))


def looks_much_slower(comparison: Comparison) -> bool:
    """Return whether an inconclusive time looks so much slower that it is measured beyond its budget."""
    return any(
        finding.verdict is Verdict.INCONCLUSIVE
        and finding.unit == "s"
        and metric_kind(finding.name) != "p95"
        and (finding.ratio or 0.0) > math.exp(SUSPICIOUS)
        for finding in comparison.findings
    )


def _with_new_imports(record: Record, measurement: Measurement) -> Measurement:
    """Return the measurement, with a note on modules that were not imported when the baseline was recorded."""
    new = set(measurement.imports) - set(record.imports) if record.imports else set()
    if not new:
        return measurement
    note = f"imported now, and not when the baseline was recorded: {first_of(new)}"
    return replace(measurement, notes=(*measurement.notes, note))


def _judge(metric: MetricComparison, *, screen: bool) -> Finding | None:
    if metric.base.unit == "instructions":
        return judge_instructions(metric)
    if metric.base.unit != "s":
        return judge_memory(metric)
    times = _TimeComparison(metric, screens=screen)
    return times.screen() if screen else times.judge()


def time_threshold(settings: Settings, seconds_per_call: float, *, screen: bool = False) -> float:
    """Return the smallest relative threshold that a stored baseline can decide for a call of this length.

    A screen decides no slowdown: pairs measure a long call that reaches its threshold by chance.
    """
    is_long = seconds_per_call > LONG_CALL and not screen
    return max(settings.threshold, LONG_CALL_THRESHOLD) if is_long else settings.threshold


@dataclass(frozen=True)
class _TimeComparison:
    """Both sides of one time metric, with the times of their processes converted to the recorded full speed."""

    metric: MetricComparison
    screens: bool
    """Pairs follow for a test that is not clearly unchanged."""

    def judge(self) -> Finding | None:
        """Return the finding, None while another process may settle it."""
        metric = self.metric
        if metric.base.minimum <= 0 and metric.now.minimum > self._limit:
            return self._finding(Verdict.INCONCLUSIVE, "the clock was too coarse for it when the baseline was recorded")
        if self._is_cleared or (self._is_look and self._is_equivalent):
            return self._cleared()
        if self._is_look and (self._is_obvious or self._differs(math.log(self._allowed))):
            return self._finding(Verdict.REGRESSION)
        if not metric.final:
            return None
        return self._finding(Verdict.INCONCLUSIVE, self._why_open, self._smallest)

    def screen(self) -> Finding | None:
        """Return unchanged where that is clear, None while another process may show it, else inconclusive.

        A baseline that was recorded on a busy machine may be too slow by more than a small slowdown, so it clears nothing.
        On a slow machine, reaching the baseline is an improvement, whose size pairs measure.
        """
        if self.metric.record.lost:
            return self._finding(Verdict.INCONCLUSIVE, "the machine was busy when the baseline was recorded")
        if self._is_cleared and not (self._seems_faster or self._outruns_the_machine):
            return self._finding(Verdict.UNCHANGED)
        return self._finding(Verdict.INCONCLUSIVE, "not clearly unchanged") if self.metric.final else None

    @cached_property
    def _limit(self) -> float:
        """The largest acceptable time, in seconds per call.

        CPU time matters in proportion to the test's wall time: 300 us of CPU time in a wait of 30 ms may grow by 5 % of
        the wait.
        """
        metric = self.metric
        threshold = time_threshold(metric.settings, metric.wall, screen=self.screens)
        if metric_kind(metric.name) == "p95":
            threshold = max(threshold, TAIL_THRESHOLD)
        return metric.base.minimum + max(
            threshold * max(metric.base.minimum, metric.wall), metric.settings.floor.seconds
        )

    @property
    def _allowed(self) -> float:
        """The limit as a ratio, widened by other causes that make identical code slower."""
        unknown = 1.0 if self.metric.record.kernel > 0 else UNKNOWN_SPEED
        contention = CONTENTION if self.metric.measurement.lost > BUSY_SHARE else 1.0
        return self._limit / self.metric.base.minimum * self._waiting_spread**2 * unknown * contention

    @cached_property
    def _speeds(self) -> list[float]:
        """The kernel's time beside each process, divided by its recorded best; 1 where it is unknown."""
        return pace_ratios(self.metric.measurement.paces, self.metric.record.kernel)

    @property
    def _is_cleared(self) -> bool:
        """True if one process reached the limit on a machine no faster than at the recording.

        For a call much longer than the kernel, the machine's speed beside it is not evidence against it.
        """
        is_long = self.metric.base.minimum >= PACED_CALL
        lows = zip(self.metric.now.minima, self._speeds or [1.0] * len(self.metric.now.minima), strict=False)
        return any(
            low <= self._limit * (1.0 if is_long or speed >= 1 else expected_range(speed, self.metric.busy)[0])
            for low, speed in lows
        )

    @property
    def _is_equivalent(self) -> bool:
        """True if the interval of the difference lies below the limit, with the slowdown that the machine's speed may hide."""
        if self._test is None or self.metric.base.minimum <= 0:
            return False
        difference, error, freedom = self._test
        half = t_quantile((1 + CONFIDENCE) / 2, round(freedom)) * error
        return difference + half + self._speed_uncertainty < math.log(self._limit / self.metric.base.minimum)

    @property
    def _speed_uncertainty(self) -> float:
        """Logarithm of the largest slowdown that a machine faster than at the recording may hide."""
        ranges = [
            expected_range(min(1.0, speed), self.metric.busy) for speed in self._speeds if speed <= NEAR_FULL_SPEED
        ]
        return statistics.fmean(math.log(high / low) for low, high in ranges) if ranges else 0.0

    def _cleared(self) -> Finding | None:
        """Return unchanged; an improvement or None (more processes) if faster than the machine's speed explains."""
        metric = self.metric
        if not self._seems_faster:
            return self._finding(Verdict.UNCHANGED)
        if self._gain > EVIDENT_GAIN or (self._is_look and self._differs(-math.log(self._limit / metric.base.minimum))):
            return self._finding(Verdict.IMPROVEMENT)
        return self._finding(Verdict.UNCHANGED) if metric.final else None

    @property
    def _is_look(self) -> bool:
        """True if a difference may be reported now. The first look needs its number of processes even if the budget is spent."""
        count = self.metric.measurement.processes
        return count in PROCESS_LOOKS or (self.metric.final and count > PROCESS_LOOKS[0])

    @property
    def _seems_faster(self) -> bool:
        return self._gain * self.metric.base.minimum > self._limit

    @property
    def _outruns_the_machine(self) -> bool:
        """True if a process was faster than identical code is at the machine's speed beside it."""
        metric = self.metric
        if metric.base.minimum >= PACED_CALL:
            return False
        return any(
            speed > NEAR_FULL_SPEED
            and low * self._limit < metric.base.minimum**2 * expected_range(speed, metric.busy)[0]
            for low, speed in zip(metric.now.minima, self._speeds, strict=False)
        )

    @property
    def _gain(self) -> float:
        """Lower bound of the factor by which it is faster than the baseline, at any speed of the machine."""
        metric = self.metric
        slowest = min((expected_range(min(1.0, speed), metric.busy)[0] for speed in self._speeds), default=1.0)
        return metric.base.minimum * slowest / metric.now.minimum if metric.now.minimum > 0 else math.inf

    @cached_property
    def _then(self) -> list[float]:
        """Lower bounds of the times of the baseline's processes at full speed, in seconds."""
        metric = self.metric
        paces = [max(pace, metric.record.kernel) for pace in metric.record.paces] or [0.0] * len(metric.base.minima)
        return at_full_speed(metric.base.minima, paces, metric.record.kernel, metric.busy)

    @cached_property
    def _now(self) -> list[float]:
        """Lower bounds of the times of this run's processes at full speed, in seconds."""
        metric = self.metric
        return at_full_speed(metric.now.minima, self._paces, metric.record.kernel, metric.busy)

    @property
    def _paces(self) -> Sequence[float]:
        """The kernel's time in each process of this run; 0 where it was not measured."""
        return self.metric.measurement.paces or [0.0] * len(self.metric.now.minima)

    @property
    def _is_obvious(self) -> bool:
        """True if the lower bounds of its time exceed the limit by far in several processes.

        The k-th largest bound counts: bounds of processes on a slow machine are too low by up to a third, and one or two
        processes may have been disturbed by something that the kernel does not notice.
        """
        obvious = self._allowed * OBVIOUS * self._then_spread
        return len(self._now) >= PROCESS_LOOKS[0] and self._bound / self._reference > obvious

    @property
    def _bound(self) -> float:
        return _upper(self._now)

    def _with_bounds(self, finding: Finding) -> Finding:
        """Return the finding with the likely ratio, and an interval that holds it and its lower bound."""
        low, high = finding.interval or (0.0, math.inf)
        bound, likely = self._bound / self._reference, self._likely_ratio
        return replace(finding, estimated_ratio=likely, interval=(min(low, bound), max(high, likely)))

    @property
    def _likely_ratio(self) -> float:
        metric = self.metric
        likely = likely_at_full_speed(metric.now.minima, self._paces, metric.record.kernel, metric.busy)
        return max(self._bound, statistics.median(likely)) / self._reference

    @property
    def _reference(self) -> float:
        """The baseline at full speed, in seconds; never below its minimum."""
        return max(self.metric.base.minimum, _upper(self._then))

    @property
    def _then_spread(self) -> float:
        """Ratio of the baseline's second slowest process to the reference, at least 1."""
        return max(1.0, sorted(self._then)[-min(len(self._then), 2)] / self._reference)

    @cached_property
    def _test(self) -> tuple[float, float, float] | None:
        """(difference of the mean logarithms, its standard error, degrees of freedom) of the processes near full speed.

        The two-sample t test with a moderated variance. None where one side has too few processes.
        """
        kernel = self.metric.record.kernel
        then = _logs(near_full_speed(self._then, self.metric.record.paces, kernel))
        now = _logs(near_full_speed(self._now, self.metric.measurement.paces, kernel))
        if min(len(then), len(now)) < MIN_NEAR_FULL_SPEED:
            return None
        spread = moderated([then, now], PROCESS_PRIOR)
        error = math.sqrt(spread.variance * (1 / len(then) + 1 / len(now)))
        return statistics.fmean(now) - statistics.fmean(then), error, spread.freedom

    def _differs(self, bound: float) -> bool:
        """Return whether the difference exceeds both `bound` (a logarithm) and chance, in the direction of `bound`."""
        if self._test is None:
            return False
        difference, error, freedom = self._test
        chance = t_quantile(1 - ALPHA / len(PROCESS_LOOKS), round(freedom)) * error
        return difference > max(bound, chance) if bound >= 0 else difference < min(bound, -chance)

    @cached_property
    def _waiting_spread(self) -> float:
        """Ratio by which a test that waits may vary if its processes found no common floor; 1 if they did."""
        if self.metric.measurement.busy >= COMPUTES or metric_kind(self.metric.name) == "cpu":
            return 1.0
        return max(unsettled_spread(self.metric.base.minima), unsettled_spread(self.metric.now.minima))

    @property
    def _smallest(self) -> float:
        """Smallest ratio that would have been a regression."""
        by_bound = self._allowed * OBVIOUS * self._then_spread * max(1.0, self.metric.now.minimum / self._bound)
        if self._test is None:
            return by_bound
        _difference, error, freedom = self._test
        chance = math.exp(t_quantile(1 - ALPHA / len(PROCESS_LOOKS), round(freedom)) * error)
        return min(by_bound, max(self._allowed, chance))

    @property
    def _why_open(self) -> str:
        metric = self.metric
        if metric.measurement.processes < PROCESS_LOOKS[0]:
            return (
                f"{metric.measurement.processes} of the {PROCESS_LOOKS[0]} processes that a verdict without pairs needs"
            )
        if self._waiting_spread > 1:
            return (
                "it waits, and its processes found no common minimum: a stored baseline cannot decide it more closely"
            )
        if (slower := min(self._speeds, default=1.0)) > 1.03:
            return (
                f"the machine never reached its recorded speed: the calibration kernel took {slower:.2f} times as long"
            )
        if min(self._speeds, default=1.0) < 1 and metric.now.minimum <= self._limit:
            return "the baseline was recorded on a slower machine, which would hide a slowdown; record it again"
        return "its processes differ from one another by as much"

    def _finding(self, verdict: Verdict, reason: str = "", smallest: float | None = None) -> Finding:
        finding = self.metric.finding(verdict, self._limit, reason, smallest)
        if verdict is Verdict.UNCHANGED or self.metric.base.minimum <= 0:
            return finding
        if self._test is None:
            return self._with_bounds(finding) if verdict is Verdict.REGRESSION else finding
        difference, error, freedom = self._test
        half = t_quantile((1 + CONFIDENCE) / 2, round(freedom)) * error
        interval = math.exp(difference - half), math.exp(difference + half)
        return replace(finding, estimated_ratio=math.exp(difference), interval=interval)


def _upper(values: Sequence[float]) -> float:
    """Return the largest value that a quarter of the values, and one more, reach."""
    return sorted(values)[-min(len(values), 2 + len(values) // 4)]


def _logs(values: Sequence[float]) -> list[float]:
    return [math.log(value) for value in values if value > 0]


def unsettled_spread(minima: Sequence[float]) -> float:
    """Return median / minimum of the processes' minima if they have no common floor; 1 if they have one.

    A floor is a minimum that several processes reached. Without one, as in tests that wait for a disk, the next process
    may go as far below the smallest minimum as the processes are spread already.
    """
    if min(minima) <= 0 or count_near_minimum(minima, FLOOR_AGREEMENT) >= FLOOR_PROCESSES:
        return 1.0
    return statistics.median(minima) / min(minima)
