"""Check tests for leaks in a fresh process without timing, and suspects again in a second one.

All checks of one test together stay within its budget. The first check makes its calls in one set-up, in quick
succession; the second check uses several set-ups, to find growth that outlives them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from pytest_perfguard.core.errors import ProtocolError
from pytest_perfguard.core.model import Comparison, Measurement
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.engine.leaks.results import LeakReport
from pytest_perfguard.engine.runner.process import START_TIMEOUT, Launch, WorkerProcess
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
from pytest_perfguard.engine.runner.scheduler import (
    MeasuredTest,
    Progress,
    SingleProcessScheduler,
    TestFailed,
    failed_comparison,
)
from pytest_perfguard.engine.verdict.leaks import PROCESSES, judge_leaks

#: A whole check (calls, tracing, explanation) is one response, so its timeout is the budget times this factor more.
CHECK_TIMEOUT_FACTOR: Final = 10.0
#: A smaller budget counts as this one, because the readings of some dozens of windows alone take much of it.
MIN_BUDGET_SECONDS: Final = 4.0
#: Fraction of the budget for the first check of a test; the second check has the rest.
FIRST_CHECK_SHARE: Final = 0.6
#: Minimum fraction for each measurement point, even if a test has many.
MIN_POINT_SHARE: Final = 0.15


class LeakRunner(SingleProcessScheduler):
    """The phase of leak checks. Its comparisons contain only findings on leaks."""

    unit = "leak check"

    def __init__(
        self,
        tests: Sequence[MeasuredTest],
        launch: Launch,
        *,
        report_progress: Callable[[Progress], None],
        summarize: Callable[[str], str] = str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(tests, launch, report_progress=report_progress, max_passes=PROCESSES, clock=clock)
        self._reports: dict[str, list[Mapping[str, LeakReport]]] = {test.nodeid: [] for test in tests}
        self._summarize = summarize
        self._spent: dict[str, float] = {}

    def _measure(self, workers: WorkerProcess, test: MeasuredTest, following: str, index: int) -> None:
        start = self._clock()
        reports = self._reports[test.nodeid]
        allowed = FIRST_CHECK_SHARE if index == 0 else 1.0
        if index:  # a long explanation in the first check does not reduce the share of the second one
            self._spent[test.nodeid] = min(self._spent[test.nodeid], FIRST_CHECK_SHARE * leak_budget(test.settings))
        checks: dict[str, LeakReport] = {}
        suspects: dict[str, LeakReport] = {}
        if reports and test.settings.leaks:
            suspects = {label: check for label, check in reports[-1].items() if check.leaks}
        if not suspects or test.settings.max_rss_growth is not None:
            checks = self._run_test(workers, test, test.nodeid if suspects else following, allowed)
        left = len(suspects)
        for label, suspect in suspects.items():
            left -= 1
            again = self._recheck(workers, test, label, suspect, test.nodeid if left else following, start)
            once = checks.get(label, again)
            checks[label] = replace(again, calls=again.calls or once.calls, rss=once.rss)
        reports.append({**reports[-1], **checks} if reports else checks)
        self._spent[test.nodeid] = self._spent.get(test.nodeid, 0.0) + self._clock() - start
        measurement = Measurement(seconds=self._spent[test.nodeid])
        comparison = judge_leaks(test.nodeid, reports, test.settings, measurement)
        if comparison is not None:
            self._decide(test, comparison)

    def _run_test(
        self, workers: WorkerProcess, test: MeasuredTest, following: str, allowed: float
    ) -> dict[str, LeakReport]:
        """Run the test and check its measurement points in one set-up; return the reports by label."""
        doing, limit = _activity(test), _timeout(test)
        found: dict[str, LeakReport] = {}
        start = self._clock()
        workers.send(ServeTest(test.nodeid, following))
        while True:
            message = workers.receive(doing=doing, limit=limit)
            if isinstance(message, FinishedTest):
                if message.problem and found and not any(check.unsettled for check in found.values()):
                    return _unsettled(found, f"after repeated calls it fails: {self._summarize(message.problem)}")
                if message.problem or not found:
                    raise TestFailed(message.problem or "it reached no measurement point")
                return found
            if not isinstance(message, PointReached | FasterThanPoint):
                raise ProtocolError(
                    f"expected PointReached, FasterThanPoint or FinishedTest while {doing}, got {message!r}"
                )
            request = CheckLeaks(*self._allowance(test, allowed, start))
            response = workers.check_leaks(request, doing=doing, limit=limit)
            # An exception of a call ends the check of this point. The test continues, and may raise it as well.
            found[message.label] = (
                response.report if isinstance(response, LeakCheckResult) else LeakReport(0, unsettled=response.text)
            )
            workers.send(Resume())

    def _recheck(
        self, workers: WorkerProcess, test: MeasuredTest, label: str, suspect: LeakReport, following: str, start: float
    ) -> LeakReport:
        """Check one measurement point in several set-ups."""
        rates = {leak.kind: leak.per_call for leak in suspect.leaks}
        request = RecheckLeaks(test.nodeid, following, label, rates, *self._allowance(test, 1.0, start))
        response = workers.check_leaks(request, doing=_activity(test), limit=_timeout(test))
        return response.report if isinstance(response, LeakCheckResult) else LeakReport(0, unsettled=response.text)

    def _allowance(self, test: MeasuredTest, allowed: float, start: float) -> tuple[int, float]:
        """Return the budget in ns, and the fraction of it that is left until the fraction `allowed` is spent."""
        budget = leak_budget(test.settings)
        spent = self._spent.get(test.nodeid, 0.0) + self._clock() - start
        return round(budget * 1e9), max(MIN_POINT_SHARE, allowed - spent / budget)

    def _failure(self, test: MeasuredTest, error: Exception) -> Comparison:
        return failed_comparison(test, error, Measurement())


def _unsettled(checks: Mapping[str, LeakReport], reason: str) -> dict[str, LeakReport]:
    """Return the checks of a test that failed after them: leaks that were found count, the absence of leaks does not."""
    return {
        label: check if check.leaks else LeakReport(check.calls, unsettled=reason) for label, check in checks.items()
    }


def leak_budget(settings: Settings) -> float:
    """Return the seconds that all leak checks of a test may take together."""
    return max(MIN_BUDGET_SECONDS, settings.budget)


def _activity(test: MeasuredTest) -> str:
    return f"checking {test.nodeid} for leaks"


def _timeout(test: MeasuredTest) -> float:
    """Return the seconds to wait for one response."""
    return max(START_TIMEOUT, test.time_limit) + CHECK_TIMEOUT_FACTOR * leak_budget(test.settings)
