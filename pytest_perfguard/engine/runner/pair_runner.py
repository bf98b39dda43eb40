"""Measure tests in two trees side by side, in one fresh pair of processes after another, until each test is decided."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from pytest_perfguard.core.errors import ChildError, ProtocolError
from pytest_perfguard.core.model import Comparison, Verdict
from pytest_perfguard.core.text import first_of
from pytest_perfguard.engine.measure.messages import CallRaised, MeasureResult
from pytest_perfguard.engine.measure.paired_plan import (
    SLICE_PAIRS,
    ArmRequest,
    PairedPlanOptions,
    PairResult,
    plan_pair,
)
from pytest_perfguard.engine.measure.plan import FirstCallRaised
from pytest_perfguard.engine.runner.accumulator import MeasurementBuilder
from pytest_perfguard.engine.runner.base_tree import BUILD_HINT, UNBUILT_ERRORS
from pytest_perfguard.engine.runner.faster_than import measure_claim
from pytest_perfguard.engine.runner.pair_workers import (
    NeverReady,
    PairOptions,
    PairWorkers,
    collision_reason,
    is_of_base,
    receive_both,
)
from pytest_perfguard.engine.runner.process import START_TIMEOUT, STARTING_ACTIVITY, WorkerProcess
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
    FailedAfterCalls,
    MeasuredTest,
    OtherTest,
    PointClock,
    Scheduler,
    TestFailed,
    failed_comparison,
    further_setups,
    run_plan,
    why_not_collected,
)
from pytest_perfguard.engine.verdict.looks import Spent
from pytest_perfguard.engine.verdict.memory import MEMORY_PAIRS, MIN_MEMORY_PAIRS, is_higher
from pytest_perfguard.engine.verdict.paired import UNPINNED_THRESHOLD, Pairs


@dataclass
class PairState:
    """The measurements of one test in both arms so far, and how its points are measured."""

    base: MeasurementBuilder = field(default_factory=lambda: MeasurementBuilder({}))
    head: MeasurementBuilder = field(default_factory=lambda: MeasurementBuilder({}))
    pinned: dict[str, bool] = field(default_factory=dict)
    """By label, True if the point is pinned to one CPU."""
    known_pinned: dict[str, bool] = field(default_factory=dict)
    """`pinned` as an earlier phase determined it."""
    only_head: Set[str] = frozenset()
    """Modules that only the head's fresh interpreters import."""

    @classmethod
    def of(cls, test: MeasuredTest) -> PairState:
        """Return the initial state: calls per slice and pinning as an earlier phase found them.

        A number of one call per slice is determined again, because the pairs need the error that causes it.
        """
        iterations = {label: count for label, count in test.iterations.items() if count > 1}
        known = {} if test.parallel is None else dict.fromkeys(test.iterations, not test.parallel)
        return cls(MeasurementBuilder(iterations), MeasurementBuilder({}), known_pinned=known)

    def note_interferences(self, base: Sequence[str], head: Sequence[str]) -> None:
        """Note what was active in the two processes and could not be paused."""
        self.base.note_interferences(base)
        self.head.note_interferences(head)


class PairRunner(Scheduler[PairWorkers]):
    """The phase that measures in two processes at a time, one per tree. Only one of the two is active at a time."""

    unit = "pair"

    def __init__(
        self,
        tests: Sequence[MeasuredTest],
        options: PairOptions,
        *,
        exists_at_base: Callable[[str, str], bool] = lambda _nodeid, _path: False,
    ) -> None:
        """
        Parameters
        ----------
        exists_at_base
            returns whether the revision itself has a test of this node id, in this file.
        """
        super().__init__(
            tests, report_progress=options.report_progress, max_passes=options.max_passes, clock=options.clock
        )
        self._options = options
        self._exists_at_base = exists_at_base
        self._states = {test.nodeid: PairState.of(test) for test in tests}
        self.collisions: dict[str, str] = {}
        """By node id, the reason why the two arms of a test cannot run at the same time. The verdict on it is provisional."""

    @contextlib.contextmanager
    def _start(self, tests: Sequence[MeasuredTest]) -> Iterator[PairWorkers]:
        nodeids, files = [test.nodeid for test in tests], [test.path for test in tests]
        self.processes += 2
        base, head = (WorkerProcess(launch, nodeids, files) for launch in (self._options.base, self._options.head))
        with base, head:
            workers = PairWorkers(base, head)
            yield workers
            for worker in workers:
                worker.request_shutdown()

    def _select_collected(self, workers: PairWorkers, tests: Sequence[MeasuredTest]) -> list[MeasuredTest]:
        head, base = workers.head.ready, workers.base.ready
        self._options.audit.start_pair()
        self._options.audit.check(base.modules, head.modules)
        for test in tests:
            if test.nodeid not in head.found:
                self._decide(test, self._failure(test, TestFailed(why_not_collected(workers.head, test))))
            elif test.nodeid not in base.found:
                if why := collision_reason(why_not_collected(workers.base, test)):
                    self.collisions[test.nodeid] = why
                self._decide(test, self._missing_at_base(workers, test))
        return [test for test in tests if test.nodeid not in self.comparisons]

    def _missing_at_base(self, workers: PairWorkers, test: MeasuredTest) -> Comparison:
        """Return the comparison of a test that the base does not collect: new, unless the revision has it."""
        base, why = workers.base.ready, self._options.summarize(why_not_collected(workers.base, test))
        if reason := base.mismatches.get(test.nodeid):
            return self._without_findings(test, Verdict.INCOMPARABLE, f"with {self._options.revision}, {reason}")
        if test.nodeid in base.other_ids or not self._exists_at_base(test.nodeid, test.path):
            return self._without_findings(test, Verdict.NEW, f"not available with {self._options.revision}: {why}")
        return self._without_findings(
            test, Verdict.INCOMPARABLE, f"{self._options.revision} has this test and cannot run it: {why}; {BUILD_HINT}"
        )

    def _measure(self, workers: PairWorkers, test: MeasuredTest, following: str, index: int) -> None:
        state = self._states[test.nodeid]
        clock = PointClock(self._clock)
        for results in self._test_runs(workers, test, following, index, clock):
            state.base.add({label: result.base for label, result in results.items()})
            state.head.add({label: result.head for label, result in results.items()})
            state.pinned |= {label: result.pinned for label, result in results.items() if not result.head.stateful}
        seconds = clock.seconds
        notes = list(self._notes(workers, state))
        state.base.close_process(seconds, gc_enabled=workers.base.ready.gc_enabled)
        state.head.close_process(seconds, notes, gc_enabled=workers.head.ready.gc_enabled)
        spent = Spent.of(state.head.next_would_exceed, test.settings.budget, last=index + 1 == self._max_passes)
        comparison = self._options.judge(test.nodeid, self._pairs(test), spent)
        if comparison is not None:
            self._decide(test, comparison)

    def _notes(self, workers: PairWorkers, state: PairState) -> Iterator[str]:
        base, head = workers.base.ready, workers.head.ready
        if state.only_head:
            yield f"imported by the head only: {first_of(state.only_head)}"
        yield from dict.fromkeys((*head.notes, *base.notes))
        if head.python != base.python:
            yield f"the head runs on Python {head.python}, the base on {base.python}: the change may be the interpreter's"
        if not self._options.audit.base_is_used:
            yield "the base imported nothing of its own but tests: unless they start its programs, both arms ran the same code"
        if not all(state.pinned.values()):
            why = "it runs in parallel" if head.can_pin and base.can_pin else "this system does not support it"
            yield f"not pinned to one CPU, because {why}: only changes of more than {UNPINNED_THRESHOLD:.0%} can be detected"

    def _pairs(self, test: MeasuredTest) -> Pairs:
        state = self._states[test.nodeid]
        pinned = all(state.pinned.values())
        why = self._options.reasons.get(test.nodeid)
        return Pairs(self._options.revision, state.base.measurement, state.head.measurement, pinned, why)

    def _test_runs(
        self, workers: PairWorkers, test: MeasuredTest, following: str, index: int, clock: PointClock
    ) -> Iterator[Mapping[str, PairResult]]:
        """Run the test once; if one set-up allows one call only, run it once for each slice pair."""
        builder = self._states[test.nodeid].head
        settings = test.settings
        options = PairedPlanOptions(
            settings.metrics,
            round(settings.budget * 1e9),
            pinned=None if workers.head.ready.can_pin and workers.base.ready.can_pin else False,
            head_first=index % 2 == 1,
            memory=self._memory_is_undecided(test, index),
            single_call_setup=builder.single_call_setup,
            first_round=index * SLICE_PAIRS.stop,
        )
        if not options.single_call_setup:
            try:
                results = self._run_test(workers, test, following, options, index, clock)
            except FailedAfterCalls as error:
                reason = f"after repeated calls it fails: {self._options.summarize(str(error))}"
                builder.limit_calls(reason)
                self._states[test.nodeid].base.limit_calls(reason)
            else:
                yield results
            if not builder.single_call_setup:
                return
        options = replace(options, single_call_setup=True)
        first = self._run_test(workers, test, test.nodeid, options, index, clock)
        yield first
        for more in further_setups({label: result.base for label, result in first.items()}, options.budget_ns):
            options = replace(options, head_first=not options.head_first)
            yield self._run_test(workers, test, test.nodeid if more else following, options, index, clock)

    def _memory_is_undecided(self, test: MeasuredTest, index: int) -> bool:
        """Return whether another pair may change the verdict on memory."""
        state = self._states[test.nodeid]
        base, head = state.base.measurement.samples, state.head.measurement.samples
        return index < MIN_MEMORY_PAIRS or (
            index < MEMORY_PAIRS
            and any(is_higher(base[name], head[name], test.settings) for name in base if name in head)
        )

    def _run_test(
        self,
        workers: PairWorkers,
        test: MeasuredTest,
        following: str,
        options: PairedPlanOptions,
        index: int,
        clock: PointClock,
    ) -> Mapping[str, PairResult]:
        """Run the test in both processes and measure its points; return their results by label."""
        limit = max(test.time_limit, START_TIMEOUT)
        results: dict[str, PairResult] = {}
        raised: str | None = None
        for worker in workers:
            worker.send(ServeTest(test.nodeid, following))
        while True:
            base, head = receive_both(workers, doing=f"measuring {test.nodeid}", limit=limit)
            if isinstance(head, FasterThanPoint) and isinstance(base, FasterThanPoint):
                clock.start()
                self._measure_claim(workers, test, head, index)
                continue
            if not (isinstance(base, PointReached) and isinstance(head, PointReached) and base.label == head.label):
                # With results of earlier pairs, single calls could not be compared.
                repeated = bool(results) and not options.single_call_setup
                repeated = repeated and not self._states[test.nodeid].head.measurement.processes
                self._finish(workers, test, base, head, repeated=repeated)
                if not (results or self._states[test.nodeid].head.measurement.claims):
                    raise TestFailed.of(None, raised)
                return results
            clock.start()
            try:
                results[base.label] = self._at_point(workers, test, base, options, index)
            except FirstCallRaised as error:  # the test raises it as well, and FinishedTest reports it
                raised = str(error)
            for worker in workers:
                worker.send(Resume())

    def _at_point(
        self, workers: PairWorkers, test: MeasuredTest, point: PointReached, options: PairedPlanOptions, index: int
    ) -> PairResult:
        """Measure one point in both processes."""
        state = self._states[test.nodeid]
        options = replace(
            options,
            iterations=state.base.iterations.get(point.label, 0),
            single_call_rounds=state.base.single_call_rounds.get(point.label),
            pinned=state.pinned.get(point.label, state.known_pinned.get(point.label))
            if options.pinned is None
            else False,
            memory=options.memory and point.memory,
            process_per_call=not point.memory,
        )
        plan = plan_pair(options)
        pinned = False  # at the beginning of a point

        def measure(request: ArmRequest) -> MeasureResult | CallRaised:
            nonlocal pinned
            if request.pinned is not pinned:
                pinned = request.pinned
                for worker in workers:
                    worker.send(SetAffinity(index if pinned else -1))
            worker = workers.base if request.arm == "base" else workers.head
            return worker.measure(request.request, doing=f"measuring {test.nodeid}", limit=test.time_limit)

        return run_plan(plan, measure)

    def _measure_claim(self, workers: PairWorkers, test: MeasuredTest, point: FasterThanPoint, index: int) -> None:
        """Measure a claim in the head's process, since it compares two calls of one tree, and resume the test."""
        builder = self._states[test.nodeid].head
        if builder.needs_claim(point.label):
            with contextlib.suppress(FirstCallRaised):
                builder.add_claim(point.label, measure_claim(workers.head, point, index, test))
        for worker in workers:
            worker.send(Resume())

    def _finish(
        self, workers: PairWorkers, test: MeasuredTest, base: Message, head: Message, *, repeated: bool
    ) -> None:
        """Run both arms to the end of the test; check that they did the same and ran the right code."""
        same = isinstance(base, FinishedTest) and isinstance(head, FinishedTest)
        base_done, head_done = self._finish_arm(workers.base, test, base), self._finish_arm(workers.head, test, head)
        self._options.audit.check(base_done.modules, head_done.modules)
        self._states[test.nodeid].only_head = set(head_done.imports) - set(base_done.imports)
        self._states[test.nodeid].note_interferences(base_done.interferences, head_done.interferences)
        if same and repeated and (problem := head_done.problem or base_done.problem):
            raise FailedAfterCalls(problem)
        if head_done.problem:
            raise TestFailed(head_done.problem)
        if base_done.problem:
            why = self._options.summarize(base_done.problem)
            remedy = f"; {BUILD_HINT}" if why.startswith(UNBUILT_ERRORS) else ""
            raise OtherTest(f"fails with {self._options.revision}: {why}{remedy}")
        if not same:
            raise OtherTest(f"reaches other measurement points with {self._options.revision}")

    def _finish_arm(self, worker: WorkerProcess, test: MeasuredTest, message: Message) -> FinishedTest:
        while isinstance(message, PointReached | FasterThanPoint):
            worker.send(Resume())
            message = worker.receive(doing=f"measuring {test.nodeid}", limit=test.time_limit)
        if not isinstance(message, FinishedTest):
            raise ProtocolError(f"expected PointReached or FinishedTest while measuring {test.nodeid}, got {message!r}")
        return message

    def _failure(self, test: MeasuredTest, error: Exception) -> Comparison:
        if why := collision_reason(error):
            self.collisions[test.nodeid] = why
            if isinstance(error, NeverReady):
                self._set_aside_sharers(test, why)
        if is_of_base(error):
            remedy = f"\n{BUILD_HINT}" if isinstance(error, ChildError) and error.doing == STARTING_ACTIVITY else ""
            return self._without_findings(test, Verdict.INCOMPARABLE, f"{error}{remedy}")
        builder = self._states[test.nodeid].head
        return failed_comparison(test, error, builder.measurement, single_call_setup=builder.single_call_setup)

    def _set_aside_sharers(self, blamed: MeasuredTest, why: str) -> None:
        """Set aside the undecided tests of a file that share a fixture with the one whose arms collide.

        They most likely need the same resource, and each would cost the same wait. The other tests need it not, and pairs
        with both arms alive find smaller changes.
        """
        for test in self._undecided():
            if test.path == blamed.path and not test.shared_fixtures.isdisjoint(blamed.shared_fixtures):
                self.collisions[test.nodeid] = why
                self._decide(test, self._without_findings(test, Verdict.INCOMPARABLE, why))

    def _without_findings(self, test: MeasuredTest, verdict: Verdict, reason: str) -> Comparison:
        pairs = self._pairs(test)
        return Comparison(test.nodeid, verdict, (), pairs.head, reason, pairs.pairing())
