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
from pytest_perfguard.engine.measure.plan import MAX_SINGLE_CALL_SETUPS, rounds_for
from pytest_perfguard.engine.runner.time_estimate import USUAL_PASSES, seconds_left

#: A test may take so much longer in a measuring process than it took in its ordinary run, before it counts as hung.
MIN_TIMEOUT_SECONDS: Final = 60.0
TIMEOUT_FACTOR: Final = 20.0


@dataclass(frozen=True)
class MeasuredTest:
    """A test to measure."""

    nodeid: str
    path: str
    """Of its file, absolute."""
    settings: Settings
    functional_seconds: float
    """How long its ordinary run took, set-up and tear-down included."""
    iterations: Mapping[str, int] = field(default_factory=dict)
    """Calls per round of the baseline, by label."""
    parallel: bool | None = None
    """Was it recorded running in parallel, free of any one CPU? None: nothing was recorded."""

    @property
    def time_limit(self) -> float:
        """Seconds to wait for any single answer."""
        return MIN_TIMEOUT_SECONDS + TIMEOUT_FACTOR * self.functional_seconds


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


Workers = TypeVar("Workers")
_T = TypeVar("_T")
_Request = TypeVar("_Request")
_Answer = TypeVar("_Answer")


class Scheduler(ABC, Generic[Workers]):
    """One measuring phase. `comparisons` holds what is decided, also when the phase was interrupted."""

    unit = "process"
    usual_passes = USUAL_PASSES
    """Rounds that most tests of the phase need."""

    def __init__(
        self,
        tests: Sequence[MeasuredTest],
        *,
        report_progress: Callable[[Progress], None],
        max_passes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tests = list(tests)
        self._report_progress = report_progress
        self._max_passes = max_passes
        self._clock = clock
        self._pass_seconds: list[float] = []
        self._undecided_after: list[int] = []
        self._start_failed = False
        self.comparisons: dict[str, Comparison] = {}
        self.processes = 0

    @abstractmethod
    def _start(self, tests: Sequence[MeasuredTest]) -> AbstractContextManager[Workers]:
        """Fresh processes that are alive inside the `with` block."""

    @abstractmethod
    def _select_collected(self, workers: Workers, tests: Sequence[MeasuredTest]) -> list[MeasuredTest]:
        """The tests that the processes can serve; of the others the verdict is told."""

    @abstractmethod
    def _measure(self, workers: Workers, test: MeasuredTest, following: str, index: int) -> None:
        """Measure one test in the round of this index, and decide it if that suffices."""

    @abstractmethod
    def _failure(self, test: MeasuredTest, error: Exception) -> Comparison:
        """What is to be said of a test after this breakdown."""

    def run(self) -> None:
        """Measure until every test is decided."""
        for index in range(self._max_passes):
            undecided = self._undecided()
            if not undecided:
                break
            start = self._clock()
            while undecided:
                left = self._one_pass(index, undecided)
                undecided = [test for test in left if test.nodeid not in self.comparisons]
            self._pass_seconds.append(self._clock() - start)
            self._undecided_after.append(len(self._undecided()))

    def _undecided(self) -> list[MeasuredTest]:
        return [test for test in self._tests if test.nodeid not in self.comparisons]

    def _one_pass(self, index: int, tests: list[MeasuredTest]) -> list[MeasuredTest]:
        """Visit the tests in fresh processes; returns those that still need some because these broke down."""
        waiting = list(tests)
        visiting = False
        self._report(waiting, index)
        try:
            with self._start(tests) as workers:
                waiting = self._select_collected(workers, waiting)
                while waiting:
                    visiting = True
                    self._report(waiting, index)
                    self._measure_or_fail(workers, waiting[0], waiting[1].nodeid if len(waiting) > 1 else "", index)
                    waiting.pop(0)
        except (ChildError, ProtocolError) as error:
            # One that breaks down at a test takes that test with it; one that never got so far is started once more,
            # and takes all with it when that fails, too.
            if not visiting and not self._start_failed:
                self._start_failed = True
                return waiting
            blamed = waiting[:1] if visiting else waiting
            for test in blamed:
                self._decide(test, self._failure(test, error))
            return waiting[len(blamed) :]
        return []

    def _measure_or_fail(self, workers: Workers, test: MeasuredTest, following: str, index: int) -> None:
        try:
            self._measure(workers, test, following, index)
        except (TestFailed, OtherTest) as error:
            self._decide(test, self._failure(test, error))

    def _decide(self, test: MeasuredTest, comparison: Comparison) -> None:
        self.comparisons[test.nodeid] = comparison

    def _report(self, waiting: Sequence[MeasuredTest], index: int) -> None:
        undecided, tests = len(self._undecided()), len(self._tests)
        left = seconds_left(
            self._pass_seconds, self._undecided_after,
            waiting=len(waiting), undecided=undecided, tests=tests, max_passes=self._max_passes, usual=self.usual_passes,
        )  # fmt: skip
        self._report_progress(Progress(waiting[0].nodeid, index + 1, undecided, tests, left, self.unit))


def failed_comparison(test: MeasuredTest, error: Exception, measurement: Measurement) -> Comparison:
    """A test that could not be measured: nothing is known of its speed, and it counts as failed."""
    text = f"it passes on its own and fails in a measuring process:\n{error}"
    what = text if isinstance(error, TestFailed) else str(error)
    return Comparison(test.nodeid, None, (), measurement, broken=what)


def further_setups(first: Mapping[str, PointResult], budget_ns: int) -> Iterator[bool]:
    """After the `first` serving of a test that allows one call per set-up: one item for each further serving, True
    where yet another one follows."""
    slowest = max((max(result.values.get("time", (0.0,))) for result in first.values()), default=0.0)
    rest = max(1, min(MAX_SINGLE_CALL_SETUPS, rounds_for(max(1, round(slowest * 1e9)), budget_ns)) - 1)
    for left in reversed(range(rest)):
        yield left > 0


def run_plan(plan: Generator[_Request, _Answer, _T], ask: Callable[[_Request], _Answer]) -> _T:
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
