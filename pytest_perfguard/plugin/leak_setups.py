"""Repeat set-ups in a measuring process for the second leak check, and find the fixtures that are set up."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

import pytest

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
from pytest_perfguard.plugin.pytest_internals import (
    drop_instance,
    fixture_finalizers,
    fixture_machinery,
    fixture_value,
    item_lists_restored,
)
from pytest_perfguard.plugin.shared_fixtures import is_of_the_project

if TYPE_CHECKING:
    import asyncio

Levels = Mapping[str, int]


class LiveFixtures:
    """Hooks that record which fixtures are set up."""

    def __init__(self) -> None:
        self._seen: dict[int, pytest.FixtureDef[object]] = {}
        self.at_loop_end: Callable[[], object] | None = None
        """Called before the teardown of a fixture that is an event loop, after that of the fixtures that depend on it."""

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[object]) -> Generator[None, object, object]:
        value = yield
        self._seen[id(fixturedef)] = fixturedef
        if self.at_loop_end is not None and _is_loop(value):
            fixturedef.addfinalizer(self.at_loop_end)
        return value

    def names(self) -> set[str]:
        """Return the names of the fixtures that are set up."""
        return {fixture.argname for fixture in self._seen.values() if fixture_value(fixture) is not None}

    def owners(self) -> FixtureValues:
        """Return the values of the fixtures that are set up, and the functions that their teardown will call."""
        return FixtureValues(list(self._owners()), fixture_machinery())

    def _owners(self) -> Iterator[FixtureValue]:
        for fixture in list(self._seen.values()):
            found = fixture_value(fixture)
            if found is None:
                del self._seen[id(fixture)]
                continue
            (value,) = found
            if not _is_loop(value):
                own, scope = is_of_the_project(fixture.func), fixture.scope
                yield FixtureValue(fixture.argname, scope, own, value)
                yield FixtureValue(fixture.argname, scope, own, fixture_finalizers(fixture))


class SetUps:
    """Makes the set-ups of one test that `check_across_setups` requests.

    Parameters
    ----------
    run
        sets up the item, runs it with its measurement points served over a link, and tears it down; returns the failure, or
        None.
    counters
        returns the counters that the running test has added.
    forget
        drops what the instruments have recorded.
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
        # Counting is slow, and there are dozens of readings.
        self._counted = not RESOURCE_NOUNS.keys().isdisjoint(request.suspects)

    def check(self) -> LeakReport:
        """Return which of the suspects outlive their set-up."""
        request = self._request
        with self._meter.open():
            self._meter.trace(int("memory" in request.suspects))
            return run_plan(check_across_setups(request.suspects, request.budget_ns, request.share), self._one)

    def _one(self, set_up: SetupRequest) -> SetupGrowth:
        script = _Script(self._request.label, set_up, self._levels, self._request.suspects.keys())
        at_end: list[Levels] = []
        before = self._levels()
        self._fixtures.at_loop_end = lambda: at_end.append(self._levels_at_loop_end())
        with item_lists_restored(self._item):
            try:
                problem = self._run(script)
            finally:
                self._fixtures.at_loop_end = None
        drop_instance(self._item)
        after = at_end[0] if at_end else self._levels()
        within = _grown(script.before, script.after)
        outlived = _grown(before, after)
        for kind in self._request.suspects:
            # A test's own counters exist only while it runs, and so does a loop that is not a fixture.
            if kind not in outlived or (kind == "tasks" and script.loop_ended and not at_end):
                outlived[kind] = within.get(kind, 0)
        return SetupGrowth(within, outlived, script.call_ns, script.problem or problem or script.missed)

    def _levels_at_loop_end(self) -> Levels:
        """Return the levels while the loop still has its tasks and timers, without values of fixtures that are torn down."""
        arguments: dict[str, object] = getattr(self._item, "funcargs", {})
        for name in set(arguments) - self._fixtures.names():
            del arguments[name]
        return self._levels()

    def _levels(self) -> Levels:
        own = {name: _count(counter()) for name, counter in self._counters().items()}
        return {**self._meter.levels(counted=self._counted), **own}


class _Script:
    """Link of a scripted controller: it requests calls at one measurement point and resumes the test at all others."""

    def __init__(
        self, label: str, set_up: SetupRequest, levels: Callable[[], Levels], suspects: AbstractSet[str]
    ) -> None:
        self._label = label
        self._set_up = set_up
        self._levels = levels
        self._suspects = suspects
        self._begins_with_a_call = False
        self._requests: list[Message] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self.before: Levels = {}
        self.after: Levels = {}
        self.call_ns = 1.0
        self.problem: str | None = None
        self.missed: str | None = "it does not reach the measurement point"

    @property
    def loop_ended(self) -> bool:
        """True if the calls were made in an event loop that is closed by now."""
        return self._loop is not None and self._loop.is_closed()

    def send(self, message: Message) -> None:
        if isinstance(message, PointReached | FasterThanPoint):
            self._requests = [Resume()]
            if message.label == self._label:
                calls = self._set_up.calls
                self._requests.append(
                    MeasureRequest("time", *((1, calls) if self._set_up.single_call_rounds else (calls, 1)))
                )
                self._loop = _running_loop()
                self.missed = None
                self.before = self._levels()
                if not self._suspects <= self.before.keys():  # a counter that only a call adds has no level yet
                    self._begins_with_a_call = True
                    self._requests.append(MeasureRequest("time", 1, 1))
        elif isinstance(message, MeasureResult) and self._begins_with_a_call:
            self._begins_with_a_call = False
            self.before = self._levels()
        elif isinstance(message, MeasureResult):
            self.call_ns = (sum(message.values["time"]) + sum(message.values["setup"])) / self._set_up.calls
            self.after = self._levels()
        elif isinstance(message, CallRaised):
            self.problem = f"a call raised {message.text}"

    def receive(self) -> Message:
        return self._requests.pop()


def _grown(before: Levels, after: Levels) -> dict[str, int]:
    return {kind: level - before[kind] for kind, level in after.items() if kind in before}


def _count(counted: int | Iterable[object]) -> int:
    return counted if isinstance(counted, int) else sum(1 for _ in counted)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    module = sys.modules.get("asyncio")
    loop: asyncio.AbstractEventLoop | None = module._get_running_loop() if module is not None else None
    return loop


def _is_loop(value: object) -> bool:
    """Return whether the value is an event loop or runs one."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    return isinstance(value, asyncio.AbstractEventLoop) or callable(getattr(type(value), "get_loop", None))
