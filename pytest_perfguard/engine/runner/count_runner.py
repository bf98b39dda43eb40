"""Count the instructions of tests: one process for all tests, which callgrind or the CPU's counter watches.

Counting never fails a test. A test that cannot be counted has a problem instead, which becomes a note.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pytest_perfguard.core.errors import ProtocolError
from pytest_perfguard.core.model import Comparison
from pytest_perfguard.engine.instructions.dumps import Dump, DumpFolder, DumpUnreadable, difference
from pytest_perfguard.engine.instructions.plan import CountResult, plan_counts
from pytest_perfguard.engine.instructions.python_names import (
    ENVIRONMENT,
    OPTION,
    python_functions,
    remove_names,
    take_names,
)
from pytest_perfguard.engine.instructions.sources import CALLGRIND, Source, real_interpreter
from pytest_perfguard.engine.measure.messages import CallRaised, MeasureRequest, MeasureResult
from pytest_perfguard.engine.measure.plan import FirstCallRaised
from pytest_perfguard.engine.runner.process import START_TIMEOUT, Launch, WorkerProcess
from pytest_perfguard.engine.runner.protocol import (
    FasterThanPoint,
    FinishedTest,
    PointReached,
    Resume,
    ServeTest,
)
from pytest_perfguard.engine.runner.scheduler import (
    FailedAfterCalls,
    MeasuredTest,
    Progress,
    SingleProcessScheduler,
    TestFailed,
    run_plan,
)

#: Code runs up to this many times as long under callgrind.
SLOWDOWN: Final = 100.0


@dataclass(frozen=True)
class PointCounts:
    """Counts of one measurement point in one process."""

    values: tuple[float, ...]
    """Instructions per call of each round."""
    iterations: int
    functions: Mapping[str, float]
    """Instructions per call of each function itself; empty where the source cannot tell functions apart."""


class CountRunner(SingleProcessScheduler):
    """One pass that counts tests. `counts` holds the results by node id and label, `problems` why a test has none.

    Parameters
    ----------
    layout
        number of the memory layout and of the hash seed: equal numbers give equal counts for equal code.
    summarize
        reduces the test runner's report of a failure to one line.
    names_python
        the `functions` of the counts are Python's instead of C's; the totals are larger, and mean nothing.
    """

    unit = "count"

    def __init__(
        self,
        tests: Sequence[MeasuredTest],
        launch: Launch,
        source: Source,
        *,
        layout: int,
        summarize: Callable[[str], str],
        report_progress: Callable[[Progress], None],
        names_python: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(tests, launch, report_progress=report_progress, max_passes=1, clock=clock)
        self._names_python = names_python
        self._source = source
        self._layout = layout
        self._summarize = summarize
        self._dumps = DumpFolder(Path())
        self._process = 0
        self.counts: dict[str, dict[str, PointCounts]] = {}
        self.problems: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.modules: dict[str, str] = {}
        """Files of all modules that the process has imported, by module name."""
        self.python = ""
        """Version of the interpreter that ran the tests."""

    @contextlib.contextmanager
    def _start(self, tests: Sequence[MeasuredTest]) -> Iterator[WorkerProcess]:
        with tempfile.TemporaryDirectory(prefix="perfguard-", ignore_cleanup_errors=True) as folder:
            self._dumps = DumpFolder(Path(folder))
            self.processes += 1
            launch = counting_launch(self._launch, self._source, self._dumps.out_file, self._layout)
            if self._names_python:
                launch = naming_launch(launch)
            try:
                with WorkerProcess(launch, [test.nodeid for test in tests], [test.path for test in tests]) as worker:
                    yield worker
            finally:
                if self._process:
                    remove_names(self._process)

    def _measure(self, workers: WorkerProcess, test: MeasuredTest, following: str, index: int) -> None:
        start = self._clock()
        self.modules |= workers.ready.modules
        self.python = workers.ready.python
        stateful = False
        try:
            counts = self._run_test(workers, test, following, single_call_setup=False)
            again = stateful = any(result is None for result in counts.values())
        except FailedAfterCalls:
            again = True
        if again:  # it cannot be called repeatedly: once more, with one call
            try:
                counts = self._run_test(workers, test, following, single_call_setup=True)
            except TestFailed as error:
                if not stateful:  # it fails with one call, too
                    raise
                problem = self._summarize(str(error)).strip().splitlines()[0]
                raise TestFailed(
                    f"what its first calls change outlives its fixtures ({problem}); restore it in the marker's setup=..."
                ) from None
        self.counts[test.nodeid] = {label: result for label, result in counts.items() if result is not None}
        self.seconds[test.nodeid] = self._clock() - start
        self._decide(test, Comparison(test.nodeid, None))

    def _run_test(
        self, worker: WorkerProcess, test: MeasuredTest, following: str, *, single_call_setup: bool
    ) -> dict[str, PointCounts | None]:
        """Run the test and count its points, by label; None for a point whose second call raised."""
        doing, limit = f"counting the instructions of {test.nodeid}", self._limit(test)
        worker.send(ServeTest(test.nodeid, following))
        found: dict[str, PointCounts | None] = {}
        raised: str | None = None
        claims = False
        while True:
            message = worker.receive(doing=doing, limit=limit)
            if isinstance(message, FinishedTest):
                self.modules |= message.modules
                if message.problem and found and not single_call_setup:
                    raise FailedAfterCalls(message.problem)
                if message.problem or not (found or claims):
                    raise TestFailed.of(message.problem, raised)
                return found
            if not isinstance(message, PointReached | FasterThanPoint):
                raise ProtocolError(f"expected PointReached or FinishedTest while {doing}, got {message!r}")
            if isinstance(message, PointReached):
                try:
                    found[message.label] = self._count_point(worker, doing, limit, single_call_setup)
                except FirstCallRaised as error:
                    raised = str(error)
            claims = claims or isinstance(message, FasterThanPoint)
            worker.send(Resume())

    def _count_point(
        self, worker: WorkerProcess, doing: str, limit: float, single_call_setup: bool
    ) -> PointCounts | None:
        rounds: list[Dump] = []

        def measure(request: MeasureRequest) -> MeasureResult | CallRaised:
            response = worker.measure(request, doing=doing, limit=limit)
            if isinstance(response, CallRaised) or "dumps" not in response.values:
                return response
            dumps = self._read(response.values["dumps"])
            rounds.append(dumps[-1])
            return replace(response, values={"instructions": [dump.total for dump in dumps]})

        result = run_plan(plan_counts(self._source.name, single_call_setup=single_call_setup), measure)
        if result.stateful:
            return None
        return PointCounts(result.values, result.iterations, _functions(result, rounds))

    def _read(self, numbers: Sequence[int]) -> list[Dump]:
        try:
            dumps = [self._dumps.take(number) for number in numbers]
        except DumpUnreadable as error:  # such as a full disk: the process cannot be asked for another count
            raise ProtocolError(str(error)) from None
        if self._names_python:
            self._process = dumps[-1].process
            names = take_names(self._process)
            dumps = [replace(dump, functions=python_functions(dump.functions, names)) for dump in dumps]
        return dumps

    def _limit(self, test: MeasuredTest) -> float:
        """Return the seconds to wait for one response."""
        return max(START_TIMEOUT, test.time_limit) + SLOWDOWN * test.functional_seconds

    def _failure(self, test: MeasuredTest, error: Exception) -> Comparison:
        text = self._summarize(str(error)) if isinstance(error, TestFailed) else str(error)
        self.problems[test.nodeid] = text.strip().splitlines()[0]
        return Comparison(test.nodeid, None)


def counting_launch(launch: Launch, source: Source, out_file: Path, layout: int) -> Launch:
    """Return the launch of a process that the source watches, with a fixed hash seed and memory layout."""
    python = real_interpreter(launch.python) if source.name == CALLGRIND else launch.python
    environment = {**launch.environment, "PYTHONHASHSEED": str(layout)}
    return replace(launch, python=python, prefix=source.command(out_file), environment=environment, layout=layout)


def naming_launch(launch: Launch) -> Launch:
    """Return the launch of a process under callgrind whose counts are separated by Python function."""
    *words, out_file = launch.prefix
    return replace(launch, prefix=[*words, OPTION, out_file], environment={**launch.environment, **ENVIRONMENT})


def _functions(result: CountResult, rounds: Sequence[Dump]) -> dict[str, float]:
    """Return the instructions per call of each function, from the last round of the last responses."""
    if not rounds:
        return {}
    if result.subtracted:
        one, more = rounds[-2:]
        return difference(more.functions, one.functions, result.iterations)
    return difference(rounds[-1].functions, {}, 1)
