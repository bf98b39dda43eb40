"""The measuring phase on the controller: after the last ordinary test, when nothing else runs."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from time import monotonic  # a test may have patched it by the time it is called
from typing import Final

import pytest

from pytest_perfguard.core.errors import BaselineError
from pytest_perfguard.core.model import Comparison
from pytest_perfguard.core.system_errors import explain_error
from pytest_perfguard.core.text import printable
from pytest_perfguard.engine.measure.process_limits import ProcessLimits
from pytest_perfguard.engine.report.text import plural
from pytest_perfguard.engine.runner.scheduler import MeasuredTest
from pytest_perfguard.plugin import terminal
from pytest_perfguard.plugin.functional_run import DeferredTest, FunctionalRun, RunState, log_reports
from pytest_perfguard.plugin.modes.base import Mode, open_mode
from pytest_perfguard.plugin.options import MODES, run_settings, test_settings, unnamed_plugins
from pytest_perfguard.plugin.outcomes import apply_verdict, missing_report, test_status
from pytest_perfguard.plugin.output import usage_error, write_command, write_text
from pytest_perfguard.plugin.reports import Reporting, check_reports
from pytest_perfguard.plugin.result_watchers import Watching
from pytest_perfguard.plugin.schedule import Schedule
from pytest_perfguard.plugin.selection import is_shard
from pytest_perfguard.plugin.start_state import StartState
from pytest_perfguard.plugin.stash import BENCHMARKS, SESSION_METRICS, WATCHING
from pytest_perfguard.plugin.xdist import XdistControllerChannel, XdistWorkerChannel

#: So many of the tests that could not be measured are named.
_NAMED: Final = 3


def register(config: pytest.Config, mode: str) -> None:
    """Decide this process's part once: a worker of xdist, its controller, or both parts in one process."""
    manager = config.pluginmanager
    is_worker = hasattr(config, "workerinput")
    is_controller = not is_worker and config.getoption("dist", "no") != "no"
    if os.name != "posix":
        raise usage_error(f"{MODES[mode].flag}: measuring needs a POSIX system (Linux, macOS)")
    watching = None
    if not (is_worker or is_controller):  # a worker of xdist is gone before the verdicts
        watching = config.stash[WATCHING] = Watching(config)
        manager.register(watching, "perfguard-watching")
    ordinary = FunctionalRun(watching)
    if is_worker:
        manager.register(ordinary, "perfguard-ordinary")
        manager.register(XdistWorkerChannel(config, ordinary), "perfguard-wire")
        return
    if is_controller:
        manager.register(XdistControllerChannel(config, ordinary.harvest), "perfguard-wire")
    check_reports(config)
    _load_ahead()
    manager.register(MeasuringPhase(config, open_mode(config, mode), ordinary.harvest), "perfguard-measuring")
    if not is_controller:  # after the phase: what is wrong with the markers is raised before that begins
        manager.register(ordinary, "perfguard-ordinary")


def _load_ahead() -> None:
    """Import what is needed after the tests have run: they may leave a process behind that can open no file."""
    for name in ("filelock", "multiprocessing.connection", "tabulate"):
        importlib.import_module(name)


class MeasuringPhase:
    """Hooks around the loop and the summary."""

    def __init__(self, config: pytest.Config, mode: Mode, harvest: RunState) -> None:
        self._config = config
        self._mode = mode
        self._harvest = harvest
        self._settings = run_settings(config)
        self._reporting = Reporting(config, mode)
        self._comparisons: list[Comparison] = []
        self._processes = 0
        self._seconds = 0.0
        self._untold = ""
        self._remarks: list[str] = []
        self._problems: list[str] = []
        """What ends the run with exit status 4, once all that is known is reported and kept."""
        self._limits = ProcessLimits.current()
        self._surroundings = StartState.now()

    def pytest_report_header(self) -> list[str]:
        return list(map(printable, self._mode.header()))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, bool, bool]:
        self._surroundings = StartState.now()
        try:
            result = yield
        except BaseException:
            self._limits.restore()
            self._harvest.finished = False
            self._untold = "nothing was measured: the run stopped before its end"
            for withheld in self._harvest.withheld:
                log_reports(self._config, withheld.nodeid, withheld.location, withheld.reports)
            # An old report must not pass for this run's; what stopped the run is told.
            Reporting(self._config, self._mode).write(complete=False, notes=[self._untold])
            raise
        self._limits.restore()
        if self._harvest.usage_error:
            raise usage_error(self._harvest.usage_error)
        if self._harvest.lost_workers and (lost := self._harvest.never_ran):
            self._harvest.finished = False
            self._untold = f"a worker crashed before these perf tests ran, so they have no verdict: {', '.join(lost)}"
        self._measure_and_tell(session)
        return result

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if exitstatus == pytest.ExitCode.OK and self._is_empty_shard:
            self._remarks.append(f"none of the {len(self._harvest.found)} perf tests fell to this shard")
        elif exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            self._untold = self._untold or self._mode.nothing_judged(self._comparisons)
            if self._untold:
                session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED

    @property
    def _is_empty_shard(self) -> bool:
        harvest = self._harvest
        return bool(harvest.found) and not harvest.collected and not self._untold and is_shard(self._config)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        terminal.tell_summary(
            terminalreporter, self._mode, self._comparisons, self._processes, self._seconds, self._untold
        )
        for remark in self._remarks:
            write_text(terminalreporter, f"perf: {remark}", yellow=True)
        for command in self._reporting.annotations():
            write_command(terminalreporter, command)

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        return test_status(report)

    def _measure_and_tell(self, session: pytest.Session) -> None:
        start = monotonic()
        progress = terminal.ProgressDisplay(self._config)
        left = self._surroundings.left_by_tests(StartState.now()) if self._harvest.withheld else []
        fingerprints = {withheld.nodeid: withheld.fingerprint for withheld in self._harvest.withheld}
        phases = Schedule(
            self._config, self._mode, progress.tell, progress.say,
            path=self._surroundings.path, fingerprints=fingerprints,
        )  # fmt: skip
        subjects: dict[str, MeasuredTest] = {}
        try:
            # One subject per test: under `--dist=each` every worker ran it.
            subjects |= {withheld.nodeid: self._subject(withheld) for withheld in self._harvest.withheld}
            phases.run(list(subjects.values()))
        except pytest.UsageError as error:
            self._stopped(str(error))
        except Exception as error:  # the system refused something: what is decided already counts, the other tests fail
            self._stopped(f"the measuring stopped: {explain_error(error)}")
            phases.give_up([subject for name, subject in subjects.items() if name not in phases.comparisons], error)
        except BaseException:
            self._harvest.finished = False
            raise
        finally:
            progress.close()
            self._processes, self._seconds = phases.processes, monotonic() - start
            self._remarks = [*left, *self._unloaded(), *phases.remarks, *_unmeasured(self._harvest.unmeasurable)]
            try:
                self._log_verdicts(phases)
            finally:  # another plugin may fail at a verdict
                self._finish(session)

    def _stopped(self, problem: str) -> None:
        self._harvest.finished = False
        self._problems.append(problem)

    def _unloaded(self) -> list[str]:
        return [
            f"measuring processes cannot load the plugin object {name} that pytest.main was given: give a module, or its name"
            for name in unnamed_plugins(self._config)
        ]

    def _subject(self, withheld: DeferredTest) -> MeasuredTest:
        settings = test_settings(self._config, withheld.marker, withheld.nodeid)
        self._mode.expect(withheld.nodeid, withheld.source, settings)
        record = self._mode.record_of(withheld.nodeid)
        if record is None:
            return MeasuredTest(withheld.nodeid, withheld.path, settings, withheld.seconds)
        return MeasuredTest(
            withheld.nodeid, withheld.path, settings, withheld.seconds, record.iterations,
            parallel=record.conditions.get("parallel", False),
        )  # fmt: skip

    def _log_verdicts(self, phases: Schedule) -> None:
        names = dict.fromkeys(withheld.nodeid for withheld in self._harvest.withheld)
        self._comparisons += [phases.comparisons[nodeid] for nodeid in names if nodeid in phases.comparisons]
        for withheld in self._harvest.withheld:
            comparison = phases.comparisons.get(withheld.nodeid)
            reports = withheld.reports
            if comparison is not None:
                fails = comparison.fails(strict=self._settings.strict)
                failure = terminal.explanation(comparison, self._mode, withheld.location) if fails else None
                self._reporting.add(comparison, withheld.location, failure, phases.alone.get(withheld.nodeid))
                reports = apply_verdict(withheld, comparison, failure)
            log_reports(self._config, withheld.nodeid, withheld.location, reports)

    def _finish(self, session: pytest.Session) -> None:
        """What concerns the selection as a whole: tests that are gone, the baseline file, the reports."""
        missing = self._mode.missing(self._harvest) if self._harvest.finished else []
        self._comparisons += missing
        for comparison in missing:
            told = comparison.nodeid in self._harvest.failed
            name = printable(comparison.nodeid)  # it comes from a file
            location = (name.partition("::")[0], None, name)
            fails = comparison.fails(strict=self._settings.strict)
            explanation = terminal.explanation(comparison, self._mode, location) if fails else None
            self._reporting.add(comparison, location, explanation)
            if not told and explanation is not None:
                report = missing_report(name, location, explanation)
                log_reports(self._config, name, location, [report])
        whole = self._harvest.finished and not (
            session.testsfailed or self._harvest.deselected or self._harvest.partial
        )
        # The numbers first: a report that cannot be written must not cost minutes of measuring.
        self._attempt(partial(self._mode.keep, self._comparisons, self._harvest, whole=whole))
        if (metrics := self._config.stash.get(SESSION_METRICS, None)) is not None:
            self._attempt(partial(metrics.add_comparisons, self._comparisons))
        if (benchmarks := self._config.stash.get(BENCHMARKS, None)) is not None:
            self._attempt(partial(benchmarks.keep_measured, self._comparisons))
        notes = filter(None, [self._untold, *self._remarks])
        self._problems += self._reporting.write(complete=self._harvest.finished, notes=notes)
        if self._problems:
            raise usage_error("\n".join(self._problems))

    def _attempt(self, step: Callable[[], object]) -> None:
        """Do one of several things of which none may cost the others."""
        try:
            step()
        except BaselineError as error:
            self._problems.append(str(error))
        except Exception as error:
            self._problems.append(explain_error(error))


def _unmeasured(nodeids: Sequence[str]) -> Iterator[str]:
    """A line on marked tests that ran as ordinary tests only."""
    if nodeids:
        first = ", ".join(nodeids[:_NAMED]) + (", ..." if len(nodeids) > _NAMED else "")
        yield f"marked perf and not measured, since only test functions can be: {plural(len(nodeids), 'test')} ({first})"
