"""Has the tests checked for leaks, in a fresh process where nothing is timed, and suspects once more in another one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pytest_perfguard.abtest.protocol import Done, Duel, Examine, Found, GoOn, Point, Serve
from pytest_perfguard.abtest.rounds import Progress, Subject, TestFailed, broken_down
from pytest_perfguard.abtest.single import SingleRounds
from pytest_perfguard.abtest.worker import START_LIMIT, Launch, Worker
from pytest_perfguard.errors import ProtocolError
from pytest_perfguard.judge.leaks import PROCESSES, judge_leaks
from pytest_perfguard.leaks.findings import Examination
from pytest_perfguard.model import Comparison, Measurement

#: The whole check of one test is one answer: its calls, traced, and the explanation.
ANSWER_FACTOR: Final = 10.0


class Examiner(SingleRounds):
    """One phase of leak checks. Its comparisons hold the findings on leaks and nothing else."""

    unit = "leak check"

    def __init__(
        self,
        subjects: Sequence[Subject],
        launch: Launch,
        *,
        tell: Callable[[Progress], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(subjects, launch, tell=tell, most=PROCESSES, clock=clock)
        self._found: dict[str, list[Mapping[str, Examination]]] = {subject.nodeid: [] for subject in subjects}

    def _visit(self, crew: Worker, subject: Subject, following: str, index: int) -> None:
        start = self._clock()
        found = self._found[subject.nodeid]
        found.append(self._serve(crew, subject, following))
        measurement = Measurement(seconds=self._clock() - start)
        comparison = judge_leaks(subject.nodeid, found, subject.settings, measurement)
        if comparison is not None:
            self._decide(subject, comparison)

    def _serve(self, crew: Worker, subject: Subject, following: str) -> Mapping[str, Examination]:
        doing = f"checking {subject.nodeid} for leaks"
        limit = max(START_LIMIT, subject.time_limit) + ANSWER_FACTOR * subject.settings.budget
        order = Examine(round(subject.settings.budget * 1e9))
        found: dict[str, Examination] = {}
        crew.send(Serve(subject.nodeid, following))
        while True:
            message = crew.receive(doing=doing, limit=limit)
            if isinstance(message, Done):
                if message.problem or not found:
                    raise TestFailed(message.problem or "it reached no measurement point")
                return found
            if not isinstance(message, Point | Duel):
                raise ProtocolError(f"expected Point or Done while {doing}, got {message!r}")
            answer = crew.examine(order, doing=doing, limit=limit)
            # A call that raises ends the check of this point; the test goes on, and raises itself where it must.
            found[message.label] = (
                answer.examination if isinstance(answer, Found) else Examination(0, unsettled=answer.text)
            )
            crew.send(GoOn())

    def _broken(self, subject: Subject, error: Exception) -> Comparison:
        return broken_down(subject, error, Measurement())
