"""Checks at the end of a test, while it can still fail: its alerts, its pools. Loaded with the first fixture that has one."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Final, NamedTuple

import pytest

from pytest_perfguard.plugin.output import fail
from pytest_perfguard.plugin.stash import END_CHECKS, MEASURER

_NAME: Final = "perfguard-endings"


class EndCheck(NamedTuple):
    """One check of the running test."""

    problem: Callable[[], str | None]
    """Return the reason why the test fails, or None."""
    begin: Callable[[], object] = lambda: None
    """Called right before the test's body."""


def check_at_end(request: pytest.FixtureRequest, check: EndCheck) -> None:
    """Make this check right after the test's body if that passed, and fail the test if there is a problem.

    A measuring process makes no checks: it calls the body many times, and the functional run has made them already.
    """
    config = request.config
    if MEASURER in config.stash:
        return
    if not config.pluginmanager.hasplugin(_NAME):
        config.pluginmanager.register(_Hooks(), _NAME)
    checks = config.stash.setdefault(END_CHECKS, [])
    checks.append(check)
    request.addfinalizer(lambda: checks.remove(check))


class _Hooks:
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        checks = item.config.stash.get(END_CHECKS, [])
        for check in checks:
            check.begin()
        result = yield
        problems = [problem for check in checks if (problem := check.problem()) is not None]
        if problems:
            fail("\n".join(problems))
        return result
