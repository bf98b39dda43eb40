"""Tests whose two arms cannot be alive at once: something that they hold (a port, a lock file, a database) exists once.

How that is recognised, and how such tests are measured: with the two sides in alternating fresh processes. What the machine
does between two processes meets one side only, so that the threshold is wider, as for tests that are not kept on one CPU.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from pytest_perfguard.core.errors import ChildError
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Comparison, Measurement, Verdict
from pytest_perfguard.engine.runner.import_audit import ImportAudit
from pytest_perfguard.engine.runner.pair_state import PairWorkers
from pytest_perfguard.engine.runner.process import Launch, WorkerProcess
from pytest_perfguard.engine.runner.protocol import Message
from pytest_perfguard.engine.runner.runner import Runner
from pytest_perfguard.engine.runner.scheduler import (
    MeasuredTest,
    OtherTest,
    Progress,
    Scheduler,
    TestFailed,
    broken_down,
    error_summary,
)
from pytest_perfguard.engine.runner.single_process import not_collected
from pytest_perfguard.engine.verdict.looks import Spent
from pytest_perfguard.engine.verdict.paired import UNPINNED_THRESHOLD, Pairs

#: Once one arm is ready, the other one may take so many seconds more, and so many times as long.
PATIENCE: Final = 10.0
PATIENCE_FACTOR: Final = 3.0
#: Between two looks at whether an arm has answered.
_LOOK_SECONDS: Final = 0.005
#: What programs say when somebody else has what they want.
_HELD: Final = re.compile(
    r"address already in use|already in use|already running|already exists|already locked|is locked|errno 98\b|errno 48\b"
    r"|resource temporarily unavailable|could not acquire|could not be acquired|only one usage of each|lock held|port \d+ is|file exists",
    re.IGNORECASE,
)

#: An exception with its message.
_ERROR: Final = re.compile(r"\b\w*(?:Error|Exception|Timeout)\b: .*")

#: (node id, what was measured so far, how much of the budget is spent) -> the verdict, or None to measure on.
PairJudge = Callable[[str, Pairs, Spent], Comparison | None]


class NeverReady(ChildError):
    """One arm waits for something while the other one holds it, as far as can be seen from outside."""

    def __init__(self, doing: str, *, waited: float, arm: str) -> None:
        super().__init__(doing, arm=arm)
        self.waited = waited

    def what_happened(self) -> str:
        other = "base" if self.arm == "head" else "head"
        return f"was not ready after {self.waited:.0f} s more than the {other}"


def receive_both(
    crew: PairWorkers, *, doing: str, limit: float, clock: Callable[[], float] = time.monotonic
) -> tuple[Message, Message]:
    """The next message of each arm: (base, head).

    Raises
    ------
    NeverReady
        where one arm has answered and the other one does not come.
    """
    start = clock()
    while not any(worker.has_answered(_LOOK_SECONDS) for worker in crew):
        if clock() - start > limit:
            break
    patience = min(limit, PATIENCE + PATIENCE_FACTOR * (clock() - start))
    ready = {arm: worker.has_answered(0) for arm, worker in zip(PairWorkers._fields, crew, strict=True)}
    for arm, worker in zip(PairWorkers._fields, crew, strict=True):
        if any(ready.values()) and not ready[arm] and not worker.has_answered(patience):
            raise NeverReady(doing, waited=patience, arm=arm)
    return crew.base.receive(doing=doing, limit=limit), crew.head.receive(doing=doing, limit=limit)


def collision(error: Exception | str) -> str:
    """What the two arms seem to need both, as the failing one tells it; "" where nothing points to that. Pure."""
    if isinstance(error, NeverReady):
        return f"one arm {error.what_happened()}"
    lines = [line.strip() for line in str(error).splitlines() if _HELD.search(line)]
    if not lines:
        return ""
    named = _ERROR.search(lines[-1])
    return named[0] if named else lines[-1]


class OneAtATime(Scheduler[None]):
    """One measuring phase in which one process is alive at a time, of the base and of the head in turn."""

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
        collisions: Mapping[str, str],
        reasons: Mapping[str, str],
        tell: Callable[[Progress], None],
        most: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(subjects, tell=tell, most=most, clock=clock)
        self._judge = judge
        self._proof = proof
        self._revision = revision
        self._collisions = collisions
        self._reasons = reasons
        self._runners = [Runner(subjects, launch, _never, tell=tell, most=most, clock=clock) for launch in (base, head)]

    @contextlib.contextmanager
    def _start(self, subjects: Sequence[MeasuredTest]) -> Iterator[None]:
        yield None  # each visit starts processes of its own

    def _sort_out(self, crew: None, subjects: Sequence[MeasuredTest]) -> list[MeasuredTest]:
        return list(subjects)

    def _visit(self, crew: None, subject: MeasuredTest, following: str, index: int) -> None:
        self._proof.begin()
        for runner in self._runners if index % 2 == 0 else reversed(self._runners):
            self._take_turn(runner, subject, index)
        base, head = self._runners
        self._proof.check(base.modules, head.modules)
        pairs = self._pairs(subject)
        comparison = self._judge(subject.nodeid, pairs, head.spent(subject, index))
        if comparison is not None:
            self._decide(subject, comparison)

    def _take_turn(self, runner: Runner, subject: MeasuredTest, index: int) -> None:
        is_base = runner is self._runners[0]
        self.processes += 1
        with runner.fresh_process(subject) as worker:
            self._check_collected(worker, subject, is_base=is_base)
            try:
                runner.measure_once(worker, subject, index)
            except TestFailed as error:
                if is_base:
                    raise OtherTest(f"fails with {self._revision}: {error_summary(str(error))}") from None
                raise

    def _check_collected(self, worker: WorkerProcess, subject: MeasuredTest, *, is_base: bool) -> None:
        if subject.nodeid not in worker.ready.found:
            problem = not_collected(worker, subject)
            if is_base:
                raise OtherTest(f"not to be had with {self._revision}: {error_summary(problem)}")
            raise TestFailed(problem)

    def _pairs(self, subject: MeasuredTest) -> Pairs:
        base, head = in_step(*(runner.measurement_of(subject.nodeid) for runner in self._runners))
        note = (
            f"measured with one arm alive at a time, since both need what exists once ({self._collisions[subject.nodeid]}): "
            f"only changes of more than {UNPINNED_THRESHOLD:.0%} can be told"
        )
        head = replace(head, notes=tuple(dict.fromkeys((*head.notes, note))))
        return Pairs(self._revision, base, head, pinned=False, why=self._reasons.get(subject.nodeid, ""))

    def _broken(self, subject: MeasuredTest, error: Exception) -> Comparison:
        pairs = self._pairs(subject)
        if isinstance(error, OtherTest) or (isinstance(error, ChildError) and error.arm == "base"):
            return Comparison(subject.nodeid, Verdict.INCOMPARABLE, (), pairs.head, str(error), pairs.pairing())
        return broken_down(subject, error, pairs.head)


def in_step(base: Measurement, head: Measurement) -> tuple[Measurement, Measurement]:
    """Both with as many rounds in their i-th processes: each went on for as long as the machine was slow. Pure."""
    times = [name for name in base.samples if name in head.samples and base.samples[name].unit == "s"]
    cut = {name: _cut(base.samples[name], head.samples[name]) for name in times}
    return (
        replace(base, samples={**base.samples, **{name: pair[0] for name, pair in cut.items()}}),
        replace(head, samples={**head.samples, **{name: pair[1] for name, pair in cut.items()}}),
    )


def _cut(base: MetricStats, head: MetricStats) -> tuple[MetricStats, MetricStats]:
    lengths = [min(len(one), len(other)) for one, other in zip(base.processes, head.processes, strict=False)]
    sides = (MetricStats.from_rounds(side.unit, tuple(map(_spread, side.processes, lengths))) for side in (base, head))
    one, other = sides
    return one, other


def _spread(rounds: Sequence[float], length: int) -> tuple[float, ...]:
    """So many of the rounds, evenly from the fastest to the slowest: the i-th of one process has no part in that of another."""
    ordered = sorted(rounds)
    return tuple(ordered[(2 * index + 1) * len(ordered) // (2 * length)] for index in range(length))


def _never(_nodeid: str, _measurement: Measurement, _spent: Spent) -> Comparison | None:
    """One side alone decides nothing."""
    return None
