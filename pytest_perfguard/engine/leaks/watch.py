"""`memory_watch`: leak checks, peaks and limits of growth for any test, and for any program."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractContextManager
from functools import partial
from statistics import median
from typing import Any

from pytest_perfguard.core.errors import CannotCheck, LeakError
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.core.units import parse_duration, parse_size
from pytest_perfguard.engine.leaks.block import WatchedBlock
from pytest_perfguard.engine.leaks.check import CALLS, LeakCheckOptions, check_leaks
from pytest_perfguard.engine.leaks.levels import LevelReader
from pytest_perfguard.engine.leaks.open_resources import ResourceCounter, UserCounter
from pytest_perfguard.engine.leaks.results import LeakReport
from pytest_perfguard.engine.leaks.snapshot import MemorySnapshot, take_snapshot
from pytest_perfguard.engine.measure.executor import CallStep, CallSteps, execute, execute_async
from pytest_perfguard.engine.measure.peak_memory import measure_peaks
from pytest_perfguard.engine.measure.suppress import suppress_capture

_StepsWithResult = Generator[CallStep, Timing, Any]


class MemoryWatch:
    """Watches the memory and the resources of this process. Needs no pytest.

    Parameters
    ----------
    quiet
        makes the context in which functions are called again and again; keeps nothing of their output, warnings and
        log records by default.
    """

    def __init__(self, quiet: Callable[[], AbstractContextManager[None]] = suppress_capture) -> None:
        self._quiet = quiet
        self.counters: dict[str, UserCounter] = {}
        """What `count` was given, by name."""

    def count(self, name: str, counter: UserCounter) -> None:
        """Count something of your own, too: `counter()` returns a number, or the things themselves.

        Such as `memory_watch.count("connections", pool.checkedout)`. In a test marked perf it counts in the leak check of
        that test as well.
        """
        ResourceCounter({name: counter})  # refuses a name that is taken
        self.counters[name] = counter

    def __call__(
        self, *, max_growth: str | float | None = None, max_peak: str | float | None = None, resources: bool = False
    ) -> WatchedBlock:
        """`with memory_watch(max_growth="1MB", resources=True) as block:` (or `async with`).

        Parameters
        ----------
        max_growth, max_peak
            sizes such as `"1MB"`, or bytes; None: no limit. `block.growth` and `block.peak` tell them afterwards.
        resources
            must every file, socket, thread, child process and asyncio task be gone at the end of the block?

        Raises
        ------
        LeakError
            at the end of the block, an AssertionError that says what was left behind and where it was made.
        """
        limits = (None if limit is None else _bytes(limit) for limit in (max_growth, max_peak))
        growth, peak = limits
        return WatchedBlock(ResourceCounter(self.counters), max_growth=growth, max_peak=peak, resources=resources)

    def check(
        self,
        function: Callable[..., object],
        /,
        *args: object,
        calls: int = CALLS,
        budget: str | float = "20s",
        cycles: bool = False,
        **kwargs: object,
    ) -> LeakReport:
        """Call `function(*args, **kwargs)` again and again, and fail if anything grows with every call.

        Parameters
        ----------
        calls
            counted ones of the first look, after a warm-up; more follow where these leave it open.
        budget
            the most time in calls: `"20s"`, or seconds.
        cycles
            note in the result which reference cycles a call makes, that only the collector frees?

        Raises
        ------
        LeakError
            an AssertionError that names what grows, where it was allocated, and what keeps it.
        CannotCheck
            where a later call raised, or the budget was too small.
        """
        __tracebackhide__ = True
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"{function!r} is a coroutine function: await memory_watch.check_async(...)")
        found: list[LeakReport] = []
        order = _options(calls, budget, cycles=cycles)
        with self._quiet():
            execute(
                _store_result(check_leaks(order, LevelReader(self.counters)), found),
                partial(function, *args, **kwargs),
                None,
            )
        return _require_clean(found[0])

    async def check_async(
        self,
        function: Callable[..., Awaitable[object]],
        /,
        *args: object,
        calls: int = CALLS,
        budget: str | float = "20s",
        cycles: bool = False,
        **kwargs: object,
    ) -> LeakReport:
        """`check` for a coroutine function, inside the running event loop."""
        __tracebackhide__ = True
        found: list[LeakReport] = []
        order = _options(calls, budget, cycles=cycles)
        steps = _store_result(check_leaks(order, LevelReader(self.counters)), found)
        with self._quiet():
            await execute_async(steps, partial(function, *args, **kwargs), None)
        return _require_clean(found[0])

    def peak(self, function: Callable[..., object], /, *args: object, calls: int = 1, **kwargs: object) -> int:
        """The highest that Python's memory rose during a call, in bytes above its start; the median of the `calls`."""
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"{function!r} is a coroutine function: await memory_watch.peak_async(...)")
        found: list[list[int]] = []
        with self._quiet():
            execute(_store_result(measure_peaks(1, calls), found), partial(function, *args, **kwargs), None)
        return round(median(found[0]))

    async def peak_async(
        self, function: Callable[..., Awaitable[object]], /, *args: object, calls: int = 1, **kwargs: object
    ) -> int:
        """`peak` for a coroutine function, inside the running event loop."""
        found: list[list[int]] = []
        with self._quiet():
            await execute_async(_store_result(measure_peaks(1, calls), found), partial(function, *args, **kwargs), None)
        return round(median(found[0]))

    def snapshot(self) -> MemorySnapshot:
        """What the process holds now, garbage collected. `later - earlier` is what has changed, readable with `print`."""
        return take_snapshot(ResourceCounter(self.counters))


def _options(calls: int, budget: str | float, *, cycles: bool) -> LeakCheckOptions:
    if calls < 1:
        raise ValueError(f"calls is {calls!r}: it takes at least one")
    seconds = parse_duration(budget) if isinstance(budget, str) else budget
    return LeakCheckOptions(calls, round(seconds * 1e9), cycles)


def _bytes(limit: str | float) -> float:
    return parse_size(limit) if isinstance(limit, str) else float(limit)


def _store_result(steps: _StepsWithResult, found: list[Any]) -> CallSteps:
    """The steps, with their result in the list."""
    found.append((yield from steps))


def _require_clean(examination: LeakReport) -> LeakReport:
    __tracebackhide__ = True
    if examination.leaks:
        raise LeakError(examination.lines())
    if examination.unsettled:
        raise CannotCheck(f"leaks: {examination.unsettled}; give it one: budget=...")
    return examination
