"""Levels between windows of calls: traced memory, the C heap, address space, and counted resources."""

from __future__ import annotations

import contextlib
import functools
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from pytest_perfguard.core.originals import sys
from pytest_perfguard.core.processes import memory_usage, private_bytes
from pytest_perfguard.engine.leaks.bounded_caches import BoundedCaches, freeze_existing_objects
from pytest_perfguard.engine.leaks.growth import MAX_WINDOWS, growth_rate
from pytest_perfguard.engine.leaks.open_resources import OpenResources, ResourceCounter, UserCounter
from pytest_perfguard.engine.leaks.reference_graph import FixtureValues
from pytest_perfguard.engine.leaks.thread_ends import ThreadEnds
from pytest_perfguard.engine.measure.attribution import InstrumentFailed
from pytest_perfguard.engine.measure.executor import error_line

#: Readings before the first one that counts, because reading has a warm-up of its own.
WARM_UP_READINGS: Final = 2


class LevelReader:
    """Reads the levels of this process, inside `with reader.open():`.

    Parameters
    ----------
    user_counters
        the user's own counters, by name.
    forget
        releases what recording keeps in memory.
    fixtures
        returns the values of the fixtures that are set up.
    """

    def __init__(
        self,
        user_counters: Mapping[str, UserCounter] | None = None,
        forget: Callable[[], object] = lambda: None,
        fixtures: Callable[[], FixtureValues] = FixtureValues,
    ) -> None:
        import psutil

        self._counters = ResourceCounter(user_counters)
        self._forget = forget
        self.fixtures = fixtures
        # Since psutil 7.2, and only if the C library reports it.
        self._heap_info = getattr(psutil, "heap_info", None)
        self._heap_trim = getattr(psutil, "heap_trim", None)
        self._caches: BoundedCaches | None = None
        self._traced_by_others = False
        self._thread_ends = ThreadEnds()

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Freeze existing objects and find the caches. At the end of the block, tracing is as it was before."""
        import tracemalloc

        self._traced_by_others = tracemalloc.is_tracing()
        self._caches = BoundedCaches()
        self._thread_ends.begin()
        try:
            with freeze_existing_objects():
                yield
        finally:
            self._caches = None
            self.trace(0)

    def trace(self, frames: int) -> None:
        """Trace allocations from now on with this many frames; 0: stop tracing.

        Tracing that others have started continues unchanged, because a restart would discard their data.
        """
        import tracemalloc

        if self._traced_by_others:
            return
        tracemalloc.stop()
        if frames:
            tracemalloc.start(frames)

    def settle(self) -> None:
        """Wait for threads that are about to end, and release memory that is no growth, before a reading."""
        self._thread_ends.wait()
        self._forget()
        if self._caches is not None:
            self._caches.clear()

    def held(self) -> OpenResources:
        """Return all counted resources, one by one."""
        return self._counters.read()

    def levels(self, *, counted: bool) -> dict[str, int]:
        """Return the level of each kind. Without `counted` these are only the kinds in bytes, which is faster."""
        import tracemalloc

        self.settle()
        levels = {"memory": tracemalloc.get_traced_memory()[0], **self._heap()}
        levels["mapped"] = memory_usage().vms
        if counted:
            levels.update({kind: len(resources) for kind, resources in self.held().items()})
        return levels

    def cross_check_series(self, window: int) -> LevelSeries:
        """Return a series of levels that do not depend on tracing: allocated blocks and the C heap."""
        return LevelSeries(window, self._cross_check_levels)

    def _cross_check_levels(self) -> dict[str, int]:
        self.settle()
        return {"blocks": sys.getallocatedblocks(), **self._heap()}

    def _heap(self) -> dict[str, int]:
        if self._heap_info is None:
            return {}
        heap = self._heap_info()
        return {"native": heap.heap_used + heap.mmap_used}

    def series(self, window: int, *, counted: bool) -> LevelSeries:
        """Return a series of levels with this many calls per window."""
        return LevelSeries(window, functools.partial(self.levels, counted=counted))

    def resident_bytes(self) -> tuple[int, int]:
        """Return (RSS, USS), without memory that is free for reuse; USS is 0 if the system does not report it."""
        if self._heap_trim is not None:  # growth would fill pages that the C library has kept resident, unseen
            self._heap_trim()
        rss, uss = memory_usage().rss, 0
        with contextlib.suppress(Exception):  # macOS and containers may refuse it
            uss = private_bytes()
        return rss, uss


class LevelSeries:
    """Levels over time. All of its memory is allocated at the start, because a growing list would look like growth."""

    def __init__(self, window: int, read: Callable[[], Mapping[str, int]]) -> None:
        self.window = window
        """Calls between two levels."""
        self.windows = -1
        """Number of complete windows; -1 before the first level."""
        self._read = read
        self._levels = {kind: array("q", bytes(8 * (MAX_WINDOWS + 1))) for kind in read()}
        for _ in range(WARM_UP_READINGS):
            read()

    def read(self) -> None:
        """Append the current levels."""
        self.windows += 1
        try:
            levels = self._read()
        except Exception as error:
            raise InstrumentFailed(error_line(error)) from error
        for kind, series in self._levels.items():
            series[self.windows] = levels.get(kind, 0)

    @property
    def calls(self) -> int:
        return self.windows * self.window

    def __getitem__(self, kind: str) -> Sequence[int]:
        return self._levels[kind][: self.windows + 1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._levels)

    def growth(self) -> dict[str, float]:
        """Return the growth per call of each kind."""
        return {kind: growth_rate(self[kind]) / self.window for kind in self}
