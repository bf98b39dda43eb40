"""The functional run: every perf test runs once as always, and its reports are withheld until it was measured.

Runs where tests run: in a plain pytest process or in a worker of xdist.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Generator
from dataclasses import dataclass, field

import pytest
from _pytest.runner import runtestprotocol

from pytest_perfguard.engine.measure.process_limits import ProcessLimits
from pytest_perfguard.engine.measure.source_hash import source_hash
from pytest_perfguard.plugin import rerunfailures
from pytest_perfguard.plugin.collection import PerfTest, check_distinct, keywords_of, take_stock
from pytest_perfguard.plugin.options import marker_keywords, test_settings
from pytest_perfguard.plugin.output import usage_error
from pytest_perfguard.plugin.result_watchers import Watching
from pytest_perfguard.plugin.stash import WATCHING

#: Begins the report of a test that was expected to fail and did not, under `xfail(strict=True)`.
STRICT_XPASS = "[XPASS(strict)]"


@dataclass(frozen=True)
class DeferredTest:
    """A perf test that passed and waits for its verdict."""

    nodeid: str
    path: str
    """Of its file, absolute."""
    location: tuple[str, int | None, str]
    marker: dict[str, object]
    """Keywords without callables: plain data."""
    source: str
    reports: list[pytest.TestReport]
    fingerprint: str
    """Of the test as this process has collected it."""

    @property
    def seconds(self) -> float:
        """How long the ordinary run took."""
        return sum(report.duration for report in self.reports)


@dataclass
class RunState:
    """What the functional run hands over to the measuring phase."""

    found: list[str] = field(default_factory=list)
    """Node ids of all perf tests, before any was left out."""
    collected: list[str] = field(default_factory=list)
    """Node ids of all perf tests that were selected."""
    renamed: dict[str, str] = field(default_factory=dict)
    """Names of tests by their node ids, where these differ: by xdist's group, or by an address."""
    deselected: bool = False
    """Was any perf test left out by -k, -m, --lf or a shard plugin?"""
    partial: bool = False
    """Was any module skipped or broken at collection?"""
    ran: list[str] = field(default_factory=list)
    """Perf tests whose ordinary run is over."""
    failed: list[str] = field(default_factory=list)
    """Of them, those that failed: told already."""
    unmeasurable: list[str] = field(default_factory=list)
    """Node ids of selected tests that are marked and cannot be measured: doctests, and what other plugins collect."""
    usage_error: str = ""
    """What a worker of xdist found wrong with the markers."""
    lost_workers: int = 0
    """Workers of xdist that crashed."""
    withheld: list[DeferredTest] = field(default_factory=list)
    finished: bool = True
    """False: the run stopped before its last test."""

    @property
    def never_ran(self) -> list[str]:
        """Selected perf tests of which no result is known."""
        return sorted(set(self.collected) - set(self.ran))

    def add(self, news: RunState) -> None:
        """What a worker of xdist hands over."""
        if news.found:  # told once: with every test it would take the square of their number
            self.found = list(dict.fromkeys([*self.found, *news.found]))
            self.collected = list(dict.fromkeys([*self.collected, *news.collected]))
            self.renamed |= news.renamed
        self.unmeasurable = list(dict.fromkeys([*self.unmeasurable, *news.unmeasurable]))
        self.deselected |= news.deselected
        self.partial |= news.partial
        self.ran += news.ran
        self.failed += news.failed
        self.usage_error = self.usage_error or news.usage_error
        self.withheld += news.withheld


class FunctionalRun:
    """Hooks around collection and the run of each test."""

    def __init__(self, watching: Watching | None = None) -> None:
        self.harvest = RunState()
        self._watching = watching
        self._marked_before: dict[pytest.Item, bool] = {}
        self._limits = ProcessLimits.current()
        self._perf: dict[pytest.Item, PerfTest] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, object, object]:
        # The other hooks may leave tests out without a word.
        self._marked_before = {item: keywords_of(item) is not None for item in items}
        return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        # xdist is about to report the items to its controller, and loses the text of a worker's usage error, so that the
        # controller has to raise it: no test runs then.
        if hasattr(session.config, "workerinput") and self._take_stock(session):
            session.items.clear()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        problem = self._take_stock(session)
        self._marked_before = {}
        if problem and not hasattr(session.config, "workerinput"):
            raise usage_error(problem)
        return (yield)

    def _take_stock(self, session: pytest.Session) -> str:
        """Find the perf tests, as they are now that all collection hooks are done; returns what is wrong with one."""
        stock = take_stock(session.items, self._marked_before)
        self._perf = stock.tests
        self.harvest.found = stock.found
        self.harvest.unmeasurable = stock.unmeasurable
        self.harvest.collected = list(dict.fromkeys(test.nodeid for test in self._perf.values()))
        self.harvest.deselected |= stock.deselected
        self.harvest.renamed = {
            item.nodeid: test.nodeid for item, test in self._perf.items() if item.nodeid != test.nodeid
        }
        try:
            for item, test in self._perf.items():
                test_settings(session.config, test.keywords, test.nodeid)
                _check_item(item, test)
            check_distinct(self._perf)
        except pytest.UsageError as error:
            self.harvest.usage_error = str(error)
        return self.harvest.usage_error

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:  # a module that was skipped or broke may hold perf tests
            self.harvest.partial = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        test = self._perf.get(item)
        if test is None:
            return None
        with self._watching.withheld(item) if self._watching else contextlib.nullcontext():
            attempts = rerunfailures.attempts(item, nextitem)
            if attempts is None:
                attempts = [runtestprotocol(item, log=False, nextitem=nextitem)]
        for repeated in attempts[:-1]:
            log_reports(item.config, item.nodeid, item.location, repeated)
        if attempts:
            self._note(item, test, attempts[-1])
        return True

    def _note(self, item: pytest.Item, test: PerfTest, reports: list[pytest.TestReport]) -> None:
        """Withhold or tell the reports of a test that has run."""
        self.harvest.ran.append(test.nodeid)
        if _passed(reports):
            plain = {name: value for name, value in test.keywords.items() if not callable(value)}
            if self._watching:
                self._watching.passed(item)
            with self._limits.applied():  # the test may have lowered them
                source = source_hash(getattr(item, "function", item.runtest))
            self.harvest.withheld.append(
                DeferredTest(test.nodeid, str(item.path), item.location, plain, source, reports, test.fingerprint)
            )
        else:
            if any(report.failed for report in reports):
                self.harvest.failed.append(test.nodeid)
            log_reports(item.config, item.nodeid, item.location, reports)


def log_reports(
    config: pytest.Config, nodeid: str, location: tuple[str, int | None, str], reports: list[pytest.TestReport]
) -> None:
    """Tell pytest of a test that has run, as its own protocol does."""
    if (watching := config.stash.get(WATCHING, None)) is not None:
        watching.tell(nodeid, reports)
    config.hook.pytest_runtest_logstart(nodeid=nodeid, location=location)
    for report in reports:
        config.hook.pytest_runtest_logreport(report=report)
    config.hook.pytest_runtest_logfinish(nodeid=nodeid, location=location)


def is_strict_xpass(report: pytest.TestReport) -> bool:
    """Did a test pass that `xfail(strict=True)` expected to fail? It may yet fail: by its verdict."""
    return report.failed and isinstance(report.longrepr, str) and report.longrepr.startswith(STRICT_XPASS)


def _passed(reports: list[pytest.TestReport]) -> bool:
    called = any(report.when == "call" for report in reports)
    return called and all(report.passed or is_strict_xpass(report) for report in reports)


def _check_item(item: pytest.Item, test: PerfTest) -> None:
    """Refuse what cannot be measured.

    Raises
    ------
    pytest.UsageError
        naming the test and the reason.
    """
    marker_keywords(item)
    setup, function = test.keywords.get("setup"), getattr(item, "obj", None)
    if inspect.iscoroutinefunction(setup) and not inspect.iscoroutinefunction(function):
        raise usage_error(
            f"marker perf of {test.nodeid}: setup {setup!r} is a coroutine function and the test is not; "
            "give a plain function"
        )
