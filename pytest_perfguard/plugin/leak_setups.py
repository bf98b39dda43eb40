"""In a measuring process: the set-ups of the second leak check, and the fixtures that are alive."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import Any, Final

import pytest
from _pytest.fixtures import FixtureManager
from _pytest.nodes import Node
from _pytest.runner import SetupState

from pytest_perfguard.engine.leaks.allocation_sites import is_library_file
from pytest_perfguard.engine.leaks.levels import LevelReader
from pytest_perfguard.engine.leaks.open_resources import RESOURCE_NOUNS, UserCounter
from pytest_perfguard.engine.leaks.reference_graph import FixtureValue, FixtureValues
from pytest_perfguard.engine.leaks.results import LeakReport
from pytest_perfguard.engine.leaks.setup_check import SetupGrowth, SetupRequest, check_across_setups
from pytest_perfguard.engine.measure.messages import CallRaised, MeasureRequest, MeasureResult
from pytest_perfguard.engine.runner.protocol import (
    FasterThanPoint,
    Link,
    Message,
    PointReached,
    RecheckLeaks,
    Resume,
)
from pytest_perfguard.engine.runner.scheduler import run_plan

#: What holds all fixtures, and is no part of any.
_APART: Final = (Node, FixtureManager, SetupState, pytest.FixtureDef, pytest.FixtureRequest)
#: Of an item, what a test adds to and what ends with the item, not with its set-up.
_KEPT_BY_ITEM: Final = ("user_properties", "_report_sections", "own_markers")

Levels = Mapping[str, int]


class LiveFixtures:
    """Hooks that note which fixtures are set up."""

    def __init__(self) -> None:
        self._seen: dict[int, pytest.FixtureDef[Any]] = {}
        self.at_loop_end: Callable[[], object] | None = None
        """Called before the teardown of a fixture that is an event loop, after that of all that depend on it."""

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
        value = yield
        self._seen[id(fixturedef)] = fixturedef
        if self.at_loop_end is not None and _is_loop(value):
            fixturedef.addfinalizer(self.at_loop_end)
        return value

    def names(self) -> set[str]:
        """Of the fixtures that are set up now."""
        return {fixture.argname for fixture in self._seen.values() if fixture.cached_result is not None}

    def owners(self) -> FixtureValues:
        """The values of all that are set up now, with what their teardown will call."""
        return FixtureValues(list(self._owners()), _APART)

    def _owners(self) -> Iterator[FixtureValue]:
        for fixture in list(self._seen.values()):
            result = fixture.cached_result
            if result is None:
                del self._seen[id(fixture)]
            elif not _is_loop(result[0]):
                own, scope = _is_of_the_project(fixture.func), fixture.scope
                yield FixtureValue(fixture.argname, scope, own, result[0])
                yield FixtureValue(fixture.argname, scope, own, list(fixture._finalizers))


class SetUps:
    """Makes the set-ups that `check_across_setups` requests of one test.

    Parameters
    ----------
    run
        sets the item up, runs it with its measurement points served over this link, and tears it down; returns what
        failed.
    counters
        what the running test counts itself.
    """

    def __init__(
        self,
        request: RecheckLeaks,
        item: pytest.Item,
        fixtures: LiveFixtures,
        run: Callable[[Link], str | None],
        *,
        counters: Callable[[], Mapping[str, UserCounter]],
        forget: Callable[[], object],
    ) -> None:
        self._request = request
        self._item = item
        self._fixtures = fixtures
        self._run = run
        self._counters = counters
        self._meter = LevelReader(forget=forget)
        # What is counted takes its time to read, in each of some dozens of readings.
        self._counted = not RESOURCE_NOUNS.keys().isdisjoint(request.suspects)

    def check(self) -> LeakReport:
        """Tell which of the suspects outlive their set-up."""
        request = self._request
        with self._meter.open():
            self._meter.trace(int("memory" in request.suspects))
            return run_plan(check_across_setups(request.suspects, request.budget_ns, request.share), self._one)

    def _one(self, asked: SetupRequest) -> SetupGrowth:
        script = _Script(self._request.label, asked, self._levels)
        kept = {name: list(getattr(self._item, name)) for name in _KEPT_BY_ITEM}
        at_end: list[Levels] = []
        before = self._levels()
        self._fixtures.at_loop_end = lambda: at_end.append(self._levels_at_loop_end())
        try:
            problem = self._run(script)
        finally:
            self._fixtures.at_loop_end = None
            for name, values in kept.items():
                getattr(self._item, name)[:] = values
        after = at_end[0] if at_end else self._levels()
        within = _grown(script.before, script.after)
        outlived = _grown(before, after)
        for kind in self._request.suspects:
            # What the test counts is there while it runs only; so is a loop that no fixture keeps.
            if kind not in outlived or (kind == "tasks" and script.loop_ended and not at_end):
                outlived[kind] = within.get(kind, 0)
        return SetupGrowth(within, outlived, script.call_ns, script.problem or problem or script.missed)

    def _levels_at_loop_end(self) -> Levels:
        """Read while the loop still keeps its tasks and timers, and nothing that is torn down already is kept."""
        arguments: dict[str, object] = getattr(self._item, "funcargs", {})
        for name in set(arguments) - self._fixtures.names():
            del arguments[name]
        return self._levels()

    def _levels(self) -> Levels:
        own = {name: _count(counter()) for name, counter in self._counters().items()}
        return {**self._meter.levels(counted=self._counted), **own}


class _Script:
    """A link that has the calls made at one measurement point; at every other one the test simply goes on."""

    def __init__(self, label: str, asked: SetupRequest, levels: Callable[[], Levels]) -> None:
        self._label = label
        self._asked = asked
        self._levels = levels
        self._requests: list[Message] = []
        self._loop: Any = None
        self.before: Levels = {}
        self.after: Levels = {}
        self.call_ns = 1.0
        self.problem: str | None = None
        self.missed: str | None = "it does not reach the measurement point"

    @property
    def loop_ended(self) -> bool:
        """Were the calls made in an event loop that is closed by now?"""
        return self._loop is not None and self._loop.is_closed()

    def send(self, message: Message) -> None:
        if isinstance(message, PointReached | FasterThanPoint):
            self._requests = [Resume()]
            if message.label == self._label:
                calls = self._asked.calls
                self._requests.append(
                    MeasureRequest("time", *((1, calls) if self._asked.single_call_rounds else (calls, 1)))
                )
                self._loop = _running_loop()
                self.missed = None
                self.before = self._levels()
        elif isinstance(message, MeasureResult):
            self.call_ns = (sum(message.values["time"]) + sum(message.values["setup"])) / self._asked.calls
            self.after = self._levels()
        elif isinstance(message, CallRaised):
            self.problem = f"a call raised {message.text}"

    def receive(self) -> Message:
        return self._requests.pop()


def _grown(before: Levels, after: Levels) -> dict[str, int]:
    return {kind: level - before[kind] for kind, level in after.items() if kind in before}


def _count(counted: int | Iterable[object]) -> int:
    return counted if isinstance(counted, int) else sum(1 for _ in counted)


def _running_loop() -> Any:
    asyncio = sys.modules.get("asyncio")
    return asyncio._get_running_loop() if asyncio is not None else None


def _is_loop(value: object) -> bool:
    """Is it an event loop, or what runs one?"""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    return isinstance(value, asyncio.AbstractEventLoop) or callable(getattr(type(value), "get_loop", None))


def _is_of_the_project(function: Callable[..., object]) -> bool:
    """Is a fixture's function the project's own, not one of pytest's or of a plugin that is installed?"""
    module = sys.modules.get(getattr(function, "__module__", ""))
    return not is_library_file(getattr(module, "__file__", None) or "<")
