"""Round after round over the undecided tests, each in fresh processes: what all measuring phases have in common."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from pytest_perfguard.core.errors import ChildError, PerfguardError, ProtocolError
from pytest_perfguard.core.model import Comparison, Measurement
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.engine.measure.messages import PointResult
from pytest_perfguard.engine.measure.plan import SINGLE_ROUNDS, rounds_for
from pytest_perfguard.engine.runner.time_estimate import USUAL_ROUNDS, seconds_left

#: A test may take so much longer in a measuring process than it took in its ordinary run, before it counts as hung.
HANG_SECONDS: Final = 60.0
HANG_FACTOR: Final = 20.0


@dataclass(frozen=True)
class MeasuredTest:
    """A test to measure."""

    nodeid: str
    path: str
    """Of its file, absolute."""
    settings: Settings
    ordinary_seconds: float
    """How long its ordinary run took, set-up and tear-down included."""
    iterations: Mapping[str, int] = field(default_factory=dict)
    """Calls per round of the baseline, by label."""
    parallel: bool | None = None
    """Was it recorded running in parallel, free of any one CPU? None: nothing was recorded."""

    @property
    def time_limit(self) -> float:
        """Seconds to wait for any single answer."""
        return HANG_SECONDS + HANG_FACTOR * self.ordinary_seconds


@dataclass(frozen=True)
class Progress:
    """Where a run is."""

    nodeid: str
    round: int
    """From 1."""
    undecided: int
    tests: int
    seconds_left: float
    """An estimate; 0 while nothing is known."""
    unit: str = "process"
    """What a round consists of."""


class TestFailed(PerfguardError):
    """The test that passed in its ordinary run fails while it is measured."""

    __test__ = False

    @classmethod
    def of(cls, problem: str, raised: str) -> TestFailed:
        """`problem`: what failed in it, if anything did; `raised`: by what its measured call ended, if it did."""
        unmeasured = f"its measured call raised {raised}, which the test expected: there is nothing to time"
        return cls(problem or (unmeasured if raised else "it reached no measurement point"))


class OtherTest(PerfguardError):
    """The test cannot be measured against what it is to be measured against; the text says why."""


Crew = TypeVar("Crew")
_T = TypeVar("_T")
_Request = TypeVar("_Request")
_Answer = TypeVar("_Answer")


class Scheduler(ABC, Generic[Crew]):
    """One measuring phase. `comparisons` holds what is decided, also when the phase was interrupted."""

    unit = "process"
    usual_rounds = USUAL_ROUNDS
    """Rounds that most tests of the phase need."""

    def __init__(
        self,
        subjects: Sequence[MeasuredTest],
        *,
        tell: Callable[[Progress], None],
        most: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._subjects = list(subjects)
        self._tell = tell
        self._most = most
        self._clock = clock
        self._round_seconds: list[float] = []
        self._undecided_after: list[int] = []
        self._start_failed = False
        self.comparisons: dict[str, Comparison] = {}
        self.processes = 0

    @abstractmethod
    def _start(self, subjects: Sequence[MeasuredTest]) -> AbstractContextManager[Crew]:
        """Fresh processes that are alive inside the `with` block."""

    @abstractmethod
    def _sort_out(self, crew: Crew, subjects: Sequence[MeasuredTest]) -> list[MeasuredTest]:
        """The subjects that the processes can serve; of the others the verdict is told."""

    @abstractmethod
    def _visit(self, crew: Crew, subject: MeasuredTest, following: str, index: int) -> None:
        """Measure one subject in the round of this index, and decide it if that suffices."""

    @abstractmethod
    def _broken(self, subject: MeasuredTest, error: Exception) -> Comparison:
        """What is to be said of a subject after this breakdown."""

    def run(self) -> None:
        """Measure until every subject is decided."""
        for index in range(self._most):
            undecided = self._undecided()
            if not undecided:
                break
            start = self._clock()
            while undecided:
                left = self._one_round(index, undecided)
                undecided = [subject for subject in left if subject.nodeid not in self.comparisons]
            self._round_seconds.append(self._clock() - start)
            self._undecided_after.append(len(self._undecided()))

    def _undecided(self) -> list[MeasuredTest]:
        return [subject for subject in self._subjects if subject.nodeid not in self.comparisons]

    def _one_round(self, index: int, subjects: list[MeasuredTest]) -> list[MeasuredTest]:
        """Visit the subjects in fresh processes; returns those that still need some because these broke down."""
        waiting = list(subjects)
        visiting = False
        self._report(waiting, index)
        try:
            with self._start(subjects) as crew:
                waiting = self._sort_out(crew, waiting)
                while waiting:
                    visiting = True
                    self._report(waiting, index)
                    self._visit_safely(crew, waiting[0], waiting[1].nodeid if len(waiting) > 1 else "", index)
                    waiting.pop(0)
        except (ChildError, ProtocolError) as error:
            # One that breaks down at a test takes that test with it; one that never got so far is started once more,
            # and takes all with it when that fails, too.
            if not visiting and not self._start_failed:
                self._start_failed = True
                return waiting
            blamed = waiting[:1] if visiting else waiting
            for subject in blamed:
                self._decide(subject, self._broken(subject, error))
            return waiting[len(blamed) :]
        return []

    def _visit_safely(self, crew: Crew, subject: MeasuredTest, following: str, index: int) -> None:
        try:
            self._visit(crew, subject, following, index)
        except (TestFailed, OtherTest) as error:
            self._decide(subject, self._broken(subject, error))

    def _decide(self, subject: MeasuredTest, comparison: Comparison) -> None:
        self.comparisons[subject.nodeid] = comparison

    def _report(self, waiting: Sequence[MeasuredTest], index: int) -> None:
        undecided, tests = len(self._undecided()), len(self._subjects)
        left = seconds_left(
            self._round_seconds, self._undecided_after,
            waiting=len(waiting), undecided=undecided, tests=tests, most=self._most, usual=self.usual_rounds,
        )  # fmt: skip
        self._tell(Progress(waiting[0].nodeid, index + 1, undecided, tests, left, self.unit))


def broken_down(subject: MeasuredTest, error: Exception, measurement: Measurement) -> Comparison:
    """A test that could not be measured: nothing is known of its speed, and it counts as failed."""
    text = f"it passes on its own and fails in a measuring process:\n{error}"
    what = text if isinstance(error, TestFailed) else str(error)
    return Comparison(subject.nodeid, None, (), measurement, broken=what)


def single_servings(first: Mapping[str, PointResult], budget_ns: int) -> Iterator[bool]:
    """After the `first` serving of a test that allows one call per set-up: one item for each further serving, True
    where yet another one follows."""
    slowest = max((max(visit.values.get("time", (0.0,))) for visit in first.values()), default=0.0)
    rest = max(1, min(SINGLE_ROUNDS, rounds_for(max(1, round(slowest * 1e9)), budget_ns)) - 1)
    for left in reversed(range(rest)):
        yield left > 0


def converse(plan: Generator[_Request, _Answer, _T], ask: Callable[[_Request], _Answer]) -> _T:
    """Put the plan's requests to whoever answers them, and feed it the answers."""
    try:
        request = next(plan)
        while True:
            request = plan.send(ask(request))
    except StopIteration as stop:
        result: _T = stop.value
        return result


def error_summary(report: str) -> str:
    """The line of pytest's report of a failure that says what went wrong: the first of its last lines marked with E."""
    lines = [line.strip() for line in report.splitlines() if line.strip()]
    is_error = [line.startswith("E  ") for line in lines]
    if True not in is_error:
        return lines[-1] if lines else ""
    last = len(lines) - 1 - is_error[::-1].index(True)
    while last and is_error[last - 1]:
        last -= 1
    return lines[last].removeprefix("E").strip()
