"""One measuring phase: pass after pass over the undecided tests, each pass in fresh processes.

`Scheduler` holds the rules that all phases share; `SingleProcessScheduler` runs one process at a time.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from pytest_perfguard.core.errors import ChildError, PerfguardError, ProtocolError
from pytest_perfguard.core.model import Comparison, Measurement
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.engine.measure.messages import PointResult
from pytest_perfguard.engine.measure.plan import MAX_SINGLE_CALL_SETUPS, rounds_for
from pytest_perfguard.engine.runner.process import Launch, WorkerProcess
from pytest_perfguard.engine.runner.time_estimate import USUAL_PASSES, seconds_left

#: A test counts as hung after this many seconds plus this many times the duration of its functional run.
MIN_TIMEOUT_SECONDS: Final = 60.0
TIMEOUT_FACTOR: Final = 20.0


@dataclass(frozen=True)
class MeasuredTest:
    """A test to measure."""

    nodeid: str
    path: str
    """Absolute path of the file that holds it."""
    settings: Settings
    functional_seconds: float
    """Duration of its functional run, with set-up and teardown."""
    iterations: Mapping[str, int] = field(default_factory=dict)
    """Calls per round in the baseline, by label of the measurement point."""
    parallel: bool | None = None
    """True if the baseline recorded it as running in parallel, not pinned to one CPU; None: nothing is recorded."""
    shared_fixtures: frozenset[str] = frozenset()
    """Names of fixtures of the project that it shares with other tests: those of a wider scope than one test."""

    @property
    def time_limit(self) -> float:
        """Seconds to wait for one response of the measuring process."""
        return MIN_TIMEOUT_SECONDS + TIMEOUT_FACTOR * self.functional_seconds


@dataclass(frozen=True)
class Progress:
    """State of a running phase, for display."""

    nodeid: str
    pass_number: int
    """From 1."""
    undecided: int
    tests: int
    seconds_left: float
    """An estimate; 0 before the first test was measured."""
    unit: str = "process"
    """Name of what one pass runs per test."""
    waiting: int = 0
    """Tests that this pass has still to measure, the present one included."""
    of_pass: int = 0
    """Tests that this pass measures."""
    share: float = 0.0
    """Estimated part of the phase that is done, from 0 to 1."""


class TestFailed(PerfguardError):
    """A test that passed its functional run failed in a measuring process."""

    __test__ = False

    @classmethod
    def of(cls, problem: str | None, raised: str | None) -> TestFailed:
        """Build the error from the failure that the process reported, if any, and from what the measured call raised, if anything."""
        unmeasured = f"its measured call raised {raised}, which the test expected: there is nothing to time"
        return cls(problem or (unmeasured if raised else "it reached no measurement point"))


class FailedAfterCalls(TestFailed):
    """A test failed after its points were called repeatedly: it may work with one call per set-up."""


class OtherTest(PerfguardError):
    """The base cannot run the test, or runs another one under its node id. The message gives the reason."""


class PointClock:
    """Time of a test in one process, from its first measurement point on.

    The set-up before that point is left out: shared fixtures are set up by the first test that needs them.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._start: float | None = None

    def start(self) -> None:
        """Start the clock, unless an earlier point has started it."""
        if self._start is None:
            self._start = self._clock()

    @property
    def seconds(self) -> float:
        """Seconds since the start; 0 if no point was reached."""
        return self._clock() - self._start if self._start is not None else 0.0


Workers = TypeVar("Workers")
_T = TypeVar("_T")
_Request = TypeVar("_Request")
_Response = TypeVar("_Response")


class Scheduler(ABC, Generic[Workers]):
    """Base class of the phases. `comparisons` holds the decided tests, also after an interrupt."""

    unit = "process"
    usual_passes = USUAL_PASSES
    """Passes that most tests of the phase need."""

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
        self._begin: float | None = None
        """Start of the measuring in the first pass."""
        self._of_pass = 0
        self._share = 0.0
        self._start_failed = False
        self._reopened: set[str] = set()
        """Tests that are measured once more although they are decided, by node id."""
        self.comparisons: dict[str, Comparison] = {}
        self.processes = 0

    @abstractmethod
    def _start(self, tests: Sequence[MeasuredTest]) -> AbstractContextManager[Workers]:
        """Start fresh processes, which run inside the `with` block."""

    @abstractmethod
    def _select_collected(self, workers: Workers, tests: Sequence[MeasuredTest]) -> list[MeasuredTest]:
        """Return the tests that the processes have collected, and decide the others."""

    @abstractmethod
    def _measure(self, workers: Workers, test: MeasuredTest, following: str, index: int) -> None:
        """Measure one test in the pass of this index, and decide it if the data suffice.

        `following` is the node id of the next test; "" after the last one.
        """

    @abstractmethod
    def _failure(self, test: MeasuredTest, error: Exception) -> Comparison:
        """Return the comparison of a test that ended with this error."""

    def run(self) -> None:
        """Measure until every test is decided, or the passes are used up."""
        for index in range(self._max_passes):
            undecided = self._undecided()
            if not undecided:
                break
            start = self._clock()
            while undecided:
                left = self._one_pass(index, undecided)
                undecided = [test for test in left if self._is_open(test)]
            self._reopened.update(self._reopen())
            self._pass_seconds.append(self._clock() - start)
            self._undecided_after.append(len(self._undecided()))

    def _reopen(self) -> Collection[str]:
        """Return the node ids of decided tests that the next pass measures once more; here none."""
        return ()

    def _is_open(self, test: MeasuredTest) -> bool:
        return test.nodeid not in self.comparisons or test.nodeid in self._reopened

    def _undecided(self) -> list[MeasuredTest]:
        return list(filter(self._is_open, self._tests))

    def _one_pass(self, index: int, tests: list[MeasuredTest]) -> list[MeasuredTest]:
        """Measure the tests in fresh processes; return those that need other processes because these failed."""
        waiting = list(tests)
        self._of_pass = len(tests)
        measuring = False
        self._report(waiting, index)
        try:
            with self._start(tests) as workers:
                waiting = self._select_collected(workers, waiting)
                if self._begin is None:
                    self._begin = self._clock()
                while waiting:
                    measuring = True
                    self._report(waiting, index)
                    self._measure_or_fail(workers, waiting[0], waiting[1].nodeid if len(waiting) > 1 else "", index)
                    waiting.pop(0)
        except (ChildError, ProtocolError) as error:
            # A process that fails while it measures a test fails that test. One that fails before is started once
            # more; a second failure of this kind fails all tests.
            if not measuring and not self._start_failed:
                self._start_failed = True
                return waiting
            failed = waiting[:1] if measuring else waiting
            for test in failed:
                self._decide(test, self._failure(test, error))
            return waiting[len(failed) :]
        return []

    def _measure_or_fail(self, workers: Workers, test: MeasuredTest, following: str, index: int) -> None:
        try:
            self._measure(workers, test, following, index)
        except (TestFailed, OtherTest) as error:
            self._decide(test, self._failure(test, error))

    def _decide(self, test: MeasuredTest, comparison: Comparison) -> None:
        self.comparisons[test.nodeid] = comparison
        self._reopened.discard(test.nodeid)

    def _report(self, waiting: Sequence[MeasuredTest], index: int) -> None:
        undecided, tests = len(self._undecided()), len(self._tests)
        elapsed = self._clock() - self._begin if self._begin is not None else 0.0
        left = seconds_left(
            self._pass_seconds, self._undecided_after,
            waiting=len(waiting), undecided=undecided, tests=tests, max_passes=self._max_passes, usual=self.usual_passes,
            elapsed=elapsed,
        )  # fmt: skip
        # A test that turns out to need one more pass adds to the time left; the bar stands still meanwhile.
        self._share = max(self._share, elapsed / (elapsed + left) if left else 0.0)
        self._report_progress(
            Progress(
                waiting[0].nodeid, index + 1, undecided, tests, left, self.unit,
                waiting=len(waiting), of_pass=self._of_pass, share=self._share,
            )
        )  # fmt: skip


class SingleProcessScheduler(Scheduler[WorkerProcess]):
    """A phase whose passes take one fresh process each."""

    def __init__(
        self,
        tests: Sequence[MeasuredTest],
        launch: Launch,
        *,
        report_progress: Callable[[Progress], None],
        max_passes: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(tests, report_progress=report_progress, max_passes=max_passes, clock=clock)
        self._launch = launch

    def _start(self, tests: Sequence[MeasuredTest]) -> AbstractContextManager[WorkerProcess]:
        self.processes += 1
        return WorkerProcess(self._launch, [test.nodeid for test in tests], [test.path for test in tests])

    def _select_collected(self, workers: WorkerProcess, tests: Sequence[MeasuredTest]) -> list[MeasuredTest]:
        for test in tests:
            if test.nodeid not in workers.ready.found:
                self._decide(test, self._failure(test, TestFailed(why_not_collected(workers, test))))
        return [test for test in tests if test.nodeid in workers.ready.found]


def why_not_collected(worker: WorkerProcess, test: MeasuredTest) -> str:
    """Return why a process has not collected a test, or has collected another one under its node id."""
    if reason := worker.ready.mismatches.get(test.nodeid):
        return reason
    file = test.nodeid.partition("::")[0]
    if reason := worker.ready.other_ids.get(test.nodeid):
        return reason
    problems = [problem for problem in worker.ready.problems if problem.startswith((f"{file}:", f"{file}::"))]
    return "\n".join(problems) or "a fresh pytest process with the same arguments did not collect this test"


def failed_comparison(
    test: MeasuredTest, error: Exception, measurement: Measurement, *, single_call_setup: bool = False
) -> Comparison:
    """Return the comparison of a test that could not be measured. It counts as failed."""
    text = f"it passes on its own and fails in a measuring process:\n{error}"
    if single_call_setup:
        text += (
            "\n\nIt was called once per set-up, so what its calls change outlives its fixtures: restore it in the marker's "
            "setup=..., or in the fixture."
        )
    what = text if isinstance(error, TestFailed) else str(error)
    return Comparison(test.nodeid, None, (), measurement, broken=what)


def further_setups(first: Mapping[str, PointResult], budget_ns: int) -> Iterator[bool]:
    """Yield once for each further set-up of a test that allows one call per set-up: True if another one follows.

    `first` holds the results of the first set-up.
    """
    slowest = max((max(result.values.get("time", (0.0,))) for result in first.values()), default=0.0)
    rest = max(1, min(MAX_SINGLE_CALL_SETUPS, rounds_for(max(1, round(slowest * 1e9)), budget_ns)) - 1)
    for left in reversed(range(rest)):
        yield left > 0


def run_plan(plan: Generator[_Request, _Response, _T], send: Callable[[_Request], _Response]) -> _T:
    """Send each request of the plan, feed the response back, and return the plan's result."""
    try:
        request = next(plan)
        while True:
            request = plan.send(send(request))
    except StopIteration as stop:
        result: _T = stop.value
        return result
