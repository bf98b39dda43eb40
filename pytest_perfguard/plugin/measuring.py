"""The measuring phase on the controller: after the last ordinary test, when nothing else runs."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Generator

import pytest

from pytest_perfguard.abtest.rounds import Subject
from pytest_perfguard.errors import BaselineError
from pytest_perfguard.model import Comparison
from pytest_perfguard.plugin import telling
from pytest_perfguard.plugin.keys import SESSION_METRICS
from pytest_perfguard.plugin.modes import Mode, open_mode
from pytest_perfguard.plugin.options import MODES, run_settings, test_settings
from pytest_perfguard.plugin.ordinary import Harvest, OrdinaryRun, Withheld, log_reports
from pytest_perfguard.plugin.phases import Phases
from pytest_perfguard.plugin.verdicts import apply_verdict, missing_report, test_status
from pytest_perfguard.plugin.wire import ControllerWire, WorkerWire


def register(config: pytest.Config, mode: str) -> None:
    """Decide this process's part once: a worker of xdist, its controller, or both parts in one process."""
    manager = config.pluginmanager
    is_worker = hasattr(config, "workerinput")
    is_controller = not is_worker and config.getoption("dist", "no") != "no"
    if os.name != "posix":
        raise pytest.UsageError(f"{MODES[mode].flag}: measuring needs a POSIX system (Linux, macOS)")
    ordinary = OrdinaryRun()
    if not is_controller:
        manager.register(ordinary, "perfguard-ordinary")
    if is_worker:
        manager.register(WorkerWire(config, ordinary.harvest), "perfguard-wire")
        return
    if is_controller:
        manager.register(ControllerWire(config, ordinary.harvest), "perfguard-wire")
    manager.register(MeasuringPhase(config, open_mode(config, mode), ordinary.harvest), "perfguard-measuring")


class MeasuringPhase:
    """Hooks around the loop and the summary."""

    def __init__(self, config: pytest.Config, mode: Mode, harvest: Harvest) -> None:
        self._config = config
        self._mode = mode
        self._harvest = harvest
        self._settings = run_settings(config)
        self._comparisons: list[Comparison] = []
        self._processes = 0
        self._seconds = 0.0
        self._untold = ""
        self._remarks: list[str] = []

    def pytest_report_header(self) -> list[str]:
        return self._mode.header()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, bool, bool]:
        try:
            result = yield
        except BaseException:
            self._harvest.finished = False
            self._untold = "nothing was measured: the run stopped before its end"
            for withheld in self._harvest.withheld:
                log_reports(self._config, withheld.nodeid, withheld.location, withheld.reports)
            with contextlib.suppress(
                OSError
            ):  # what stopped the run is told; an old report must not pass for this run's
                telling.write_reports(self._config, self._mode, [])
            raise
        if self._harvest.usage_error:
            raise pytest.UsageError(self._harvest.usage_error)
        if self._harvest.lost_workers:
            self._untold = "a worker crashed: the perf tests that it ran have no verdict"
        self._measure_and_tell(session)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            self._untold = self._untold or self._mode.nothing_judged(self._comparisons)
            if self._untold:
                session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        telling.tell_summary(
            terminalreporter, self._mode, self._comparisons, self._processes, self._seconds, self._untold
        )
        for remark in self._remarks:
            terminalreporter.write_line(f"perf: {remark}", yellow=True)

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        return test_status(report)

    def _measure_and_tell(self, session: pytest.Session) -> None:
        start = time.monotonic()
        progress = telling.ProgressTeller(self._config)
        phases = Phases(self._config, self._mode, progress.tell, progress.say)
        try:
            phases.run([self._subject(withheld) for withheld in self._harvest.withheld])
        except BaseException:
            self._harvest.finished = False
            raise
        finally:
            progress.close()
            self._processes, self._seconds = phases.processes, time.monotonic() - start
            self._remarks = phases.remarks
            self._log_verdicts(phases.comparisons)
            self._finish(session)

    def _subject(self, withheld: Withheld) -> Subject:
        settings = test_settings(self._config, withheld.marker, withheld.nodeid)
        self._mode.expect(withheld.nodeid, withheld.source, settings)
        record = self._mode.record_of(withheld.nodeid)
        if record is None:
            return Subject(withheld.nodeid, withheld.path, settings, withheld.seconds)
        return Subject(
            withheld.nodeid, withheld.path, settings, withheld.seconds, record.iterations, record.kernel,
            parallel=record.conditions.get("parallel", False),
        )  # fmt: skip

    def _log_verdicts(self, decided: dict[str, Comparison]) -> None:
        for withheld in self._harvest.withheld:
            comparison = decided.get(withheld.nodeid)
            reports = withheld.reports
            if comparison is not None:
                self._comparisons.append(comparison)
                fails = comparison.fails(strict=self._settings.strict)
                failure = telling.explanation(comparison, self._mode, withheld.location) if fails else None
                reports = apply_verdict(withheld, comparison, failure)
            log_reports(self._config, withheld.nodeid, withheld.location, reports)

    def _finish(self, session: pytest.Session) -> None:
        """What concerns the selection as a whole: tests that are gone, the baseline file, the reports."""
        missing = self._mode.missing(self._harvest) if self._harvest.finished else []
        self._comparisons += missing
        for comparison in missing:
            told = comparison.nodeid in self._harvest.failed
            if not told and comparison.fails(strict=self._settings.strict):
                location = (comparison.nodeid.partition("::")[0], None, comparison.nodeid)
                explanation = telling.explanation(comparison, self._mode, location)
                report = missing_report(comparison.nodeid, location, explanation)
                log_reports(self._config, comparison.nodeid, location, [report])
        whole = self._harvest.finished and not (
            session.testsfailed or self._harvest.deselected or self._harvest.partial
        )
        if (metrics := self._config.stash.get(SESSION_METRICS, None)) is not None:
            metrics.add_comparisons(self._comparisons)
        try:
            telling.write_reports(self._config, self._mode, self._comparisons)
            self._mode.keep(self._comparisons, self._harvest, whole=whole)
        except (BaselineError, OSError) as error:
            raise pytest.UsageError(str(error)) from None
