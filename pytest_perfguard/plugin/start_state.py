"""The environment and the import path that measuring processes start from: as they were before any test could change them."""

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
_PYTESTS_OWN: Final = ("PYTEST_CURRENT_TEST",)


def note_environment(manager: pytest.PytestPluginManager) -> None:
    """Remember the environment variables of this moment, when the run loads the plugin."""
    _AT_LOAD[manager] = dict(os.environ)


def environment_at_start(config: pytest.Config) -> dict[str, str]:
    """Return the environment variables as they were when the run began.

    What plugins and conftest files set since then, they set in a measuring process as well.
    """
    return dict(_AT_LOAD.get(config.pluginmanager, os.environ))


@dataclass(frozen=True)
class StartState:
    """What tests may leave changed for a process that is started after them."""

    environment: Mapping[str, str]
    path: tuple[str, ...]
    """For imports."""

    @classmethod
    def now(cls) -> StartState:
        """Return those of this moment."""
        return cls(dict(os.environ), tuple(entry for entry in sys.path if isinstance(entry, str)))

    def left_by_tests(self, later: StartState) -> list[str]:
        """Return a remark on what has changed since, if anything did. Variables are named without their values."""
        before, after = self.environment, later.environment
        names = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
        changed = [name for name in names if name not in _PYTESTS_OWN]
        if self.path != later.path:
            changed.append("sys.path")
        if not changed:
            return []
        return [
            f"tests left these changed: {', '.join(changed)}; measuring processes do not see that, and start from what was there "
            "when the run began"
        ]
