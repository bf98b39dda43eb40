"""A run that measures nothing: errors in the marker `perf`, and a remark on options without effect."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence

import pytest

from pytest_perfguard.plugin.options import MODES, marker_keywords, settings_for_test
from pytest_perfguard.plugin.output import fail, usage_error, write_text


def check_items(config: pytest.Config, marked: Sequence[pytest.Item]) -> None:
    """Check the markers of these items.

    A worker of xdist fails the tests instead, since xdist loses the text of its usage errors.

    Raises
    ------
    pytest.UsageError
        for the first wrong keyword or value.
    """
    problems: dict[pytest.Item, str] = {}
    for item in marked:
        try:
            check_marker(item, marker_keywords(item) or {}, item.nodeid)
        except pytest.UsageError as error:
            if not hasattr(config, "workerinput"):
                raise
            problems[item] = str(error)
    if problems:
        config.pluginmanager.register(_WrongMarkers(problems), "perfguard-wrong-markers")


def check_marker(item: pytest.Item, keywords: Mapping[str, object], nodeid: str) -> None:
    """Check the keywords of one test's marker; `nodeid` is its name in messages.

    Raises
    ------
    pytest.UsageError
        naming the test and the reason.
    """
    marker_keywords(item)
    settings_for_test(item.config, keywords, nodeid)
    setup, function = keywords.get("setup"), getattr(item, "obj", None)
    if inspect.iscoroutinefunction(setup) and not inspect.iscoroutinefunction(function):
        raise usage_error(
            f"marker perf of {nodeid}: setup {setup!r} is a coroutine function and the test is not; give a plain function"
        )


class _WrongMarkers:
    """Fails the tests with wrong markers."""

    def __init__(self, problems: Mapping[pytest.Item, str]) -> None:
        self._problems = problems

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if item in self._problems:
            fail(self._problems[item])


class WithoutEffect:
    """Remarks at the end of the run that options had no effect."""

    def __init__(self, flags: Sequence[str]) -> None:
        self._flags = flags

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        *others, last = (option.flag for option in MODES.values())
        verb = "has" if len(self._flags) == 1 else "have"
        write_text(
            terminalreporter,
            f"perf: {', '.join(self._flags)} {verb} no effect without a mode: {', '.join(others)} or {last}",
            yellow=True,
        )
