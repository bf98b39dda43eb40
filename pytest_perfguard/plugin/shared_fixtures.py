"""Fixtures of a project that tests share with one another."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from pytest_perfguard.engine.leaks.allocation_sites import is_library_file
from pytest_perfguard.plugin.pytest_internals import fixtures_of


def shared_fixtures(item: pytest.Item) -> tuple[str, ...]:
    """Return the names of the project's fixtures that the test uses and whose scope is wider than one test."""
    names = {
        fixture.argname
        for fixture in fixtures_of(item)
        if fixture.scope != "function" and is_of_the_project(fixture.func)
    }
    return tuple(sorted(names))


def is_of_the_project(function: Callable[..., object]) -> bool:
    """Return whether a fixture belongs to the project, not to pytest or an installed plugin."""
    module = sys.modules.get(getattr(function, "__module__", ""))
    return not is_library_file(getattr(module, "__file__", None) or "<")
