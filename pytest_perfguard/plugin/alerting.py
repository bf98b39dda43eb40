"""Alerts of `perf_monitor` at the end of a test: a breach fails it. Loaded with the first test that asks for the fixture."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Final

import pytest

from pytest_perfguard.errors import AlertError
from pytest_perfguard.plugin.keys import MEASURER, MONITOR

if TYPE_CHECKING:
    from pytest_perfguard.monitor.monitor import PerformanceMonitor

_NAME: Final = "perfguard-alerts"


def watch_alerts(config: pytest.Config) -> None:
    """From now on, the tests of this run that use the fixture are held to their alerts; once for a run.

    In a measuring process nothing is: the calls are many there, and the ordinary run has told already.
    """
    manager = config.pluginmanager
    if MEASURER not in config.stash and not manager.hasplugin(_NAME):
        manager.register(_AlertHooks(), _NAME)


class _AlertHooks:
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        result = yield
        monitor = item.config.stash.get(MONITOR, None)
        if problem := _breaches(monitor) if monitor is not None else "":
            pytest.fail(problem, pytrace=False)
        return result


def _breaches(monitor: PerformanceMonitor) -> str:
    try:
        monitor.check()
    except AlertError as error:
        return str(error)
    return ""
