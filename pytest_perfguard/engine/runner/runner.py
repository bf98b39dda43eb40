"""Measure tests by themselves, in one fresh process after another, until each test is decided."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from pytest_perfguard.core.errors import ProtocolError
from pytest_perfguard.core.model import Comparison, Measurement
from pytest_perfguard.engine.measure.messages import PlanOptions, PointResult
from pytest_perfguard.engine.measure.plan import MAX_ROUNDS, MIN_PARALLEL_LOAD, FirstCallRaised, plan_point
from pytest_perfguard.engine.runner.accumulator import MeasurementBuilder
from pytest_perfguard.engine.runner.faster_than import measure_claim
from pytest_perfguard.engine.runner.process import START_TIMEOUT, Launch, WorkerProcess
from pytest_perfguard.engine.runner.protocol import (
    FasterThanPoint,
    FinishedTest,
    PointReached,
    Resume,
    ServeTest,
    SetAffinity,
)
from pytest_perfguard.engine.runner.scheduler import (
    FailedAfterCalls,
    MeasuredTest,
    PointClock,
    Progress,
    SingleProcessScheduler,
    TestFailed,
    failed_comparison,
    further_setups,
    run_plan,
)
from pytest_perfguard.engine.verdict.looks import Spent
from pytest_perfguard.engine.verdict.memory import MEMORY_PROCESSES

#: (node id, what was measured so far, how much of the budget is spent) -> the verdict, or None to measure on.
Judge = Callable[[str, Measurement, Spent], Comparison | None]
#: Results of a pass -> the node ids of those to measure once more.
Reopen = Callable[[Sequence[Comparison]], Collection[str]]


class Runner(SingleProcessScheduler):
    """The phase that measures each test by itself."""

    def __init__(
        self,
        tests: Sequence[MeasuredTest],
        launch: Launch,
        judge: Judge,
        *,
        report_progress: Callable[[Progress], None],
        max_passes: int,
        reopen: Reopen = lambda _comparisons: (),
        summarize: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(tests, launch, report_progress=report_progress, max_passes=max_passes, clock=clock)
        self._judge = judge
        self._to_reopen = reopen
        self._summarize = summarize
        self._builders = {test.nodeid: MeasurementBuilder(test.iterations) for test in tests}
        self.modules: dict[str, str] = {}
        """Files of all modules that the processes have imported, by module name."""

    def fresh_process(self, test: MeasuredTest) -> AbstractContextManager[WorkerProcess]:
        """Start a process for this test only."""
        return self._start([test])

    def measure_once(self, worker: WorkerProcess, test: MeasuredTest, index: int) -> None:
        """Measure the test in this process without judging it."""
        self.modules |= worker.ready.modules
        self._measure(worker, test, "", index)

    def measurement_of(self, nodeid: str) -> Measurement:
        """Return the measurement of a test so far."""
        return self._builders[nodeid].measurement

    def spent(self, test: MeasuredTest, index: int) -> Spent:
        """Return the share of the test's budget that is spent after the process of this index."""
        builder = self._builders[test.nodeid]
        return Spent.of(builder.next_would_exceed, test.settings.budget, last=index + 1 == self._max_passes)

    def _reopen(self) -> Collection[str]:
        return self._to_reopen(list(self.comparisons.values()))

    def _measure(self, workers: WorkerProcess, test: MeasuredTest, following: str, index: int) -> None:
        builder = self._builders[test.nodeid]
        clock = PointClock(self._clock)
        for results in self._test_runs(workers, test, following, index, clock):
            builder.add(results)
            for label, result in results.items():
                if not result.stateful:  # known from the first process, since pinning limits the load to 1
                    known = test.parallel
                    builder.parallel.setdefault(label, result.busy > MIN_PARALLEL_LOAD if known is None else known)
        seconds = clock.seconds
        notes = [*workers.ready.notes, *_notes(builder, can_pin=workers.ready.can_pin)]
        builder.close_process(seconds, notes, gc_enabled=workers.ready.gc_enabled)
        comparison = self._judge(test.nodeid, builder.measurement, self.spent(test, index))
        if comparison is not None:
            self._decide(test, comparison)

    def _test_runs(
        self, worker: WorkerProcess, test: MeasuredTest, following: str, index: int, clock: PointClock
    ) -> Iterator[Mapping[str, PointResult]]:
        """Run the test once; if one set-up allows one call only, run it once for each round."""
        builder = self._builders[test.nodeid]
        options = PlanOptions(
            test.settings.metrics,
            memory=index < MEMORY_PROCESSES,
            single_call_setup=builder.single_call_setup,
            budget_ns=round(test.settings.budget * 1e9),
            first_round=index * MAX_ROUNDS,
        )
        if not options.single_call_setup:
            try:
                results = self._run_test(worker, test, following, options, index, clock)
            except FailedAfterCalls as error:
                builder.limit_calls(f"after repeated calls it fails: {self._summarize(str(error))}")
            else:
                yield results
            if not builder.single_call_setup:
                return
        options = replace(options, single_call_setup=True)
        first = self._run_test(worker, test, test.nodeid, options, index, clock)
        yield first
        for more in further_setups(first, options.budget_ns):
            yield self._run_test(worker, test, test.nodeid if more else following, options, index, clock)

    def _run_test(
        self,
        worker: WorkerProcess,
        test: MeasuredTest,
        following: str,
        options: PlanOptions,
        index: int,
        clock: PointClock,
    ) -> Mapping[str, PointResult]:
        """Run the test in the process and measure its points; return their results by label."""
        doing, limit = f"measuring {test.nodeid}", test.time_limit
        worker.send(ServeTest(test.nodeid, following))
        results: dict[str, PointResult] = {}
        raised: str | None = None
        while True:
            message = worker.receive(doing=doing, limit=limit if results else max(limit, START_TIMEOUT))
            if isinstance(message, FinishedTest):
                # With results of earlier processes, single calls could not be compared.
                if message.problem and results and not (options.single_call_setup or self._is_measured(test)):
                    raise FailedAfterCalls(message.problem)
                if message.problem or not (results or self._builders[test.nodeid].measurement.claims):
                    raise TestFailed.of(message.problem, raised)
                self.modules |= message.modules
                self._builders[test.nodeid].note_imports(message.imports)
                self._builders[test.nodeid].note_interferences(message.interferences)
                return results
            if not isinstance(message, PointReached | FasterThanPoint):
                raise ProtocolError(
                    f"expected PointReached, FasterThanPoint or FinishedTest while {doing}, got {message!r}"
                )
            clock.start()
            if isinstance(message, FasterThanPoint):
                self._measure_claim(worker, test, message, index)
                continue
            known = self._builders[test.nodeid].iterations.get(message.label, 0)
            plan = plan_point(replace(options, iterations=known, memory=options.memory and message.memory))
            if self._builders[test.nodeid].parallel.get(message.label, test.parallel) is False:
                worker.send(SetAffinity(index))
            try:
                results[message.label] = run_plan(
                    plan, lambda request: worker.measure(request, doing=doing, limit=limit)
                )
            except FirstCallRaised as error:  # the test raises it as well, and FinishedTest reports it
                raised = str(error)
            worker.send(Resume())

    def _is_measured(self, test: MeasuredTest) -> bool:
        return bool(self._builders[test.nodeid].measurement.processes)

    def _measure_claim(self, worker: WorkerProcess, test: MeasuredTest, point: FasterThanPoint, index: int) -> None:
        """Measure a claim once per process, and resume the test."""
        builder = self._builders[test.nodeid]
        if builder.needs_claim(point.label):
            with contextlib.suppress(FirstCallRaised):
                builder.add_claim(point.label, measure_claim(worker, point, index, test))
        worker.send(Resume())

    def _failure(self, test: MeasuredTest, error: Exception) -> Comparison:
        builder = self._builders[test.nodeid]
        return failed_comparison(test, error, builder.measurement, single_call_setup=builder.single_call_setup)


def _notes(builder: MeasurementBuilder, *, can_pin: bool) -> Iterator[str]:
    if not can_pin:
        yield "not pinned to a CPU"
    elif any(builder.parallel.values()):
        yield "runs in parallel: not pinned to one CPU"
