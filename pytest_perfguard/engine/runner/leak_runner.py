"""Has the tests checked for leaks, in a fresh process where nothing is timed, and suspects once more in another one.

All checks of one test together keep to its budget. The first makes its calls in one set-up, as quickly as they go; the
second in several, to see what outlives them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from pytest_perfguard.core.errors import ProtocolError
from pytest_perfguard.core.model import Comparison, Measurement
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.engine.leaks.findings import Examination
from pytest_perfguard.engine.runner.process import START_LIMIT, Launch, WorkerProcess
from pytest_perfguard.engine.runner.protocol import (
    CheckLeaks,
    FasterThanPoint,
    FinishedTest,
    LeakCheckResult,
    PointReached,
    RecheckLeaks,
    Resume,
    ServeTest,
)
from pytest_perfguard.engine.runner.scheduler import MeasuredTest, Progress, TestFailed, broken_down
from pytest_perfguard.engine.runner.single_process import SingleProcessScheduler
from pytest_perfguard.engine.verdict.leaks import PROCESSES, judge_leaks

#: The whole check of one test is one answer: its calls, traced, and the explanation.
ANSWER_FACTOR: Final = 10.0
#: Seconds. A smaller budget counts as this one: the readings alone, of some dozens of windows, take a good part of it.
LEAST_BUDGET: Final = 4.0
#: Of the budget, for the first check of a test; the second has the rest.
FIRST_SHARE: Final = 0.6
#: For each measurement point, however many there are.
LEAST_SHARE: Final = 0.15


class LeakRunner(SingleProcessScheduler):
    """One phase of leak checks. Its comparisons hold the findings on leaks and nothing else."""

    unit = "leak check"

    def __init__(
        self,
        subjects: Sequence[MeasuredTest],
        launch: Launch,
        *,
        tell: Callable[[Progress], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(subjects, launch, tell=tell, most=PROCESSES, clock=clock)
        self._found: dict[str, list[Mapping[str, Examination]]] = {subject.nodeid: [] for subject in subjects}
        self._spent: dict[str, float] = {}

    def _visit(self, crew: WorkerProcess, subject: MeasuredTest, following: str, index: int) -> None:
        start = self._clock()
        found = self._found[subject.nodeid]
        allowed = FIRST_SHARE if index == 0 else 1.0
        if index:  # an explanation that took its time leaves the second check what is its own
            self._spent[subject.nodeid] = min(self._spent[subject.nodeid], FIRST_SHARE * leak_budget(subject.settings))
        checks: dict[str, Examination] = {}
        suspects: dict[str, Examination] = {}
        if found and subject.settings.leaks:
            suspects = {label: check for label, check in found[-1].items() if check.leaks}
        if not suspects or subject.settings.max_rss_growth is not None:
            checks = self._serve(crew, subject, subject.nodeid if suspects else following, allowed)
        left = len(suspects)
        for label, suspect in suspects.items():
            left -= 1
            again = self._recheck(crew, subject, label, suspect, subject.nodeid if left else following, start)
            once = checks.get(label, again)
            checks[label] = replace(again, calls=again.calls or once.calls, rss=once.rss)
        found.append({**found[-1], **checks} if found else checks)
        self._spent[subject.nodeid] = self._spent.get(subject.nodeid, 0.0) + self._clock() - start
        measurement = Measurement(seconds=self._spent[subject.nodeid])
        comparison = judge_leaks(subject.nodeid, found, subject.settings, measurement)
        if comparison is not None:
            self._decide(subject, comparison)

    def _serve(
        self, crew: WorkerProcess, subject: MeasuredTest, following: str, allowed: float
    ) -> dict[str, Examination]:
        """Check the test's measurement points, in one set-up."""
        doing, limit = _doing(subject), _limit(subject)
        found: dict[str, Examination] = {}
        start = self._clock()
        crew.send(ServeTest(subject.nodeid, following))
        while True:
            message = crew.receive(doing=doing, limit=limit)
            if isinstance(message, FinishedTest):
                if message.problem or not found:
                    raise TestFailed(message.problem or "it reached no measurement point")
                return found
            if not isinstance(message, PointReached | FasterThanPoint):
                raise ProtocolError(f"expected Point or Done while {doing}, got {message!r}")
            order = CheckLeaks(*self._allowance(subject, allowed, start))
            answer = crew.examine(order, doing=doing, limit=limit)
            # A call that raises ends the check of this point; the test goes on, and raises itself where it must.
            found[message.label] = (
                answer.examination if isinstance(answer, LeakCheckResult) else Examination(0, unsettled=answer.text)
            )
            crew.send(Resume())

    def _recheck(
        self, crew: WorkerProcess, subject: MeasuredTest, label: str, suspect: Examination, following: str, start: float
    ) -> Examination:
        """Check one measurement point in a set-up for each window of calls."""
        rates = {leak.kind: leak.per_call for leak in suspect.leaks}
        request = RecheckLeaks(subject.nodeid, following, label, rates, *self._allowance(subject, 1.0, start))
        answer = crew.examine(request, doing=_doing(subject), limit=_limit(subject))
        return answer.examination if isinstance(answer, LeakCheckResult) else Examination(0, unsettled=answer.text)

    def _allowance(self, subject: MeasuredTest, allowed: float, start: float) -> tuple[int, float]:
        """The test's budget in ns, and the part of it that is left until `allowed` of it is spent."""
        budget = leak_budget(subject.settings)
        spent = self._spent.get(subject.nodeid, 0.0) + self._clock() - start
        return round(budget * 1e9), max(LEAST_SHARE, allowed - spent / budget)

    def _broken(self, subject: MeasuredTest, error: Exception) -> Comparison:
        return broken_down(subject, error, Measurement())


def leak_budget(settings: Settings) -> float:
    """Seconds that all leak checks of a test may take together."""
    return max(LEAST_BUDGET, settings.budget)


def _doing(subject: MeasuredTest) -> str:
    return f"checking {subject.nodeid} for leaks"


def _limit(subject: MeasuredTest) -> float:
    """Seconds to wait for any single answer."""
    return max(START_LIMIT, subject.time_limit) + ANSWER_FACTOR * leak_budget(subject.settings)
