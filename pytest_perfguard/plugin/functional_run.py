"""Functional run: run every perf test once, as an ordinary test, and defer its reports until the test is measured.

Runs in the process that runs the tests: the only one, or a worker of xdist.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

import pytest

from pytest_perfguard.engine.measure.process_limits import ProcessLimits
from pytest_perfguard.engine.measure.source_hash import source_hash
from pytest_perfguard.plugin import rerunfailures
from pytest_perfguard.plugin.collection import (
    PerfTest,
    check_distinct,
    find_perf_tests,
    keywords_of,
    shown_parameters,
)
from pytest_perfguard.plugin.idle_run import check_marker
from pytest_perfguard.plugin.output import usage_error
from pytest_perfguard.plugin.pytest_internals import run_test
from pytest_perfguard.plugin.result_watchers import ResultWatchers
from pytest_perfguard.plugin.shared_fixtures import shared_fixtures
from pytest_perfguard.plugin.stash import WATCHERS

#: Prefix of the report of a test that passed under `xfail(strict=True)`.
STRICT_XPASS = "[XPASS(strict)]"


@dataclass(frozen=True)
class DeferredTest:
    """A perf test that passed the functional run and waits for its verdict."""

    nodeid: str
    path: str
    """Absolute path of its file."""
    location: tuple[str, int | None, str]
    marker: dict[str, object]
    """Keywords of the marker that are plain data: no callables."""
    source: str
    """Hash of its source."""
    reports: list[pytest.TestReport]
    fingerprint: str
    """Fingerprint of the test as this process collected it."""
    shared_fixtures: tuple[str, ...] = ()
    """Fixtures of the project that it shares with other tests: those of a wider scope than one test. Empty in a mode without
    pairs."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Its parameters, as the table shows them."""

    @property
    def seconds(self) -> float:
        """Duration of the functional run."""
        return sum(report.duration for report in self.reports)


@dataclass
class RunState:
    """Results of the functional run, handed over to the measuring phase."""

    found: list[str] = field(default_factory=list)
    """Node ids of all perf tests, including those that were left out."""
    collected: list[str] = field(default_factory=list)
    """Node ids of all selected perf tests."""
    renamed: dict[str, str] = field(default_factory=dict)
    """Names of tests by their node ids, where these differ: by xdist's group, or by an address."""
    deselected: bool = False
    """True if -k, -m, --lf or a shard plugin left out any perf test."""
    partial: bool = False
    """True if any module was skipped or failed at collection."""
    ran: list[str] = field(default_factory=list)
    """Perf tests whose functional run has ended."""
    failed: list[str] = field(default_factory=list)
    """Perf tests that failed the functional run; they are reported already."""
    unmeasurable: list[str] = field(default_factory=list)
    """Node ids of selected tests that are marked but cannot be measured: doctests, and items of other plugins."""
    usage_error: str | None = None
    """Error in the markers, found by this process or by a worker of xdist."""
    lost_workers: int = 0
    """Number of workers of xdist that crashed."""
    deferred: list[DeferredTest] = field(default_factory=list)
    finished: bool = True
    """False if the run stopped before its last test."""

    @property
    def never_ran(self) -> list[str]:
        """Selected perf tests without a result."""
        return sorted(set(self.collected) - set(self.ran))

    def add(self, other: RunState) -> None:
        """Add the results that a worker of xdist sends."""
        if other.found:  # a worker sends it once: sent with every test, it would grow with the square of their number
            self.found = list(dict.fromkeys([*self.found, *other.found]))
            self.collected = list(dict.fromkeys([*self.collected, *other.collected]))
            self.renamed |= other.renamed
        self.unmeasurable = list(dict.fromkeys([*self.unmeasurable, *other.unmeasurable]))
        self.deselected |= other.deselected
        self.partial |= other.partial
        self.ran += other.ran
        self.failed += other.failed
        self.usage_error = self.usage_error or other.usage_error
        self.deferred += other.deferred


class FunctionalRun:
    """Hooks around collection and the run of each test.

    `pairs`: whether tests may be measured in pairs, which needs the fixtures that they share.
    """

    def __init__(self, watchers: ResultWatchers | None = None, *, pairs: bool = True) -> None:
        self.state = RunState()
        self._watchers = watchers
        self._pairs = pairs
        self._marked_before: dict[pytest.Item, bool] = {}
        self._limits = ProcessLimits.current()
        self._perf: dict[pytest.Item, PerfTest] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, object, object]:
        # Other plugins' hooks may drop tests without calling `pytest_deselected`.
        self._marked_before = {item: keywords_of(item) is not None for item in items}
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        # xdist is about to report the items to its controller. It loses the text of a worker's usage error, so the
        # controller has to raise it, and until then no test may run.
        if hasattr(session.config, "workerinput") and self._find_perf_tests(session):
            session.items.clear()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        problem = self._find_perf_tests(session)
        self._marked_before = {}
        if problem and not hasattr(session.config, "workerinput"):
            raise usage_error(problem)
        return (yield)

    def _find_perf_tests(self, session: pytest.Session) -> str | None:
        """Find the perf tests now that all collection hooks have run; return the error in a marker, or None."""
        found = find_perf_tests(session.items, self._marked_before)
        self._perf = found.tests
        self.state.found = found.found
        self.state.unmeasurable = found.unmeasurable
        self.state.collected = list(dict.fromkeys(test.nodeid for test in self._perf.values()))
        self.state.deselected |= found.deselected
        self.state.renamed = {
            item.nodeid: test.nodeid for item, test in self._perf.items() if item.nodeid != test.nodeid
        }
        try:
            for item, test in self._perf.items():
                check_marker(item, test.keywords, test.nodeid)
            check_distinct(self._perf)
        except pytest.UsageError as error:
            self.state.usage_error = str(error)
        return self.state.usage_error

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:  # the module may contain perf tests
            self.state.partial = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        test = self._perf.get(item)
        if test is None:
            return None
        with self._watchers.deferring(item) if self._watchers else contextlib.nullcontext():
            attempts = rerunfailures.attempts(item, nextitem)
            if attempts is None:
                attempts = [run_test(item, nextitem)]
        for repeated in attempts[:-1]:
            log_reports(item.config, item.nodeid, item.location, repeated)
        if attempts:
            self._record(item, test, attempts[-1])
        return True

    def _record(self, item: pytest.Item, test: PerfTest, reports: list[pytest.TestReport]) -> None:
        """Defer the reports of a test that passed, and log those of a test that did not."""
        self.state.ran.append(test.nodeid)
        if _passed(reports):
            plain = {name: value for name, value in test.keywords.items() if not callable(value)}
            if self._watchers:
                self._watchers.passed(item)
            with self._limits.applied():  # the test may have lowered them
                source = source_hash(getattr(item, "function", item.runtest))
            self.state.deferred.append(
                DeferredTest(
                    test.nodeid,
                    str(item.path),
                    item.location,
                    plain,
                    source,
                    reports,
                    test.fingerprint,
                    shared_fixtures(item) if self._pairs else (),
                    shown_parameters(item),
                )
            )
        else:
            if any(report.failed for report in reports):
                self.state.failed.append(test.nodeid)
            log_reports(item.config, item.nodeid, item.location, reports)


def log_reports(
    config: pytest.Config, nodeid: str, location: tuple[str, int | None, str], reports: list[pytest.TestReport]
) -> None:
    """Log the reports of a test that has run, with the hooks that pytest's protocol calls."""
    if (watchers := config.stash.get(WATCHERS, None)) is not None:
        watchers.report(nodeid, reports)
    config.hook.pytest_runtest_logstart(nodeid=nodeid, location=location)
    for report in reports:
        config.hook.pytest_runtest_logreport(report=report)
    config.hook.pytest_runtest_logfinish(nodeid=nodeid, location=location)


def is_strict_xpass(report: pytest.TestReport) -> bool:
    """Return whether a test passed that `xfail(strict=True)` expects to fail. Its verdict may still make it fail."""
    return report.failed and isinstance(report.longrepr, str) and report.longrepr.startswith(STRICT_XPASS)


def _passed(reports: list[pytest.TestReport]) -> bool:
    called = any(report.when == "call" for report in reports)
    return called and all(report.passed or is_strict_xpass(report) for report in reports)
