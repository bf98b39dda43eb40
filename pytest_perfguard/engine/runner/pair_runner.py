"""Measures the undecided tests in two trees side by side: in one fresh pair of processes after another."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from pytest_perfguard.core.errors import ChildError, ProtocolError
from pytest_perfguard.core.model import Comparison, Verdict
from pytest_perfguard.core.text import first_of
from pytest_perfguard.engine.measure.messages import CallRaised, MeasureResult
from pytest_perfguard.engine.measure.paired_plan import (
    SLICES,
    ArmRequest,
    PairedPlanOptions,
    PairResult,
    plan_pair,
)
from pytest_perfguard.engine.measure.plan import FirstCallRaised
from pytest_perfguard.engine.runner.base_tests import IF_BUILT, UNBUILT
from pytest_perfguard.engine.runner.faster_than import serve_duel
from pytest_perfguard.engine.runner.import_audit import ImportAudit
from pytest_perfguard.engine.runner.one_at_a_time import NeverReady, collision, receive_both
from pytest_perfguard.engine.runner.pair_state import PairState, PairWorkers
from pytest_perfguard.engine.runner.process import START_LIMIT, STARTING, Launch, WorkerProcess
from pytest_perfguard.engine.runner.protocol import (
    FasterThanPoint,
    FinishedTest,
    Message,
    PointReached,
    Resume,
    ServeTest,
    SetAffinity,
)
from pytest_perfguard.engine.runner.scheduler import (
    MeasuredTest,
    OtherTest,
    Progress,
    Scheduler,
    TestFailed,
    broken_down,
    converse,
    error_summary,
    single_servings,
)
from pytest_perfguard.engine.runner.single_process import not_collected
from pytest_perfguard.engine.verdict.looks import Spent
from pytest_perfguard.engine.verdict.memory import MEMORY_PAIRS, MIN_MEMORY_PAIRS, is_higher
from pytest_perfguard.engine.verdict.paired import UNPINNED_THRESHOLD, Pairs

#: (node id, what was measured so far, how much of the budget is spent) -> the verdict, or None to measure on.
PairJudge = Callable[[str, Pairs, Spent], Comparison | None]


class PairRunner(Scheduler[PairWorkers]):
    """One measuring phase with two processes at a time, one per tree, of which one is active."""

    unit = "pair"

    def __init__(
        self,
        subjects: Sequence[MeasuredTest],
        base: Launch,
        head: Launch,
        judge: PairJudge,
        proof: ImportAudit,
        *,
        revision: str,
        reasons: Mapping[str, str],
        tell: Callable[[Progress], None],
        most: int,
        clock: Callable[[], float] = time.monotonic,
        at_base: Callable[[str, str], bool] = lambda _nodeid, _path: False,
    ) -> None:
        """`at_base`: has the revision itself a test of this node id, in this file?"""
        super().__init__(subjects, tell=tell, most=most, clock=clock)
        self._launches = (base, head)
        self._at_base = at_base
        self._judge = judge
        self._proof = proof
        self._revision = revision
        self._reasons = reasons
        self._sides = {subject.nodeid: PairState.of(subject) for subject in subjects}
        self.collisions: dict[str, str] = {}
        """Tests whose arms cannot be alive at once, and why: their verdict is provisional."""

    @contextlib.contextmanager
    def _start(self, subjects: Sequence[MeasuredTest]) -> Iterator[PairWorkers]:
        nodeids, files = [subject.nodeid for subject in subjects], [subject.path for subject in subjects]
        self.processes += 2
        base, head = (WorkerProcess(launch, nodeids, files) for launch in self._launches)
        with base, head:
            crew = PairWorkers(base, head)
            yield crew
            for worker in crew:
                worker.dismiss()

    def _sort_out(self, crew: PairWorkers, subjects: Sequence[MeasuredTest]) -> list[MeasuredTest]:
        head, base = crew.head.ready, crew.base.ready
        self._proof.begin()
        self._proof.check(base.modules, head.modules)
        for subject in subjects:
            if subject.nodeid not in head.found:
                self._decide(subject, self._broken(subject, TestFailed(not_collected(crew.head, subject))))
            elif subject.nodeid not in base.found:
                if why := collision(not_collected(crew.base, subject)):
                    self.collisions[subject.nodeid] = why
                self._decide(subject, self._absent(crew, subject))
        return [subject for subject in subjects if subject.nodeid not in self.comparisons]

    def _absent(self, crew: PairWorkers, subject: MeasuredTest) -> Comparison:
        """The verdict on a test that the base does not collect: it is new, unless the revision has it."""
        base, why = crew.base.ready, error_summary(not_collected(crew.base, subject))
        if reason := base.unlike.get(subject.nodeid):
            return self._told(subject, Verdict.INCOMPARABLE, f"with {self._revision}, {reason}")
        if subject.nodeid in base.other_ids or not self._at_base(subject.nodeid, subject.path):
            return self._told(subject, Verdict.NEW, f"not to be had with {self._revision}: {why}")
        return self._told(
            subject, Verdict.INCOMPARABLE, f"{self._revision} has this test and cannot run it: {why}; {IF_BUILT}"
        )

    def _visit(self, crew: PairWorkers, subject: MeasuredTest, following: str, index: int) -> None:
        sides = self._sides[subject.nodeid]
        self._reached: float | None = None
        for visits in self._servings(crew, subject, following, index):
            sides.base.add({label: visit.base for label, visit in visits.items()})
            sides.head.add({label: visit.head for label, visit in visits.items()})
            sides.pinned |= {label: visit.pinned for label, visit in visits.items() if not visit.head.stateful}
        seconds = self._clock() - self._reached if self._reached is not None else 0.0
        notes = list(self._notes(crew, sides))
        sides.base.close_process(seconds, collector=crew.base.ready.collector)
        sides.head.close_process(seconds, notes, collector=crew.head.ready.collector)
        spent = Spent.of(sides.head.next_would_exceed, subject.settings.budget, last=index + 1 == self._most)
        comparison = self._judge(subject.nodeid, self._pairs(subject), spent)
        if comparison is not None:
            self._decide(subject, comparison)

    def _notes(self, crew: PairWorkers, sides: PairState) -> Iterator[str]:
        base, head = crew.base.ready, crew.head.ready
        if sides.only_head:
            yield f"imported by the head only: {first_of(sides.only_head)}"
        yield from dict.fromkeys((*head.notes, *base.notes))
        if head.python != base.python:
            yield f"the head runs on Python {head.python}, the base on {base.python}: the change may be the interpreter's"
        if not self._proof.base_is_used:
            yield "the base imported nothing of its own but tests: unless they start its programs, both arms ran the same code"
        if not all(sides.pinned.values()):
            why = "it runs in parallel" if head.pins and base.pins else "this system does not allow it"
            yield f"not kept on one CPU, since {why}: only changes of more than {UNPINNED_THRESHOLD:.0%} can be told"

    def _pairs(self, subject: MeasuredTest) -> Pairs:
        sides = self._sides[subject.nodeid]
        pinned = all(sides.pinned.values())
        why = self._reasons.get(subject.nodeid, "")
        return Pairs(self._revision, sides.base.measurement, sides.head.measurement, pinned, why)

    def _servings(
        self, crew: PairWorkers, subject: MeasuredTest, following: str, index: int
    ) -> Iterator[Mapping[str, PairResult]]:
        """Serve the test once; or, where one set-up allows one call only, as often as rounds are wanted."""
        tally = self._sides[subject.nodeid].head
        settings = subject.settings
        order = PairedPlanOptions(
            settings.metrics,
            round(settings.budget * 1e9),
            pinned=None if crew.head.ready.pins and crew.base.ready.pins else False,
            swapped=index % 2 == 1,
            memory=self._memory_is_open(subject, index),
            single=tally.single,
            place=index * SLICES.stop,
        )
        if not order.single:
            yield self._serve(crew, subject, following, order, index)
            if not tally.single:
                return
        order = replace(order, single=True)
        first = self._serve(crew, subject, subject.nodeid, order, index)
        yield first
        for more in single_servings({label: visit.base for label, visit in first.items()}, order.budget_ns):
            order = replace(order, swapped=not order.swapped)
            yield self._serve(crew, subject, subject.nodeid if more else following, order, index)

    def _memory_is_open(self, subject: MeasuredTest, index: int) -> bool:
        """May another pair change what is known of the memory?"""
        sides = self._sides[subject.nodeid]
        base, head = sides.base.measurement.samples, sides.head.measurement.samples
        return index < MIN_MEMORY_PAIRS or (
            index < MEMORY_PAIRS
            and any(is_higher(base[name], head[name], subject.settings) for name in base if name in head)
        )

    def _serve(
        self, crew: PairWorkers, subject: MeasuredTest, following: str, order: PairedPlanOptions, index: int
    ) -> Mapping[str, PairResult]:
        limit = max(subject.time_limit, START_LIMIT)
        visits: dict[str, PairResult] = {}
        raised = ""
        for worker in crew:
            worker.send(ServeTest(subject.nodeid, following))
        while True:
            base, head = receive_both(crew, doing=f"measuring {subject.nodeid}", limit=limit)
            if isinstance(head, FasterThanPoint) and isinstance(base, FasterThanPoint):
                self._fight(crew, subject, head, index)
                continue
            if not (isinstance(base, PointReached) and isinstance(head, PointReached) and base.label == head.label):
                self._finish(crew, subject, base, head)
                if not (visits or self._sides[subject.nodeid].head.measurement.claims):
                    raise TestFailed.of("", raised)
                return visits
            if self._reached is None:
                self._reached = self._clock()
            try:
                visits[base.label] = self._at_point(crew, subject, base, order, index)
            except FirstCallRaised as error:  # the test goes on to raise it itself, and Done will tell
                raised = str(error)
            for worker in crew:
                worker.send(Resume())

    def _at_point(
        self, crew: PairWorkers, subject: MeasuredTest, point: PointReached, order: PairedPlanOptions, index: int
    ) -> PairResult:
        sides = self._sides[subject.nodeid]
        order = replace(
            order,
            iterations=sides.base.iterations.get(point.label, 0),
            one_by_one=sides.base.one_by_one.get(point.label, ""),
            pinned=sides.pinned.get(point.label, sides.known_pinned.get(point.label))
            if order.pinned is None
            else False,
            memory=order.memory and point.memory,
            fresh=not point.memory,
        )
        plan = plan_pair(order)
        placed = False  # where a point begins

        def ask(request: ArmRequest) -> MeasureResult | CallRaised:
            nonlocal placed
            if request.pinned is not placed:
                placed = request.pinned
                for worker in crew:
                    worker.send(SetAffinity(index if placed else -1))
            worker = crew.base if request.arm == "base" else crew.head
            return worker.ask(request.take, doing=f"measuring {subject.nodeid}", limit=subject.time_limit)

        return converse(plan, ask)

    def _fight(self, crew: PairWorkers, subject: MeasuredTest, duel: FasterThanPoint, index: int) -> None:
        """A claim is about two calls of one tree: the head's."""
        if self._reached is None:
            self._reached = self._clock()
        tally = self._sides[subject.nodeid].head
        if tally.fights(duel.label):
            with contextlib.suppress(FirstCallRaised):
                tally.add_contest(duel.label, serve_duel(crew.head, duel, index, subject))
        for worker in crew:
            worker.send(Resume())

    def _finish(self, crew: PairWorkers, subject: MeasuredTest, base: Message, head: Message) -> None:
        """Both arms to the end of the test, where it is checked that they did the same and ran the right code."""
        same = isinstance(base, FinishedTest) and isinstance(head, FinishedTest)
        base_done, head_done = self._run_out(crew.base, subject, base), self._run_out(crew.head, subject, head)
        self._proof.check(base_done.modules, head_done.modules)
        self._sides[subject.nodeid].only_head = set(head_done.imports) - set(base_done.imports)
        self._sides[subject.nodeid].note_instruments(base_done.instruments, head_done.instruments)
        if head_done.problem:
            raise TestFailed(head_done.problem)
        if base_done.problem:
            why = error_summary(base_done.problem)
            remedy = f"; {IF_BUILT}" if why.startswith(UNBUILT) else ""
            raise OtherTest(f"fails with {self._revision}: {why}{remedy}")
        if not same:
            raise OtherTest(f"reaches other measurement points with {self._revision}")

    def _run_out(self, worker: WorkerProcess, subject: MeasuredTest, message: Message) -> FinishedTest:
        while isinstance(message, PointReached | FasterThanPoint):
            worker.send(Resume())
            message = worker.receive(doing=f"measuring {subject.nodeid}", limit=subject.time_limit)
        if not isinstance(message, FinishedTest):
            raise ProtocolError(f"expected Point or Done while measuring {subject.nodeid}, got {message!r}")
        return message

    def _broken(self, subject: MeasuredTest, error: Exception) -> Comparison:
        if why := collision(error):
            self.collisions[subject.nodeid] = why
            if isinstance(error, NeverReady):
                self._set_aside(subject.path, why)
        if isinstance(error, OtherTest) or (isinstance(error, ChildError) and error.arm == "base"):
            remedy = f"\n{IF_BUILT}" if isinstance(error, ChildError) and error.doing == STARTING else ""
            return self._told(subject, Verdict.INCOMPARABLE, f"{error}{remedy}")
        return broken_down(subject, error, self._sides[subject.nodeid].head.measurement)

    def _set_aside(self, path: str, why: str) -> None:
        """The undecided tests of a file most likely need what one of them waited for: each would cost the same wait."""
        for subject in self._undecided():
            if subject.path == path:
                self.collisions[subject.nodeid] = why
                self._decide(subject, self._told(subject, Verdict.INCOMPARABLE, why))

    def _told(self, subject: MeasuredTest, verdict: Verdict, reason: str) -> Comparison:
        pairs = self._pairs(subject)
        return Comparison(subject.nodeid, verdict, (), pairs.head, reason, pairs.pairing())
