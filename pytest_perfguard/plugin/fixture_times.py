"""`--perf-setup`: the slowest fixtures and test set-ups of a run, with or without xdist."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from typing import Any, Final, NamedTuple

import pytest

from pytest_perfguard.core.text import printable
from pytest_perfguard.core.units import format_duration
from pytest_perfguard.plugin.output import write_text

_KEY: Final = "perfguard_setups"
#: Lines of each table.
SHOWN: Final = 15


class FixtureTime(NamedTuple):
    """What one fixture, or the set-up of one test, took."""

    name: str
    scope: str
    times: int
    total: float
    """Seconds."""
    longest: float

    def and_again(self, seconds: float) -> FixtureTime:
        """With one more time."""
        return self._replace(times=self.times + 1, total=self.total + seconds, longest=max(self.longest, seconds))

    def joined(self, other: FixtureTime) -> FixtureTime:
        """With what another process spent."""
        return self._replace(
            times=self.times + other.times, total=self.total + other.total, longest=max(self.longest, other.longest)
        )


def slowest(spent: dict[str, FixtureTime], shown: int = SHOWN) -> list[FixtureTime]:
    """The most expensive ones first. Pure."""
    return sorted(spent.values(), key=lambda one: -one.total)[:shown]


class SetupTimes:
    """Times every fixture by itself, without those that it asks for in its parameters, and every test's whole set-up."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._fixtures: dict[str, FixtureTime] = {}
        self._tests: dict[str, FixtureTime] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: pytest.FixtureRequest) -> Generator[None, object, object]:
        if fixturedef.func.__module__ == "_pytest.python":  # an argument of `parametrize`
            return (yield)
        begun = time.perf_counter()
        try:
            return (yield)
        finally:
            where = fixturedef.baseid or getattr(fixturedef.func, "__module__", "")
            name = f"{fixturedef.argname} ({where})" if where else fixturedef.argname
            known = self._fixtures.get(name, FixtureTime(name, str(fixturedef.scope), 0, 0.0, 0.0))
            self._fixtures[name] = known.and_again(time.perf_counter() - begun)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # Of the controller alone: the workers' reports reach it, too.
        if report.when == "setup" and not hasattr(self._config, "workerinput"):
            known = self._tests.get(report.nodeid, FixtureTime(report.nodeid, "", 0, 0.0, 0.0))
            self._tests[report.nodeid] = known.and_again(report.duration)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        if hasattr(self._config, "workerinput"):
            self._config.workeroutput[_KEY] = json.dumps(list(self._fixtures.values()))  # type: ignore[attr-defined]  # xdist

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        for values in json.loads(getattr(node, "workeroutput", {}).get(_KEY, "[]")):
            spent = FixtureTime(*values)
            known = self._fixtures.get(spent.name)
            self._fixtures[spent.name] = spent if known is None else known.joined(spent)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        from tabulate import tabulate

        terminalreporter.write_sep("=", "perfguard: slowest fixtures, without those they ask for")
        rows = [
            [printable(one.name), one.scope, one.times, format_duration(one.total), format_duration(one.longest)]
            for one in slowest(self._fixtures)
        ]
        write_text(
            terminalreporter, tabulate(rows, ["fixture", "scope", "times", "total", "longest"], disable_numparse=True)
        )
        terminalreporter.write_sep("=", "perfguard: slowest set-ups of tests, all fixtures included")
        rows = [[printable(one.name), format_duration(one.total)] for one in slowest(self._tests)]
        write_text(terminalreporter, tabulate(rows, ["test", "set-up"], disable_numparse=True))
