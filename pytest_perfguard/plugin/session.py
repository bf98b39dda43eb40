"""Measuring phase: on the controller, after the last ordinary test, when nothing else runs."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from time import monotonic  # imported by name, since a test may patch it in its module
from typing import Final

import pytest

from pytest_perfguard.core.errors import BaselineError, PerfguardError
from pytest_perfguard.core.model import Comparison
from pytest_perfguard.core.system_errors import explain_error
from pytest_perfguard.core.text import plural, printable
from pytest_perfguard.engine.measure.process_limits import ProcessLimits
from pytest_perfguard.engine.runner.scheduler import MeasuredTest
from pytest_perfguard.plugin import terminal
from pytest_perfguard.plugin.functional_run import DeferredTest, FunctionalRun, RunState, log_reports
from pytest_perfguard.plugin.modes import open_mode
from pytest_perfguard.plugin.modes.base import Mode
from pytest_perfguard.plugin.modes.baseline import BaselineMode
from pytest_perfguard.plugin.options import (
    MODES,
    PAIRING_MODES,
    ini_problems,
    run_settings,
    settings_for_test,
    unnamed_plugins,
)
from pytest_perfguard.plugin.outcomes import apply_verdict, missing_report, status_of
from pytest_perfguard.plugin.output import usage_error, write_command, write_text
from pytest_perfguard.plugin.pytest_internals import unknown_ini_keys
from pytest_perfguard.plugin.reports import ReportWriter, check_reports
from pytest_perfguard.plugin.result_watchers import ResultWatchers
from pytest_perfguard.plugin.schedule import Schedule
from pytest_perfguard.plugin.selection import is_shard
from pytest_perfguard.plugin.start_state import StartState
from pytest_perfguard.plugin.stash import BENCHMARKS, SESSION_METRICS, WATCHERS
from pytest_perfguard.plugin.xdist import XdistControllerChannel, XdistWorkerChannel

#: Number of unmeasurable tests that are listed by name.
_MAX_NAMED: Final = 3


def register(config: pytest.Config, mode: str) -> None:
    """Register the parts for this process: a worker of xdist, its controller, or both parts in one process."""
    manager = config.pluginmanager
    is_worker = hasattr(config, "workerinput")
    is_controller = not is_worker and config.getoption("dist", "no") != "no"
    if os.name != "posix":
        raise usage_error(f"{MODES[mode].flag}: measuring needs a POSIX system (Linux, macOS)")
    watchers = None
    if not (is_worker or is_controller):  # a worker of xdist ends before the verdicts
        watchers = config.stash[WATCHERS] = ResultWatchers(config)
        manager.register(watchers, "perfguard-watching")
    functional = FunctionalRun(watchers, pairs=mode in PAIRING_MODES)
    if is_worker:
        manager.register(functional, "perfguard-ordinary")
        manager.register(XdistWorkerChannel(config, functional), "perfguard-wire")
        return
    if is_controller:
        manager.register(XdistControllerChannel(config, functional.state), "perfguard-wire")
    check_reports(config)
    _load_ahead()
    opened = open_mode(config, mode)
    opened.header += _counting_header(config)
    manager.register(MeasuringPhase(config, opened, functional.state), "perfguard-measuring")
    if not is_controller:  # after the measuring phase, so that errors in markers are raised before that begins
        manager.register(functional, "perfguard-ordinary")


def _counting_header(config: pytest.Config) -> list[str]:
    """Return the line that names the source of the counts, if the run counts instructions.

    Raises
    ------
    pytest.UsageError
        if there is no source.
    """
    metrics = run_settings(config).metrics
    if "instructions" not in metrics:
        return []
    from pytest_perfguard.plugin.counting import source_line

    try:
        return source_line(metrics)
    except PerfguardError as error:
        raise usage_error(error) from None


def _load_ahead() -> None:
    """Import modules that are needed after the tests: these may leave a process that can open no more files."""
    for name in ("filelock", "multiprocessing.connection", "tabulate"):
        importlib.import_module(name)


class MeasuringPhase:
    """Hooks around the run of the tests and the terminal summary."""

    def __init__(self, config: pytest.Config, mode: Mode, state: RunState) -> None:
        self._config = config
        self._mode = mode
        self._state = state
        self._settings = run_settings(config)
        self._reports = ReportWriter(config, mode)
        self._comparisons: list[Comparison] = []
        self._processes = 0
        self._seconds = 0.0
        self._nothing_judged: str | None = None
        """Reason why the run has no verdicts."""
        self._remarks: list[str] = list(ini_problems(unknown_ini_keys(config)))
        self._interrupted = False
        """Whether the measuring was interrupted."""
        self._problems: list[str] = []
        """Errors that end the run with exit status 4, after all results are reported and saved."""
        self._limits = ProcessLimits.current()
        self._start = StartState.now()

    def pytest_report_header(self) -> list[str]:
        return list(map(printable, self._mode.header))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, bool, bool]:
        self._start = StartState.now()
        try:
            result = yield
        except BaseException:
            self._limits.restore()
            self._state.finished = False
            self._nothing_judged = f"nothing was measured: the run stopped before its end; {self._mode.unchanged}"
            for test in self._state.deferred:
                log_reports(self._config, test.nodeid, test.location, test.reports)
            # A report of an earlier run must not be mistaken for this run's. pytest reports the exception.
            ReportWriter(self._config, self._mode).write(complete=False, notes=[self._nothing_judged])
            raise
        self._limits.restore()
        if self._state.usage_error:
            raise usage_error(self._state.usage_error)
        if self._state.lost_workers and (lost := self._state.never_ran):
            self._state.finished = False
            self._nothing_judged = (
                f"a worker crashed before these perf tests ran, so they have no verdict: {', '.join(lost)}"
            )
        self._measure_and_report(session)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus == pytest.ExitCode.OK and self._is_empty_shard:
            self._remarks.append(f"no perf test fell to this shard, of {len(self._state.found)} found")
        elif exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            if not self._comparisons and self._state.finished:
                self._remarks.append(_why_nothing_measured(self._state))
            self._nothing_judged = self._nothing_judged or self._mode.nothing_judged(self._comparisons)
            if self._nothing_judged:
                session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED

    @property
    def _is_empty_shard(self) -> bool:
        state = self._state
        return bool(state.found) and not state.collected and not self._nothing_judged and is_shard(self._config)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        parameters = {test.nodeid: test.parameters for test in self._state.deferred}
        run = terminal.RunSummary(
            self._mode, self._comparisons, parameters, self._processes, self._seconds, self._nothing_judged
        )
        terminal.write_summary(terminalreporter, run)
        for remark in self._remarks:
            write_text(terminalreporter, f"perf: {remark}", yellow=True)
        for command in self._reports.annotations():
            write_command(terminalreporter, command)

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        return status_of(report)

    def _measure_and_report(self, session: pytest.Session) -> None:
        start = monotonic()
        progress = terminal.ProgressDisplay(self._config, judges=self._mode.judges)
        left = self._start.left_by_tests(StartState.now()) if self._state.deferred else []
        fingerprints = {test.nodeid: test.fingerprint for test in self._state.deferred}
        schedule = Schedule(
            self._config, self._mode, progress.update, progress.announce,
            path=self._start.path, fingerprints=fingerprints,
        )  # fmt: skip
        tests: dict[str, MeasuredTest] = {}
        try:
            # By node id: under `--dist=each` every worker ran each test.
            tests |= {test.nodeid: self._measured_test(test) for test in self._state.deferred}
            schedule.run(list(tests.values()))
        except pytest.UsageError as error:
            self._stopped(str(error))
        except Exception as error:  # such as one of the system: verdicts that are known count, the other tests fail
            self._stopped(f"the measuring stopped: {explain_error(error)}")
            schedule.give_up([test for name, test in tests.items() if name not in schedule.comparisons], error)
        except BaseException:
            self._state.finished, self._interrupted = False, True
            raise
        finally:
            progress.close()
            self._processes, self._seconds = schedule.processes, monotonic() - start
            self._remarks += [*left, *self._unloaded(), *schedule.remarks, *_unmeasured(self._state.unmeasurable)]
            if self._interrupted:
                self._remarks.append(self._mode.kept(len(schedule.comparisons), len(tests)))
            try:
                self._log_verdicts(schedule)
            finally:  # another plugin may raise when it receives a verdict
                self._finish(session)

    def _stopped(self, problem: str) -> None:
        self._state.finished = False
        self._problems.append(problem)

    def _unloaded(self) -> list[str]:
        return [
            f"measuring processes cannot load the plugin object {name} that was passed to pytest.main: pass a module, or its name"
            for name in unnamed_plugins(self._config)
        ]

    def _measured_test(self, test: DeferredTest) -> MeasuredTest:
        settings = settings_for_test(self._config, test.marker, test.nodeid)
        self._mode.register(test.nodeid, test.source)
        record = self._mode.record_of(test.nodeid)
        if record is None:
            return MeasuredTest(
                test.nodeid, test.path, settings, test.seconds, shared_fixtures=frozenset(test.shared_fixtures)
            )
        return MeasuredTest(
            test.nodeid, test.path, settings, test.seconds, record.iterations,
            parallel=record.conditions.get("parallel", False), shared_fixtures=frozenset(test.shared_fixtures),
        )  # fmt: skip

    def _log_verdicts(self, schedule: Schedule) -> None:
        names = dict.fromkeys(test.nodeid for test in self._state.deferred)
        final = {name: self._mode.final(schedule.comparisons[name]) for name in names if name in schedule.comparisons}
        self._comparisons += final.values()
        self._remarks += self._mode.remarks(self._comparisons, self._state)
        for test in self._state.deferred:
            comparison = final.get(test.nodeid)
            reports = test.reports
            if comparison is not None:
                fails = comparison.fails(strict=self._settings.strict)
                failure = terminal.explanation(comparison, self._mode, test.location) if fails else None
                self._reports.add(comparison, test.location, failure, schedule.alone.get(test.nodeid))
                reports = apply_verdict(test, comparison, failure)
            log_reports(self._config, test.nodeid, test.location, reports)

    def _finish(self, session: pytest.Session) -> None:
        """Report missing tests, save the baseline file, and write the reports."""
        missing = self._mode.missing(self._state) if self._state.finished else []
        self._comparisons += missing
        for comparison in missing:
            reported = comparison.nodeid in self._state.failed
            name = printable(comparison.nodeid)  # from a file
            location = (name.partition("::")[0], None, name)
            fails = comparison.fails(strict=self._settings.strict)
            explanation = terminal.explanation(comparison, self._mode, location) if fails else None
            self._reports.add(comparison, location, explanation)
            if not reported and explanation is not None:
                report = missing_report(name, location, explanation)
                log_reports(self._config, name, location, [report])
        whole = self._state.finished and not (session.testsfailed or self._state.deselected or self._state.partial)
        # The baseline first: a report that cannot be written must not cost minutes of measuring.
        if isinstance(self._mode, BaselineMode):
            self._attempt(partial(self._mode.save, self._comparisons, self._state, whole=whole))
        if (metrics := self._config.stash.get(SESSION_METRICS, None)) is not None:
            self._attempt(partial(metrics.add_comparisons, self._comparisons))
        if (benchmarks := self._config.stash.get(BENCHMARKS, None)) is not None:
            self._attempt(partial(benchmarks.save_measured, self._comparisons))
        notes = filter(None, [self._nothing_judged, *self._remarks])
        self._problems += self._reports.write(complete=self._state.finished, notes=notes)
        if self._problems:
            raise usage_error("\n".join(self._problems))

    def _attempt(self, step: Callable[[], object]) -> None:
        """Run one step of several, and record its error so that the others run, too."""
        try:
            step()
        except BaselineError as error:
            self._problems.append(str(error))
        except Exception as error:
            self._problems.append(explain_error(error))


def _unmeasured(nodeids: Sequence[str]) -> Iterator[str]:
    """Yield a note on marked tests that were run and not measured."""
    if nodeids:
        first = ", ".join(nodeids[:_MAX_NAMED]) + (", ..." if len(nodeids) > _MAX_NAMED else "")
        yield f"marked perf but not measured, since only test functions can be: {plural(len(nodeids), 'test')} ({first})"


def _why_nothing_measured(state: RunState) -> str:
    """Return why no test was measured, and what to do."""
    if not state.found:
        return "no test is marked perf; mark tests with @pytest.mark.perf, or list their files in perf_paths"
    if not state.collected:
        return f"no perf test was selected, of {len(state.found)} found (-k, -m, a path, --lf)"
    return f"no perf test ran and passed, of {len(state.collected)} selected, so none was measured"
