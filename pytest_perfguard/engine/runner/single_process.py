"""Rounds with one process at a time: what measuring alone and checking for leaks have in common."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from pytest_perfguard.engine.runner.process import Launch, WorkerProcess
from pytest_perfguard.engine.runner.scheduler import MeasuredTest, Progress, Scheduler, TestFailed


class SingleProcessScheduler(Scheduler[WorkerProcess]):
    """Each round in one fresh process."""

    def __init__(
        self,
        subjects: Sequence[MeasuredTest],
        launch: Launch,
        *,
        tell: Callable[[Progress], None],
        most: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(subjects, tell=tell, most=most, clock=clock)
        self._launch = launch

    def _start(self, subjects: Sequence[MeasuredTest]) -> AbstractContextManager[WorkerProcess]:
        self.processes += 1
        return WorkerProcess(
            self._launch, [subject.nodeid for subject in subjects], [subject.path for subject in subjects]
        )

    def _sort_out(self, crew: WorkerProcess, subjects: Sequence[MeasuredTest]) -> list[MeasuredTest]:
        for subject in subjects:
            if subject.nodeid not in crew.ready.found:
                self._decide(subject, self._broken(subject, TestFailed(not_collected(crew, subject))))
        return [subject for subject in subjects if subject.nodeid in crew.ready.found]


def not_collected(crew: WorkerProcess, subject: MeasuredTest) -> str:
    """Return why a test cannot be found, or is another one than in the run."""
    if reason := crew.ready.unlike.get(subject.nodeid):
        return reason
    file = subject.nodeid.partition("::")[0]
    if reason := crew.ready.other_ids.get(subject.nodeid):
        return reason
    problems = [problem for problem in crew.ready.problems if problem.startswith((f"{file}:", f"{file}::"))]
    return "\n".join(problems) or "a fresh pytest process with the same arguments did not collect this test"
