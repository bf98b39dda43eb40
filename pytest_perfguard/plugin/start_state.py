"""Environment and import path that measuring processes start with: those of the run's start, before any test changed them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

import pytest

#: By the plugin manager of the run: runs within one process may be nested.
_AT_LOAD: Final[WeakKeyDictionary[pytest.PytestPluginManager, dict[str, str]]] = WeakKeyDictionary()
#: Set and removed by pytest itself around each test.
_SET_BY_PYTEST: Final = ("PYTEST_CURRENT_TEST",)


def record_environment(manager: pytest.PytestPluginManager) -> None:
    """Record the environment variables when the run loads the plugin."""
    _AT_LOAD[manager] = dict(os.environ)


def environment_at_start(config: pytest.Config) -> dict[str, str]:
    """Return the environment variables at the start of the run.

    Changes that plugins and conftest files have made since are repeated in a measuring process, which loads them as well.
    """
    return dict(_AT_LOAD.get(config.pluginmanager, os.environ))


@dataclass(frozen=True)
class StartState:
    """State of the process that tests may change and that a process started later would inherit."""

    environment: Mapping[str, str]
    path: tuple[str, ...]
    """`sys.path`."""

    @classmethod
    def now(cls) -> StartState:
        """Return the present state."""
        return cls(dict(os.environ), tuple(entry for entry in sys.path if isinstance(entry, str)))

    def left_by_tests(self, later: StartState) -> list[str]:
        """Return a note on the differences, or nothing. Variables are named without their values."""
        before, after = self.environment, later.environment
        names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        changed = [name for name in names if name not in _SET_BY_PYTEST]
        if self.path != later.path:
            changed.append("sys.path")
        if not changed:
            return []
        return [
            f"tests changed and did not restore: {', '.join(changed)}; measuring processes start with the values from the "
            "beginning of the run"
        ]
