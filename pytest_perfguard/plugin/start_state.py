"""Environment and import path that measuring processes start with: those of the run's start, before any test changed them."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final, NamedTuple

import pytest

from pytest_perfguard.plugin.stash import ENVIRONMENTS

#: Set and removed by pytest itself around each test.
_SET_BY_PYTEST: Final = ("PYTEST_CURRENT_TEST",)


def environment_at_start(config: pytest.Config) -> dict[str, str]:
    """Return the environment variables at the start of the run.

    Changes that plugins and conftest files have made since are repeated in a measuring process, which loads them as well.
    """
    return dict(ENVIRONMENTS.get(config.pluginmanager, os.environ))


class StartState(NamedTuple):
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
