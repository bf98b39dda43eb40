"""Report the final result of a perf test, once, to plugins that watch `pytest_runtest_makereport`.

The functional run of a perf test is not its result: the test may still fail by its verdict. Phases that passed are therefore
deferred for these plugins, too, until `log_reports` logs the test. A phase that fails is reported at once, while the test's
fixtures exist.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

import pytest

from pytest_perfguard.engine.measure.executor import error_line
from pytest_perfguard.plugin.other_plugins import MAKEREPORT, watchers
from pytest_perfguard.plugin.output import write_text
from pytest_perfguard.plugin.pytest_internals import hooks_replaced, plugins_left_out

#: Name of allure's plugin, which writes a result at the end of a test's protocol, or with `pytest_runtest_logfinish`.
_ALLURE: Final = "allure_listener"
_Call = pytest.CallInfo[None]


class PerformanceFailure(AssertionError):
    """Exception in `call.excinfo` of a test that fails by its verdict."""


class _AllureCache(Protocol):
    _items: dict[int, object]

    def pop(self, nodeid: str) -> object: ...


class _AllureListener(Protocol):
    """The part of allure's listener that holds results until they are written."""

    _cache: _AllureCache


@dataclass
class _DeferredResult:
    """The phases of one test that are not reported yet."""

    item: pytest.Item
    phases: list[tuple[_Call, pytest.TestReport]] = field(default_factory=list)
    allure: object = None
    """The test's entry in allure's cache."""


class ResultWatchers:
    """Defers results for plugins that watch them, and reports them later. A plugin itself, which returns the deferred reports."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._manager = config.pluginmanager
        self._deferred: dict[str, _DeferredResult] = {}
        self._report: pytest.TestReport | None = None
        self._problems: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self) -> pytest.TestReport | None:
        return self._report

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for problem in self._problems:
            write_text(terminalreporter, f"perf: {problem}", yellow=True)

    @contextlib.contextmanager
    def deferring(self, item: pytest.Item) -> Iterator[None]:
        """Within the block, report only phases of this test that are final: a phase that failed or was skipped."""
        self._deferred[item.nodeid] = deferred = _DeferredResult(item)
        with hooks_replaced(item.session, lambda hooks: _DeferringHooks(hooks, deferred, self)):
            yield

    def passed(self, item: pytest.Item) -> None:
        """Keep the result of this test until its verdict: its functional run has ended."""
        listener = self._manager.get_plugin(_ALLURE)
        cache: _AllureCache | None = getattr(listener, "_cache", None)
        if cache is not None and hasattr(cache, "pop"):  # allure would write the result now
            self._deferred[item.nodeid].allure = cache.pop(item.nodeid)

    def report(self, nodeid: str, reports: list[pytest.TestReport]) -> None:
        """Report the final result of a test to the plugins that have not seen it yet."""
        deferred = self._deferred.pop(nodeid, None)
        if deferred is None:
            return
        if deferred.allure is not None:
            listener: _AllureListener | None = self._manager.get_plugin(_ALLURE)
            if listener is not None:
                listener._cache._items[id(deferred.item.nodeid)] = deferred.allure
        final = {report.when: report for report in reports}
        for call, report in deferred.phases:
            self._report_phase(deferred.item, call, final.get(report.when, report))

    def flush(self, deferred: _DeferredResult) -> None:
        """Report the deferred phases, because the next phase is reported at once."""
        phases, deferred.phases = deferred.phases, []
        for call, report in phases:
            self._report_phase(deferred.item, call, report)

    def hook_without_watchers(self, hooks: object) -> Callable[..., pytest.TestReport]:
        """Return `pytest_runtest_makereport` without the plugins that only watch."""
        hidden = {*watchers(self._manager), *plugins_left_out(hooks)}
        return self._manager.subset_hook_caller(MAKEREPORT, remove_plugins=hidden)

    def _report_phase(self, item: pytest.Item, call: _Call, report: pytest.TestReport) -> None:
        headline = getattr(getattr(report.longrepr, "reprcrash", None), "message", None)
        if call.excinfo is None and headline is not None:
            call.excinfo = _raised(PerformanceFailure(headline))
        kept = {self, *watchers(self._manager)} - set(plugins_left_out(item.ihook))
        others = {each.plugin for each in self._config.hook.pytest_runtest_makereport.get_hookimpls()} - kept
        hook = self._manager.subset_hook_caller(MAKEREPORT, remove_plugins=others)
        self._report = report
        try:
            hook(item=item, call=call)
        except Exception as error:  # such as a hook that uses fixtures, which are torn down by now
            self._problems.append(
                f"a hook {MAKEREPORT} failed when it received the final result of {item.nodeid}: {error_line(error)}"
            )
        finally:
            self._report = None


def _raised(failure: PerformanceFailure) -> pytest.ExceptionInfo[BaseException]:
    try:
        raise failure
    except PerformanceFailure as error:
        return pytest.ExceptionInfo.from_exception(error)


class _DeferringHooks:
    """pytest's hooks for one test, except that phases that passed are deferred for plugins that only watch."""

    def __init__(self, hooks: object, deferred: _DeferredResult, watching: ResultWatchers) -> None:
        self._hooks = hooks
        self._deferred = deferred
        self._watching = watching

    def __getattr__(self, name: str) -> Callable[..., object]:
        hook: Callable[..., object] = getattr(self._hooks, name)
        return hook

    def pytest_runtest_makereport(self, item: pytest.Item, call: _Call) -> pytest.TestReport:
        if call.excinfo is not None:
            self._watching.flush(self._deferred)
            full_hook: Callable[..., pytest.TestReport] = getattr(self._hooks, MAKEREPORT)
            return full_hook(item=item, call=call)
        report = self._watching.hook_without_watchers(self._hooks)(item=item, call=call)
        self._deferred.phases.append((call, report))
        return report
