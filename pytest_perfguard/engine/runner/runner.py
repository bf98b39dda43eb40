"""Measures the undecided tests alone, in one fresh process after another until each is decided."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from pytest_perfguard.core.errors import ProtocolError
from pytest_perfguard.core.model import Comparison, Measurement
from pytest_perfguard.engine.measure.messages import PlanOptions, PointResult
from pytest_perfguard.engine.measure.plan import PARALLEL, ROUNDS, FirstCallRaised, plan_visit
from pytest_perfguard.engine.runner.accumulator import MeasurementBuilder
from pytest_perfguard.engine.runner.faster_than import serve_duel
from pytest_perfguard.engine.runner.process import START_LIMIT, Launch, WorkerProcess
from pytest_perfguard.engine.runner.protocol import (
    FasterThanPoint,
    FinishedTest,
    PointReached,
    Resume,
    ServeTest,
    SetAffinity,
)
from pytest_perfguard.engine.runner.scheduler import (
    MeasuredTest,
    Progress,
    TestFailed,
    broken_down,
    converse,
    single_servings,
)
from pytest_perfguard.engine.runner.single_process import SingleProcessScheduler
from pytest_perfguard.engine.verdict.looks import Spent
from pytest_perfguard.engine.verdict.memory import MEMORY_PROCESSES

#: (node id, what was measured so far, how much of the budget is spent) -> the verdict, or None to measure on.
Judge = Callable[[str, Measurement, Spent], Comparison | None]


class Runner(SingleProcessScheduler):
    """One measuring phase with one process at a time."""

    def __init__(
        self,
        subjects: Sequence[MeasuredTest],
        launch: Launch,
        judge: Judge,
        *,
        tell: Callable[[Progress], None],
        most: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(subjects, launch, tell=tell, most=most, clock=clock)
        self._judge = judge
        self._tallies = {subject.nodeid: MeasurementBuilder(subject.iterations) for subject in subjects}
        self.modules: dict[str, str] = {}
        """The files of all modules that the processes have imported."""

    def fresh_process(self, subject: MeasuredTest) -> AbstractContextManager[WorkerProcess]:
        """A process for this test alone."""
        return self._start([subject])

    def measure_once(self, child: WorkerProcess, subject: MeasuredTest, index: int) -> None:
        """Measure the test in this process, and decide nothing."""
        self.modules |= child.ready.modules
        self._visit(child, subject, "", index)

    def measurement_of(self, nodeid: str) -> Measurement:
        """What the processes gave so far."""
        return self._tallies[nodeid].measurement

    def spent(self, subject: MeasuredTest, index: int) -> Spent:
        """Return how much of the test's budget is spent after this process."""
        tally = self._tallies[subject.nodeid]
        return Spent.of(tally.next_would_exceed, subject.settings.budget, last=index + 1 == self._most)

    def _visit(self, crew: WorkerProcess, subject: MeasuredTest, following: str, index: int) -> None:
        tally = self._tallies[subject.nodeid]
        # Shared fixtures are set up by whichever test comes first: they are not what this test costs.
        self._reached: float | None = None
        for visits in self._servings(crew, subject, following, index):
            tally.add(visits)
            for label, visit in visits.items():
                if not visit.stateful:  # kept on one CPU, which comes after this is known, it is 1 at most
                    known = subject.parallel
                    tally.parallel.setdefault(label, visit.busy > PARALLEL if known is None else known)
        seconds = self._clock() - self._reached if self._reached is not None else 0.0
        notes = [*crew.ready.notes, *_notes(tally, pins=crew.ready.pins)]
        tally.close_process(seconds, notes, collector=crew.ready.collector)
        comparison = self._judge(subject.nodeid, tally.measurement, self.spent(subject, index))
        if comparison is not None:
            self._decide(subject, comparison)

    def _servings(
        self, child: WorkerProcess, subject: MeasuredTest, following: str, index: int
    ) -> Iterator[Mapping[str, PointResult]]:
        """Serve the test once; or, where one set-up allows one call only, as often as rounds are wanted."""
        tally = self._tallies[subject.nodeid]
        order = PlanOptions(
            subject.settings.metrics,
            memory=index < MEMORY_PROCESSES,
            single=tally.single,
            budget_ns=round(subject.settings.budget * 1e9),
            place=index * ROUNDS,
        )
        if not order.single:
            yield self._serve(child, subject, following, order, index)
            if not tally.single:
                return
        order = replace(order, single=True)
        first = self._serve(child, subject, subject.nodeid, order, index)
        yield first
        for more in single_servings(first, order.budget_ns):
            yield self._serve(child, subject, subject.nodeid if more else following, order, index)

    def _serve(
        self, child: WorkerProcess, subject: MeasuredTest, following: str, order: PlanOptions, index: int
    ) -> Mapping[str, PointResult]:
        doing, limit = f"measuring {subject.nodeid}", subject.time_limit
        child.send(ServeTest(subject.nodeid, following))
        visits: dict[str, PointResult] = {}
        raised = ""
        while True:
            message = child.receive(doing=doing, limit=limit if visits else max(limit, START_LIMIT))
            if isinstance(message, FinishedTest):
                if message.problem or not (visits or self._tallies[subject.nodeid].measurement.claims):
                    raise TestFailed.of(message.problem, raised)
                self.modules |= message.modules
                self._tallies[subject.nodeid].note_imports(message.imports)
                self._tallies[subject.nodeid].note_instruments(message.instruments)
                return visits
            if not isinstance(message, PointReached | FasterThanPoint):
                raise ProtocolError(f"expected Point, Duel or Done while {doing}, got {message!r}")
            if self._reached is None:
                self._reached = self._clock()
            if isinstance(message, FasterThanPoint):
                self._fight(child, subject, message, index)
                continue
            known = self._tallies[subject.nodeid].iterations.get(message.label, 0)
            plan = plan_visit(replace(order, iterations=known, memory=order.memory and message.memory))
            if self._tallies[subject.nodeid].parallel.get(message.label, subject.parallel) is False:
                child.send(SetAffinity(index))
            try:
                visits[message.label] = converse(plan, lambda take: child.ask(take, doing=doing, limit=limit))
            except FirstCallRaised as error:  # the test goes on to raise it itself, and Done will tell
                raised = str(error)
            child.send(Resume())

    def _fight(self, child: WorkerProcess, subject: MeasuredTest, duel: FasterThanPoint, index: int) -> None:
        tally = self._tallies[subject.nodeid]
        if tally.fights(duel.label):
            with contextlib.suppress(FirstCallRaised):
                tally.add_contest(duel.label, serve_duel(child, duel, index, subject))
        child.send(Resume())

    def _broken(self, subject: MeasuredTest, error: Exception) -> Comparison:
        return broken_down(subject, error, self._tallies[subject.nodeid].measurement)


def _notes(tally: MeasurementBuilder, *, pins: bool) -> Iterator[str]:
    if not pins:
        yield "not pinned to a CPU"
    elif any(tally.parallel.values()):
        yield "runs in parallel: not kept on one CPU"
