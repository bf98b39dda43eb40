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


def why_not_collected(workers: WorkerProcess, test: MeasuredTest) -> str:
    """Return why a test cannot be found, or is another one than in the run."""
    if reason := workers.ready.mismatches.get(test.nodeid):
        return reason
    file = test.nodeid.partition("::")[0]
    if reason := workers.ready.other_ids.get(test.nodeid):
        return reason
    problems = [problem for problem in workers.ready.problems if problem.startswith((f"{file}:", f"{file}::"))]
    return "\n".join(problems) or "a fresh pytest process with the same arguments did not collect this test"
