"""The nouns: samples, measurements, machines, findings and comparisons. Frozen, and free of behaviour that decides."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_perfguard.core.explanation import Explanation


class Verdict(str, Enum):
    """What may be said of a test. The values are the contract's words."""

    REGRESSION = "regression"
    LEAK = "leak"
    OVER_BUDGET = "over-budget"
    INCOMPARABLE = "incomparable"
    INCONCLUSIVE = "inconclusive"
    MISSING = "missing"
    NEW = "new"
    IMPROVEMENT = "improvement"
    UNCHANGED = "unchanged"

    def __str__(self) -> str:
        return self.value


#: The order in which one finding of a test outranks another: the enumeration's own.
RANK: Mapping[Verdict, int] = {verdict: rank for rank, verdict in enumerate(Verdict)}
FAILING = frozenset({Verdict.REGRESSION, Verdict.LEAK, Verdict.OVER_BUDGET})
#: What fails under --perf-strict as well.
UNSETTLED = frozenset({Verdict.INCONCLUSIVE, Verdict.INCOMPARABLE, Verdict.MISSING})
#: What counts as having been judged at all.
JUDGED = frozenset(Verdict) - {Verdict.INCOMPARABLE, Verdict.MISSING, Verdict.NEW}


@dataclass(frozen=True)
class Samples:
    """All rounds of one metric: one tuple per process, each value in `unit` per iteration."""

    unit: str
    processes: tuple[tuple[float, ...], ...]

    @cached_property
    def minimum(self) -> float:
        return min(self.minima)

    @cached_property
    def minima(self) -> tuple[float, ...]:
        """The smallest value of each process."""
        return tuple(min(rounds) for rounds in self.processes)

    @cached_property
    def medians(self) -> tuple[float, ...]:
        """The median of each process."""
        return tuple(statistics.median(rounds) for rounds in self.processes)

    @property
    def estimate(self) -> float:
        """The one number that stands for all of them."""
        return estimate(self.unit, self.minima, self.medians)

    @property
    def rounds(self) -> int:
        """Rounds in all."""
        return sum(len(rounds) for rounds in self.processes)

    def joined(self, other: Samples) -> Samples:
        """These and the other's processes."""
        return Samples(self.unit, self.processes + other.processes)


#: The unit of a claim: how many times as long the rival takes.
CLAIMED: Final = "times"


@dataclass(frozen=True)
class ClaimSamples:
    """A test's claim that `name` is faster than `rival` by a factor of `by`, and what was measured of it."""

    name: str
    rival: str
    by: float
    log_ratios: tuple[float, ...] = ()
    """One per process: the logarithm of rival / name."""
    problem: str = ""
    """Not empty: one of the two cannot be called again, and raised this."""

    def joined(self, other: ClaimSamples) -> ClaimSamples:
        """With another process's ratios."""
        ratios = self.log_ratios + other.log_ratios
        return ClaimSamples(self.name, self.rival, self.by, ratios, self.problem or other.problem)


@dataclass(frozen=True)
class Measurement:
    """What was measured of one test, over all processes so far."""

    samples: Mapping[str, Samples] = field(default_factory=dict)
    """By full metric name: `time`, or `time:parse` where the test handed `parse` to `perf_monitor.measure`."""
    iterations: Mapping[str, int] = field(default_factory=dict)
    """Calls per round, by the label of the measurement point."""
    kernel: float = 0.0
    """Seconds of the calibration kernel around the rounds that were best placed: the machine's pace at its best while
    this very test ran. 0: not measured."""
    paces: tuple[float, ...] = ()
    """The machine's pace in each process, at the best of this test's rounds there, in seconds of the kernel."""
    busy: float = 0.0
    """Share of CPU time in the timed rounds, of the process where it was highest: does the test compute or wait?"""
    lost: float = 0.0
    """Share of the wall time in which other processes had the CPU, of the process where it was largest. The samples
    leave that time out."""
    processes: int = 0
    seconds: float = 0.0
    """Measuring time, set-ups included."""
    notes: tuple[str, ...] = ()
    conditions: Mapping[str, bool] = field(default_factory=dict)
    """What makes two measurements of one test different in kind: was the garbage `collector` on; was it measured one `single`
    call per set-up; did it run in `parallel`, not kept on one CPU; was it `instrumented` by what cannot be paused?"""
    contests: Mapping[str, ClaimSamples] = field(default_factory=dict)
    """The claims of the test, by label."""
    imports: Sequence[str] = ()
    """The modules that its fresh interpreters imported, where it measures imports."""
    calls: Mapping[str, float] = field(default_factory=dict)
    """Calls per iteration of its functions, for the baseline file: `engine/profile/counts.py` has the form of the keys."""


@dataclass(frozen=True)
class Recorded:
    """One metric of one test as the baseline file keeps it, per iteration in `unit`."""

    unit: str
    minima: tuple[float, ...]
    """One per process; the verdict on times stands on the smallest."""
    medians: tuple[float, ...]
    """One per process; the verdict on memory stands on these."""
    rounds: int

    @cached_property
    def minimum(self) -> float:
        return min(self.minima)

    @cached_property
    def estimate(self) -> float:
        """The one number that stands for all of them."""
        return estimate(self.unit, self.minima, self.medians)


@dataclass(frozen=True)
class Record:
    """One test of the baseline file."""

    source: str
    """Hash of the test's own source; "" where it has none."""
    commit: str
    """Revision that was measured, `+` at its end where the tree had other changes; "" outside git."""
    kernel: float
    """The machine's pace while the test was recorded: `Measurement.kernel`."""
    iterations: Mapping[str, int]
    metrics: Mapping[str, Recorded]
    conditions: Mapping[str, bool] = field(default_factory=dict)
    """How it was measured: `Measurement.conditions`."""
    paces: tuple[float, ...] = ()
    """`Measurement.paces`: one for each of the `minima`."""
    imports: Sequence[str] = ()
    """`Measurement.imports`."""
    calls: Mapping[str, float] = field(default_factory=dict)
    """`Measurement.calls`; empty where they were not counted."""


@dataclass(frozen=True)
class Machine:
    """Where numbers come from. `name` is the class: numbers of different classes are not compared."""

    name: str
    facts: Mapping[str, object]


@dataclass(frozen=True)
class Finding:
    """The verdict on one metric of one test."""

    name: str
    unit: str
    verdict: Verdict | None
    """None: measured and not judged."""
    candidate: float
    """Per iteration, in `unit`."""
    baseline: float | None = None
    interval: tuple[float, float] | None = None
    """Interval of the ratio candidate / baseline."""
    limit: float | None = None
    """What the candidate was held against, in `unit`."""
    rounds: int = 0
    reason: str = ""
    smallest: float | None = None
    """For an inconclusive finding: the smallest ratio that this run could detect."""
    estimated_ratio: float | None = None
    """The ratio that the verdict rests on, where it is not that of `candidate` and `baseline`: the mean of the pairs, or
    the difference of the processes once the machine's speed is taken out."""
    details: tuple[str, ...] = ()
    """Lines that say where it comes from."""

    @property
    def ratio(self) -> float | None:
        if self.estimated_ratio is not None:
            return self.estimated_ratio
        if self.baseline is None or (self.baseline == 0 and self.candidate != 0):
            return None
        return self.candidate / self.baseline if self.baseline else 1.0


@dataclass(frozen=True)
class Pairing:
    """What a test was measured side by side with, and why."""

    revision: str
    """As the user would write it."""
    measurement: Measurement
    """Of the base."""
    why: str
    """What the baseline file left open; "" where the pair is what was asked for."""
    pinned: bool
    """Were both arms kept on one CPU? A test that runs in parallel is not."""


@dataclass(frozen=True)
class Comparison:
    """The verdict on one test."""

    nodeid: str
    verdict: Verdict | None
    """None: measured and not judged (`--perf`, `--perf-baseline`)."""
    findings: tuple[Finding, ...] = ()
    measurement: Measurement = Measurement()
    reason: str = ""
    """Why, where the findings do not say it."""
    pairing: Pairing | None = None
    """None: measured alone, and judged by the baseline file if at all."""
    broken: str = ""
    """Not empty: the test could not be measured, which fails it; the text says what happened."""
    explanation: Explanation | None = None
    """Where the time and the memory went; None: both sides were not profiled."""

    def fails(self, *, strict: bool) -> bool:
        """Must the test fail?"""
        if self.broken or self.verdict in FAILING:
            return True
        return strict and self.verdict in UNSETTLED


def estimate(unit: str, minima: Sequence[float], medians: Sequence[float]) -> float:
    """The minimum of durations, which interference only lengthens; of all else the median of the processes' medians.

    A call may free what earlier calls left (sqlite3 drops 200 dead cursors at a time), so that its peak of memory can
    be low by luck.
    """
    return min(minima) if unit == "s" else statistics.median(medians)
