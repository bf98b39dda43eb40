"""Value objects that every wing shares: measurements, records, findings and comparisons. Immutable, without decisions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from pytest_perfguard.core.metric_stats import MetricStats

if TYPE_CHECKING:
    from pytest_perfguard.core.explanation import Explanation


class Verdict(str, Enum):
    """The verdict on a test or a metric, the most severe first. The values are words of the public contract."""

    REGRESSION = "regression"
    LEAK = "leak"
    OVER_LIMIT = "over-limit"
    INCOMPARABLE = "incomparable"
    INCONCLUSIVE = "inconclusive"
    MISSING = "missing"
    NEW = "new"
    IMPROVEMENT = "improvement"
    UNCHANGED = "unchanged"

    def __str__(self) -> str:
        return self.value


class Unjudged(str, Enum):
    """The outcome of a test that has no verdict."""

    BROKEN = "broken"
    """The test could not be measured."""
    MEASURED = "measured"
    """The test was measured, and there was nothing to judge."""

    def __str__(self) -> str:
        return self.value


Outcome = Verdict | Unjudged

#: Every outcome, the most severe first.
OUTCOMES: Final[tuple[Outcome, ...]] = (Unjudged.BROKEN, *Verdict, Unjudged.MEASURED)
#: Outcome -> its place in that order: the lowest number is the most severe.
SEVERITY: Final[Mapping[Outcome, int]] = {outcome: place for place, outcome in enumerate(OUTCOMES)}
FAILING: Final = frozenset({Verdict.REGRESSION, Verdict.LEAK, Verdict.OVER_LIMIT})
#: Verdicts that fail a test under --perf-strict as well.
UNSETTLED: Final = frozenset({Verdict.INCONCLUSIVE, Verdict.INCOMPARABLE, Verdict.MISSING})
#: Verdicts that result from a judgement of numbers.
JUDGED: Final = frozenset(Verdict) - {Verdict.INCOMPARABLE, Verdict.MISSING, Verdict.NEW}

#: The unit of findings on speed claims: how many times as long the rival takes.
CLAIM_UNIT: Final = "times"


@dataclass(frozen=True)
class ClaimSamples:
    """A test's claim that `name` is faster than `rival` by the factor `by`, and the measurements of it."""

    name: str
    rival: str
    by: float
    log_ratios: tuple[float, ...] = ()
    """One per process: the logarithm of rival / name."""
    problem: str | None = None
    """The exception that a second call of one of the two raised; None where both can be called again."""

    def joined(self, other: ClaimSamples) -> ClaimSamples:
        """Return the claim with the ratios of both."""
        ratios = self.log_ratios + other.log_ratios
        return ClaimSamples(self.name, self.rival, self.by, ratios, self.problem or other.problem)


@dataclass(frozen=True)
class Measurement:
    """Everything that was measured of one test, over all processes so far."""

    samples: Mapping[str, MetricStats] = field(default_factory=dict)
    """By metric name: `time`, or `time:parse` where the test passed `parse` to `perf_monitor.measure`."""
    iterations: Mapping[str, int] = field(default_factory=dict)
    """Calls per round, by the label of the measurement point."""
    kernel: float = 0.0
    """Seconds of the calibration kernel beside the least disturbed rounds: the best machine speed while this test ran.
    0: not measured."""
    paces: tuple[float, ...] = ()
    """Seconds of the calibration kernel beside this test's least disturbed rounds, one per process."""
    busy: float = 0.0
    """Share of CPU time in the timed rounds, in the process where it was highest: near 1 computes, near 0 waits."""
    lost: float = 0.0
    """Share of wall time in which other processes had the CPU, in the process where it was largest. The samples leave
    that time out."""
    processes: int = 0
    seconds: float = 0.0
    """Measuring time, set-ups included."""
    notes: tuple[str, ...] = ()
    conditions: Mapping[str, bool] = field(default_factory=dict)
    """Conditions that make two measurements incomparable where they differ: the garbage `collector` was on; `single`
    calls, one per set-up; `parallel`, not kept on one CPU; `instrumented` by a tool that cannot be paused."""
    claims: Mapping[str, ClaimSamples] = field(default_factory=dict)
    """The speed claims of the test, by label."""
    imports: Sequence[str] = ()
    """Modules that the fresh interpreters imported, for a test that measures imports."""
    calls: Mapping[str, float] = field(default_factory=dict)
    """Calls per iteration of each function, for the baseline file; `engine/profile/counts.py` defines the keys."""
    counting: str = ""
    """Conditions under which instructions were counted, such as the interpreter's build; empty: they were not counted."""


@dataclass(frozen=True)
class Record:
    """One test in the baseline file."""

    source: str
    """Hash of the test's source code; empty where it has none."""
    commit: str
    """Revision that was measured, with `+` appended if files differed from it; empty outside git."""
    kernel: float
    """Machine speed at the recording: `Measurement.kernel`."""
    iterations: Mapping[str, int]
    metrics: Mapping[str, MetricStats]
    conditions: Mapping[str, bool] = field(default_factory=dict)
    """`Measurement.conditions`."""
    paces: tuple[float, ...] = ()
    """`Measurement.paces`: one for each of the `minima`."""
    imports: Sequence[str] = ()
    """`Measurement.imports`."""
    calls: Mapping[str, float] = field(default_factory=dict)
    """`Measurement.calls`; empty where they were not counted."""
    counting: str = ""
    """`Measurement.counting`: counts under other conditions are not compared."""
    lost: float = 0.0
    """`Measurement.lost` where the machine was busy; 0 where it was not, and in files that do not hold it."""


@dataclass(frozen=True)
class Machine:
    """Origin of measurements. `name` is the machine class: numbers of different classes are not compared."""

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
    """The largest acceptable amount, in `unit`."""
    rounds: int = 0
    reason: str = ""
    smallest: float | None = None
    """For an inconclusive finding: the smallest ratio that this run could detect."""
    estimated_ratio: float | None = None
    """The ratio behind the verdict where it is not that of `candidate` and `baseline`: the mean of the pairs, or the
    difference of the processes after a correction for the machine's speed."""
    details: tuple[str, ...] = ()
    """Lines on the origin of a leak."""

    @property
    def change(self) -> float | None:
        """The ratio candidate / baseline; infinite for a metric grown from nothing; None without a baseline."""
        if self.estimated_ratio is not None:
            return self.estimated_ratio
        return None if self.baseline is None else change_ratio(self.baseline, self.candidate)

    @property
    def ratio(self) -> float | None:
        """The change where it is a finite number, else None."""
        return self.change if self.change is not None and math.isfinite(self.change) else None


@dataclass(frozen=True)
class Pairing:
    """The other side of a test that was measured side by side."""

    revision: str
    """As the user would write it."""
    measurement: Measurement
    """Measurement of the base."""
    why: str | None
    """The question that the baseline file left open; None where the user requested the pair."""
    pinned: bool
    """Both arms were kept on one CPU. A test that runs in parallel is not."""


@dataclass(frozen=True)
class Acceptance:
    """A regression that the author of a change accepts, up to a size."""

    tests: str
    """A node id, or the beginning of several as pytest's command line takes it: a file, a class, a test without parameters."""
    metric: str
    """`time` for all times, `memory` or `blocks`."""
    share: float
    """The largest accepted growth, as a share of the base: 0.2 for 20 %."""
    author: str
    place: str
    """The short hash of the commit, or another name of the place that holds the text."""

    def covers(self, nodeid: str) -> bool:
        """Return whether it is about this test."""
        name = self.tests.removesuffix("::*")
        return nodeid == name or nodeid.startswith((f"{name}::", f"{name}["))

    def __str__(self) -> str:
        """`time up to 20%, by Ada in 1a2b3c4`."""
        return f"{self.metric} up to {self.share * 100:.4g}%, by {self.author} in {self.place}"


@dataclass(frozen=True)
class Comparison:
    """The verdict on one test."""

    nodeid: str
    verdict: Verdict | None
    """None: measured and not judged (`--perf`, `--perf-baseline`), or broken."""
    findings: tuple[Finding, ...] = ()
    measurement: Measurement = Measurement()
    reason: str = ""
    """Reason of the verdict where the findings do not contain it."""
    pairing: Pairing | None = None
    """None: the test was measured alone."""
    broken: str | None = None
    """Error report of a test that could not be measured, which fails the test; None otherwise."""
    explanation: Explanation | None = None
    """The functions and lines behind the change; None: the sides were not profiled."""
    accepted_by: tuple[Acceptance, ...] = ()
    """The acceptances of this regression, which therefore does not fail the test."""

    @property
    def outcome(self) -> Outcome:
        """The verdict, or the reason why there is none."""
        if self.broken:
            return Unjudged.BROKEN
        return self.verdict or Unjudged.MEASURED

    def fails(self, *, strict: bool) -> bool:
        """Return whether the test must fail."""
        if self.accepted_by:
            return False
        if self.broken or self.verdict in FAILING:
            return True
        return strict and self.verdict in UNSETTLED


def change_ratio(before: float, after: float) -> float:
    """Return after / before: infinite where something grew from nothing, 1 where both are nothing."""
    if before == 0:
        return math.inf if after != 0 else 1.0
    return after / before
