"""Run a test through pytest-rerunfailures and buffer the reports of all attempts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import pytest

from pytest_perfguard.plugin.pytest_internals import hooks_replaced

#: Names under which that plugin is registered: by entry point, or with `-p` and the module.
RERUNFAILURES: Final = ("rerunfailures", "pytest_rerunfailures")


class _Rerunfailures(Protocol):
    """The module of that plugin."""

    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> object: ...


def attempts(item: pytest.Item, nextitem: pytest.Item | None) -> list[list[pytest.TestReport]] | None:
    """Run the item and return the reports of each attempt. None: that plugin does not repeat this item, and it did not run."""
    plugins = filter(None, map(item.config.pluginmanager.get_plugin, RERUNFAILURES))
    plugin: _Rerunfailures | None = next(plugins, None)
    if plugin is None:
        return None
    found: list[list[pytest.TestReport]] = []
    with hooks_replaced(item.session, lambda hooks: _BufferedReports(hooks, found)):
        took_part = plugin.pytest_runtest_protocol(item=item, nextitem=nextitem)
    return found if took_part else None


class _BufferedReports:
    """pytest's hooks, except that reports are appended to a list of attempts and not logged."""

    def __init__(self, hooks: object, found: list[list[pytest.TestReport]]) -> None:
        self._hooks = hooks
        self._found = found

    def __getattr__(self, name: str) -> Callable[..., object]:
        hook: Callable[..., object] = getattr(self._hooks, name)
        return hook

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        self._found.append([])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._found[-1].append(report)

    def pytest_runtest_logfinish(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """Nothing to do: the next attempt begins with `pytest_runtest_logstart`."""
