"""What is asked of a test at its end, while it can still fail: its alerts, its pools. Loaded with the first such fixture."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Final, NamedTuple

import pytest

from pytest_perfguard.plugin.output import fail
from pytest_perfguard.plugin.stash import ENDINGS, MEASURER

_NAME: Final = "perfguard-endings"


class EndChecks(NamedTuple):
    """What is asked."""

    problems: Callable[[], str]
    """Says what is wrong; "" if nothing is."""
    begin: Callable[[], object] = lambda: None
    """Called right before the test's body."""


def at_the_end(request: pytest.FixtureRequest, ending: EndChecks) -> None:
    """Ask this right after the test's body, if that passed; what is wrong fails the test.

    Not in a measuring process: the calls are many there, and the ordinary run has told already.
    """
    config = request.config
    if MEASURER in config.stash:
        return
    if not config.pluginmanager.hasplugin(_NAME):
        config.pluginmanager.register(_Hooks(), _NAME)
    endings = config.stash.setdefault(ENDINGS, [])
    endings.append(ending)
    request.addfinalizer(lambda: endings.remove(ending))


class _Hooks:
    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        endings = item.config.stash.get(ENDINGS, [])
        for ending in endings:
            ending.begin()
        result = yield
        problems = [problem for ending in endings if (problem := ending.problems())]
        if problems:
            fail("\n".join(problems))
        return result
