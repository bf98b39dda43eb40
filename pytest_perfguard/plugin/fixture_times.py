"""`--perf-setup`: the slowest fixtures and test set-ups of a run, with or without xdist."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from typing import Final, NamedTuple

import pytest

from pytest_perfguard.core.text import printable
from pytest_perfguard.core.units import format_duration
from pytest_perfguard.plugin.output import write_text
from pytest_perfguard.plugin.pytest_internals import is_parameter, worker_output

_KEY: Final = "perfguard_setups"
#: Maximum number of lines of each table.
MAX_LINES: Final = 15


class FixtureTime(NamedTuple):
    """Duration of one fixture, or of the set-up of one test."""

    name: str
    scope: str
    times: int
    total: float
    """Seconds of all set-ups."""
    longest: float
    """Seconds of the longest one."""

    def plus(self, seconds: float) -> FixtureTime:
        """Return the sum with one more set-up."""
        return self._replace(times=self.times + 1, total=self.total + seconds, longest=max(self.longest, seconds))

    def merged(self, other: FixtureTime) -> FixtureTime:
        """Return the sum with another process's times."""
        return self._replace(
            times=self.times + other.times, total=self.total + other.total, longest=max(self.longest, other.longest)
        )


def slowest(spent: dict[str, FixtureTime], lines: int = MAX_LINES) -> list[FixtureTime]:
    """Return the most expensive ones, in descending order."""
    return sorted(spent.values(), key=lambda one: -one.total)[:lines]


class FixtureTimes:
    """Times every fixture, without the fixtures in its parameters, and the whole set-up of every test."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._fixtures: dict[str, FixtureTime] = {}
        self._tests: dict[str, FixtureTime] = {}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Generator[None, object, object]:
        if is_parameter(fixturedef):
            return (yield)
        begun = time.perf_counter()
        try:
            return (yield)
        finally:
            where = fixturedef.baseid or getattr(fixturedef.func, "__module__", "")
            name = f"{fixturedef.argname} ({where})" if where else fixturedef.argname
            known = self._fixtures.get(name, FixtureTime(name, str(fixturedef.scope), 0, 0.0, 0.0))
            self._fixtures[name] = known.plus(time.perf_counter() - begun)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        # Only on the controller, which receives the workers' reports as well.
        if report.when == "setup" and not hasattr(self._config, "workerinput"):
            known = self._tests.get(report.nodeid, FixtureTime(report.nodeid, "", 0, 0.0, 0.0))
            self._tests[report.nodeid] = known.plus(report.duration)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        if hasattr(self._config, "workerinput"):
            worker_output(self._config)[_KEY] = json.dumps(list(self._fixtures.values()))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object, error: object) -> None:
        for values in json.loads(getattr(node, "workeroutput", {}).get(_KEY, "[]")):
            spent = FixtureTime(*values)
            known = self._fixtures.get(spent.name)
            self._fixtures[spent.name] = spent if known is None else known.merged(spent)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        from tabulate import tabulate

        terminalreporter.write_sep("=", "perfguard: slowest fixtures, without the fixtures that they request")
        rows = [
            [printable(one.name), one.scope, one.times, format_duration(one.total), format_duration(one.longest)]
            for one in slowest(self._fixtures)
        ]
        write_text(
            terminalreporter, tabulate(rows, ["fixture", "scope", "times", "total", "longest"], disable_numparse=True)
        )
        terminalreporter.write_sep("=", "perfguard: slowest test set-ups, all fixtures included")
        rows = [[printable(one.name), format_duration(one.total)] for one in slowest(self._tests)]
        write_text(terminalreporter, tabulate(rows, ["test", "set-up"], disable_numparse=True))
