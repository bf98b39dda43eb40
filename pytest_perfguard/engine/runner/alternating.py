"""Measure tests whose two arms cannot run at the same time, in alternating fresh processes of the base and the head.

This is the case if both arms need a resource that exists once: a port, a lock file, a database. A change of the machine
between two processes affects one arm only, so the threshold is wider, as for tests that are not pinned to one CPU.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Comparison, Measurement, Verdict
from pytest_perfguard.engine.runner.pair_workers import PairOptions, is_of_base
from pytest_perfguard.engine.runner.process import WorkerProcess
from pytest_perfguard.engine.runner.runner import Runner
from pytest_perfguard.engine.runner.scheduler import (
    MeasuredTest,
    OtherTest,
    Scheduler,
    TestFailed,
    failed_comparison,
    why_not_collected,
)
from pytest_perfguard.engine.verdict.looks import Spent
from pytest_perfguard.engine.verdict.paired import UNPINNED_THRESHOLD, Pairs


class AlternatingRunner(Scheduler[None]):
    """The phase that runs one process at a time, of the base and of the head in turn."""

    unit = "pair"

    def __init__(
        self,
        tests: Sequence[MeasuredTest],
        options: PairOptions,
        *,
        collisions: Mapping[str, str],
    ) -> None:
        """
        Parameters
        ----------
        collisions
            by node id, the reason why the two arms of a test cannot run at the same time.
        """
        report_progress, max_passes, clock = options.report_progress, options.max_passes, options.clock
        super().__init__(tests, report_progress=report_progress, max_passes=max_passes, clock=clock)
        self._options = options
        self._collisions = collisions
        self._runners = [
            Runner(
                tests, launch, _measure_on,
                report_progress=report_progress, max_passes=max_passes, summarize=options.summarize, clock=clock,
            )
            for launch in (options.base, options.head)
        ]  # fmt: skip

    @contextlib.contextmanager
    def _start(self, tests: Sequence[MeasuredTest]) -> Iterator[None]:
        yield None  # each test gets processes of its own

    def _select_collected(self, workers: None, tests: Sequence[MeasuredTest]) -> list[MeasuredTest]:
        return list(tests)

    def _measure(self, workers: None, test: MeasuredTest, following: str, index: int) -> None:
        self._options.audit.start_pair()
        for runner in self._runners if index % 2 == 0 else reversed(self._runners):
            self._take_turn(runner, test, index)
        base, head = self._runners
        self._options.audit.check(base.modules, head.modules)
        pairs = self._pairs(test)
        comparison = self._options.judge(test.nodeid, pairs, head.spent(test, index))
        if comparison is not None:
            self._decide(test, comparison)

    def _take_turn(self, runner: Runner, test: MeasuredTest, index: int) -> None:
        is_base = runner is self._runners[0]
        self.processes += 1
        with runner.fresh_process(test) as worker:
            self._check_collected(worker, test, is_base=is_base)
            try:
                runner.measure_once(worker, test, index)
            except TestFailed as error:
                if is_base:
                    raise OtherTest(
                        f"fails with {self._options.revision}: {self._options.summarize(str(error))}"
                    ) from None
                raise

    def _check_collected(self, worker: WorkerProcess, test: MeasuredTest, *, is_base: bool) -> None:
        if test.nodeid not in worker.ready.found:
            problem = why_not_collected(worker, test)
            if is_base:
                raise OtherTest(f"not available with {self._options.revision}: {self._options.summarize(problem)}")
            raise TestFailed(problem)

    def _pairs(self, test: MeasuredTest) -> Pairs:
        base, head = equalize_rounds(*(runner.measurement_of(test.nodeid) for runner in self._runners))
        note = (
            f"measured with one arm alive at a time, because both need a resource that exists once ({self._collisions[test.nodeid]}): "
            f"only changes of more than {UNPINNED_THRESHOLD:.0%} can be detected"
        )
        head = replace(head, notes=tuple(dict.fromkeys((*head.notes, note))))
        return Pairs(self._options.revision, base, head, pinned=False, why=self._options.reasons.get(test.nodeid))

    def _failure(self, test: MeasuredTest, error: Exception) -> Comparison:
        pairs = self._pairs(test)
        if is_of_base(error):
            return Comparison(test.nodeid, Verdict.INCOMPARABLE, (), pairs.head, str(error), pairs.pairing())
        return failed_comparison(test, error, pairs.head)


def equalize_rounds(base: Measurement, head: Measurement) -> tuple[Measurement, Measurement]:
    """Return both with equal numbers of rounds in their i-th processes. Pure.

    The two processes choose their numbers of rounds independently.
    """
    times = [name for name in base.samples if name in head.samples and base.samples[name].unit == "s"]
    cut = {name: _equalize(base.samples[name], head.samples[name]) for name in times}
    return (
        replace(base, samples={**base.samples, **{name: pair[0] for name, pair in cut.items()}}),
        replace(head, samples={**head.samples, **{name: pair[1] for name, pair in cut.items()}}),
    )


def _equalize(base: MetricStats, head: MetricStats) -> tuple[MetricStats, MetricStats]:
    lengths = [min(len(one), len(other)) for one, other in zip(base.processes, head.processes, strict=False)]
    sides = (
        MetricStats.from_rounds(side.unit, tuple(map(_evenly_chosen, side.processes, lengths))) for side in (base, head)
    )
    one, other = sides
    return one, other


def _evenly_chosen(rounds: Sequence[float], length: int) -> tuple[float, ...]:
    """Return this many of the rounds, chosen evenly from the fastest to the slowest.

    Their order in time is dropped, because the i-th rounds of two processes are unrelated.
    """
    ordered = sorted(rounds)
    return tuple(ordered[(2 * index + 1) * len(ordered) // (2 * length)] for index in range(length))


def _measure_on(_nodeid: str, _measurement: Measurement, _spent: Spent) -> Comparison | None:
    """Return None: one arm alone decides nothing."""
    return None
