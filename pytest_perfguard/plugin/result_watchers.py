"""Show plugins that watch `pytest_runtest_makereport` the final result of a perf test, once.

The ordinary run of a perf test is not its result: it may yet fail by its verdict. What passed is therefore withheld from
those plugins, too, until `log_reports` reports the others. A phase that fails is reported at once, while the test's fixtures live.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from pytest_perfguard.engine.measure.executor import error_line
from pytest_perfguard.plugin.other_plugins import MAKEREPORT, watchers
from pytest_perfguard.plugin.output import write_text
from pytest_perfguard.plugin.rerunfailures import hooks_replaced

#: Name of allure's plugin that writes a result at the end of a test's protocol, or with `pytest_runtest_logfinish`.
_ALLURE: Final = "allure_listener"


class PerformanceFailure(AssertionError):
    """What plugins find in `call.excinfo` of a test that fails by its verdict."""


@dataclass
class _Waiting:
    """What was not reported yet of one test."""

    item: pytest.Item
    phases: list[tuple[pytest.CallInfo[Any], pytest.TestReport]] = field(default_factory=list)
    allure: Any = None
    """The key of its result there."""


class Watching:
    """Withholds results from those that watch, and tells them later. A plugin itself: it gives the reports again."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._manager = config.pluginmanager
        self._waiting: dict[str, _Waiting] = {}
        self._told: pytest.TestReport | None = None
        self._problems: list[str] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self) -> pytest.TestReport | None:
        return self._told

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for problem in self._problems:
            write_text(terminalreporter, f"perf: {problem}", yellow=True)

    @contextlib.contextmanager
    def withheld(self, item: pytest.Item) -> Iterator[None]:
        """Within the block, tell of the test's phases only what is final: that one has failed or was skipped."""
        self._waiting[item.nodeid] = waiting = _Waiting(item)
        with hooks_replaced(item.session, lambda hooks: _Withholding(hooks, waiting, self)):
            yield

    def passed(self, item: pytest.Item) -> None:
        """The ordinary run of this test is over, and its result waits for the verdict."""
        listener: Any = self._manager.get_plugin(_ALLURE)
        cache: Any = getattr(listener, "_cache", None)
        if hasattr(cache, "pop"):  # else it would write at once
            self._waiting[item.nodeid].allure = cache.pop(item.nodeid)

    def tell(self, nodeid: str, reports: list[pytest.TestReport]) -> None:
        """Tell those that watch what is final now; does nothing where they know already."""
        waiting = self._waiting.pop(nodeid, None)
        if waiting is None:
            return
        if waiting.allure is not None:
            listener: Any = self._manager.get_plugin(_ALLURE)
            listener._cache._items[id(waiting.item.nodeid)] = waiting.allure
        final = {report.when: report for report in reports}
        for call, report in waiting.phases:
            self._tell_phase(waiting.item, call, final.get(report.when, report))

    def flush(self, waiting: _Waiting) -> None:
        """Report the phases that waited, since the next one is reported at once."""
        phases, waiting.phases = waiting.phases, []
        for call, report in phases:
            self._tell_phase(waiting.item, call, report)

    def quiet_hook(self, hooks: object) -> Callable[..., pytest.TestReport]:
        """The hook without those that only watch."""
        hidden = {*watchers(self._manager), *getattr(hooks, "remove_mods", ())}
        return self._manager.subset_hook_caller(MAKEREPORT, remove_plugins=hidden)

    def _tell_phase(self, item: pytest.Item, call: pytest.CallInfo[Any], report: pytest.TestReport) -> None:
        headline = getattr(getattr(report.longrepr, "reprcrash", None), "message", None)
        if call.excinfo is None and headline is not None:
            call.excinfo = _raised(PerformanceFailure(headline))
        kept = {self, *watchers(self._manager)} - set(getattr(item.ihook, "remove_mods", ()))
        others = {each.plugin for each in self._config.hook.pytest_runtest_makereport.get_hookimpls()} - kept
        hook = self._manager.subset_hook_caller(MAKEREPORT, remove_plugins=others)
        self._told = report
        try:
            hook(item=item, call=call)
        except Exception as error:  # such as of a hook that looks at fixtures of a test that is over
            self._problems.append(
                f"a hook {MAKEREPORT} could not be told the final result of {item.nodeid}: {error_line(error)}"
            )
        finally:
            self._told = None


def _raised(failure: PerformanceFailure) -> pytest.ExceptionInfo[BaseException]:
    try:
        raise failure
    except PerformanceFailure as error:
        return pytest.ExceptionInfo.from_exception(error)


class _Withholding:
    """The hooks of pytest for one test."""

    def __init__(self, hooks: object, waiting: _Waiting, watching: Watching) -> None:
        self._hooks = hooks
        self._waiting = waiting
        self._watching = watching

    def __getattr__(self, name: str) -> Callable[..., object]:
        hook: Callable[..., object] = getattr(self._hooks, name)
        return hook

    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[Any]) -> pytest.TestReport:
        if call.excinfo is not None:
            self._watching.flush(self._waiting)
            everybody: Callable[..., pytest.TestReport] = getattr(self._hooks, MAKEREPORT)
            return everybody(item=item, call=call)
        report = self._watching.quiet_hook(self._hooks)(item=item, call=call)
        self._waiting.phases.append((call, report))
        return report
