"""`memory_watch`: check functions for leaks, and limit the peak and the growth of memory in tests and programs."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import AbstractContextManager
from functools import partial
from statistics import median
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

from pytest_perfguard.core.callables import must_be_awaited
from pytest_perfguard.core.errors import CannotCheck, LeakError
from pytest_perfguard.core.originals import CLOCKS, gc
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.core.units import format_size, parse_duration, parse_size
from pytest_perfguard.engine.leaks.allocation_sites import TRACED_FRAMES, growth_sites
from pytest_perfguard.engine.leaks.bounded_caches import BoundedCaches
from pytest_perfguard.engine.leaks.check import CALLS, LeakCheckOptions, check_leaks
from pytest_perfguard.engine.leaks.explain import describe_new
from pytest_perfguard.engine.leaks.levels import LevelReader
from pytest_perfguard.engine.leaks.open_resources import (
    OpenResources,
    ResourceCounter,
    UserCounter,
    new_resources,
    noun_of,
)
from pytest_perfguard.engine.leaks.results import LeakReport
from pytest_perfguard.engine.leaks.snapshot import MemorySnapshot, take_snapshot
from pytest_perfguard.engine.measure.executor import CallStep, CallSteps, execute, execute_async
from pytest_perfguard.engine.measure.peak_memory import measure_peaks
from pytest_perfguard.engine.measure.suppress import NO_CAPTURE, RunnerCapture, suppress_capture

if TYPE_CHECKING:
    from tracemalloc import Snapshot

_T = TypeVar("_T")


#: Maximum wait at the end of a block for resources that are about to end: a stopped thread, a cancelled task.
MAX_WAIT_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.01


class MemoryWatch:
    """Watches the memory and the resources of this process. Needs no pytest.

    Parameters
    ----------
    quiet
        makes the context in which functions are called repeatedly. By default it drops their output, warnings and log
        records.
    capture
        the log records and the output that a test runner stores, which do not count as growth. In a pytest test use the
        fixture `memory_watch`, which passes those of pytest.
    """

    def __init__(
        self,
        quiet: Callable[[], AbstractContextManager[None]] = suppress_capture,
        *,
        capture: RunnerCapture = NO_CAPTURE,
    ) -> None:
        self._quiet = quiet
        self._capture = capture
        self.counters: dict[str, UserCounter] = {}
        """The counters passed to `count`, by name."""

    def count(self, name: str, counter: UserCounter) -> None:
        """Count a resource of your own, too: `counter()` returns a number, or the objects themselves.

        Example: `memory_watch.count("connections", pool.checkedout)`. In a test marked perf, the counter also takes
        part in the leak check of that test.
        """
        if not callable(counter):
            raise TypeError(f"counter is {counter!r}: give a function without arguments")
        ResourceCounter({name: counter})  # refuses a name that is taken
        self.counters[name] = counter

    def __call__(
        self, *, max_growth: str | float | None = None, max_peak: str | float | None = None, resources: bool = False
    ) -> WatchedBlock:
        """Limit what a block leaves behind: `with memory_watch(max_growth="1MB", resources=True) as block:` (or `async
        with`).

        Parameters
        ----------
        max_growth, max_peak
            sizes such as `"1MB"`, or bytes; None: no limit. `block.growth` and `block.peak` hold the results.
        resources
            whether every file, socket, thread, child process and asyncio task must be gone at the end of the block.

        Raises
        ------
        LeakError
            at the end of the block: an AssertionError that names what was left behind and where it was created.
        """
        limits = (None if limit is None else _bytes(limit) for limit in (max_growth, max_peak))
        growth, peak = limits
        return WatchedBlock(
            ResourceCounter(self.counters), self._capture, max_growth=growth, max_peak=peak, resources=resources
        )

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
        """Call `function(*args, **kwargs)` repeatedly, and fail if anything grows with every call.

        Parameters
        ----------
        calls
            counted calls of the first series, after a warm-up. More calls follow if the series is not conclusive.
        budget
            maximum time: `"20s"`, or seconds.
        cycles
            whether to note in the result the reference cycles per call, which only the garbage collector frees.

        Raises
        ------
        LeakError
            an AssertionError that names what grows, where it was allocated, and what retains it.
        CannotCheck
            if a later call raises, or the budget is too small.
        """
        __tracebackhide__ = True
        _require_plain(function, "check_async")
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
        """Check a coroutine function as `check` does, inside the running event loop."""
        __tracebackhide__ = True
        found: list[LeakReport] = []
        order = _options(calls, budget, cycles=cycles)
        steps = _store_result(check_leaks(order, LevelReader(self.counters)), found)
        with self._quiet():
            await execute_async(steps, partial(function, *args, **kwargs), None)
        return _require_clean(found[0])

    def peak(self, function: Callable[..., object], /, *args: object, calls: int = 1, **kwargs: object) -> int:
        """Return the peak of Python's memory during a call, in bytes above its start; the median of the `calls`."""
        _require_plain(function, "peak_async")
        _require_calls(calls)
        found: list[list[int]] = []
        with self._quiet():
            execute(_store_result(measure_peaks(1, calls), found), partial(function, *args, **kwargs), None)
        return round(median(found[0]))

    async def peak_async(
        self, function: Callable[..., Awaitable[object]], /, *args: object, calls: int = 1, **kwargs: object
    ) -> int:
        """Measure a coroutine function as `peak` does, inside the running event loop."""
        _require_calls(calls)
        found: list[list[int]] = []
        with self._quiet():
            await execute_async(_store_result(measure_peaks(1, calls), found), partial(function, *args, **kwargs), None)
        return round(median(found[0]))

    def snapshot(self) -> MemorySnapshot:
        """Return what the process holds now, after a collection. `later - earlier` is the difference, readable with
        `print`."""
        return take_snapshot(ResourceCounter(self.counters))


def _options(calls: int, budget: str | float, *, cycles: bool) -> LeakCheckOptions:
    _require_calls(calls)
    seconds = parse_duration(budget) if isinstance(budget, str) else budget
    return LeakCheckOptions(calls, round(seconds * 1e9), cycles)


def _require_calls(calls: int) -> None:
    if calls < 1:
        raise ValueError(f"calls is {calls!r}: it must be at least 1")


def _require_plain(function: Callable[..., object], for_async: str) -> None:
    """Raise TypeError for a function whose call runs none of its body."""
    if must_be_awaited(function):
        raise TypeError(f"{function!r} is a coroutine function: await memory_watch.{for_async}(...)")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{function!r} is a generator function, whose call runs none of it: give one that uses it")


def _bytes(limit: str | float) -> float:
    size = parse_size(limit) if isinstance(limit, str) else float(limit)
    if not size >= 0:
        raise ValueError(f"the limit is {limit!r}: give a size of at least 0")
    return size


def _store_result(steps: Generator[CallStep, Timing, _T], results: list[_T]) -> CallSteps:
    """Yield the steps, and append their result to the list."""
    results.append((yield from steps))


def _require_clean(report: LeakReport) -> LeakReport:
    __tracebackhide__ = True
    if report.leaks:
        raise LeakError(report.lines())
    if report.unsettled:
        raise CannotCheck(f"leaks: {report.unsettled}; give it one: budget=...")
    return report


class WatchedBlock:
    """Context manager, also for `async with`. Its amounts are bytes, and available after the block.

    Python's allocations of all threads count. Before the growth is read, bounded caches are cleared and garbage is
    collected. The log records and the output that the test runner stores are subtracted.
    """

    _open: ClassVar[list[WatchedBlock]] = []
    _tracing: ClassVar[bool] = False
    """Whether the open blocks have started the tracing: the last of them stops it, since those of tasks overlap."""

    def __init__(
        self,
        counters: ResourceCounter,
        capture: RunnerCapture,
        *,
        max_growth: float | None,
        max_peak: float | None,
        resources: bool,
    ) -> None:
        self._counters = counters
        self._capture = capture
        self._limits = max_growth, max_peak
        self._resources = resources
        self._highest = 0
        self.growth = 0
        """Bytes allocated inside the block and not freed at its end."""
        self.peak = 0
        """Maximum bytes allocated above the level at the start of the block."""

    def __enter__(self) -> WatchedBlock:
        import tracemalloc

        self._caches = BoundedCaches()
        self._caches.clear()
        self._held: OpenResources = self._counters.read() if self._resources else {}
        self._captured = self._capture.stored_bytes()
        if not tracemalloc.is_tracing():
            tracemalloc.start(TRACED_FRAMES)
            WatchedBlock._tracing = True
        self._snapshot: Snapshot = tracemalloc.take_snapshot()
        gc.collect()
        self._note_peaks()
        tracemalloc.reset_peak()
        self._start = tracemalloc.get_traced_memory()[0]
        self._open.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        try:
            if error is None:
                for seconds in self._waits():
                    CLOCKS.sleep(seconds)
                self._judge()
        finally:
            self._end()

    async def __aenter__(self) -> WatchedBlock:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        import asyncio

        try:
            if error is None:
                for seconds in self._waits():
                    await asyncio.sleep(seconds)
                self._judge()
        finally:
            self._end()

    def _waits(self) -> Iterator[float]:
        """Yield the seconds to wait, as long as there are resources that did not exist before the block."""
        self._note_peaks()
        gc.collect()
        end = CLOCKS.monotonic() + MAX_WAIT_SECONDS
        while self._resources and new_resources(self._held, self._counters.read()) and CLOCKS.monotonic() < end:
            yield POLL_SECONDS

    def _note_peaks(self) -> None:
        """Note the peak in all open blocks, because a process has only one peak and nested blocks reset it."""
        import tracemalloc

        peak = tracemalloc.get_traced_memory()[1]
        for block in self._open:
            block._highest = max(block._highest, peak)

    def _judge(self) -> None:
        __tracebackhide__ = True
        import tracemalloc

        self._caches.clear()
        captured = max(0, self._capture.stored_bytes() - self._captured)
        self.growth = tracemalloc.get_traced_memory()[0] - self._start - captured
        self.peak = max(0, self.growth, self._highest - self._start)
        if problems := list(self._problems()):
            raise LeakError(problems)

    def _problems(self) -> Iterator[str]:
        import tracemalloc

        max_growth, max_peak = self._limits
        if self._resources:
            after = self._counters.read()
            new = new_resources(self._held, after)
            lines = describe_new(self._held, after) if new else {}
            for kind, resources in new.items():
                yield f"left behind: {len(resources)} {noun_of(kind, len(resources))}"
                yield from (f"    {line}" for line in lines[kind])
        if max_growth is not None and self.growth > max_growth:
            yield f"grew by {format_size(self.growth)}, more than max_growth={format_size(max_growth)}"
            yield from (f"    {line}" for line in growth_sites(self._snapshot, tracemalloc.take_snapshot(), 1))
        if max_peak is not None and self.peak > max_peak:
            yield f"peak of {format_size(self.peak)}, more than max_peak={format_size(max_peak)}"

    def _end(self) -> None:
        import tracemalloc

        self._open.remove(self)
        del self._snapshot, self._held, self._caches
        if self._tracing and not self._open:
            WatchedBlock._tracing = False
            tracemalloc.stop()
