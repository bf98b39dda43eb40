"""`with memory_watch(...)`: what one block of code leaves behind, and how high it went."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Final

from pytest_perfguard.core.errors import LeakError
from pytest_perfguard.core.originals import CLOCKS, gc
from pytest_perfguard.core.units import format_size
from pytest_perfguard.engine.leaks.allocation_sites import TRACED_FRAMES, growth_sites
from pytest_perfguard.engine.leaks.bounded_caches import BoundedCaches
from pytest_perfguard.engine.leaks.explain import describe_new
from pytest_perfguard.engine.leaks.open_resources import OpenResources, ResourceCounter, new_resources, noun_of
from pytest_perfguard.engine.measure.suppress import kept_by_pytest

if TYPE_CHECKING:
    from tracemalloc import Snapshot

#: What ends by itself right after the block is waited for: a thread that was told to stop, a task that was cancelled.
MAX_WAIT_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.01


class WatchedBlock:
    """A context manager, also `async with`. Its amounts are bytes, and known once the block has ended.

    Python's allocations of all threads count. Caches with a bound are emptied and garbage is collected before the
    growth is read, and what pytest keeps of log records and output is subtracted.
    """

    _open: ClassVar[list[WatchedBlock]] = []

    def __init__(
        self, counters: ResourceCounter, *, max_growth: float | None, max_peak: float | None, resources: bool
    ) -> None:
        self._counters = counters
        self._limits = max_growth, max_peak
        self._resources = resources
        self._highest = 0
        self.growth = 0
        """What is still allocated at the end and was not at the beginning."""
        self.peak = 0
        """The most that was allocated above the level of the beginning."""

    def __enter__(self) -> WatchedBlock:
        import tracemalloc

        self._caches = BoundedCaches()
        self._caches.clear()
        self._held: OpenResources = self._counters.read() if self._resources else {}
        self._kept = kept_by_pytest()
        self._was_tracing = tracemalloc.is_tracing()
        if not self._was_tracing:
            tracemalloc.start(TRACED_FRAMES)
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
        """How long to wait while there are things that were not there before."""
        self._note_peaks()
        gc.collect()
        end = CLOCKS.monotonic() + MAX_WAIT_SECONDS
        while self._resources and new_resources(self._held, self._counters.read()) and CLOCKS.monotonic() < end:
            yield POLL_SECONDS

    def _note_peaks(self) -> None:
        """There is one peak per process: blocks inside one another hand it on."""
        import tracemalloc

        peak = tracemalloc.get_traced_memory()[1]
        for block in self._open:
            block._highest = max(block._highest, peak)

    def _judge(self) -> None:
        __tracebackhide__ = True
        import tracemalloc

        self._caches.clear()
        kept = max(0, kept_by_pytest() - self._kept)
        self.growth = tracemalloc.get_traced_memory()[0] - self._start - kept
        self.peak = max(0, self.growth, self._highest - self._start)
        if problems := list(self._problems()):
            raise LeakError(problems)

    def _problems(self) -> Iterator[str]:
        import tracemalloc

        max_growth, max_peak = self._limits
        if self._resources:
            after = self._counters.read()
            found = new_resources(self._held, after)
            lines = describe_new(self._held, after) if found else {}
            for kind, things in found.items():
                yield f"left behind: {len(things)} {noun_of(kind, len(things))}"
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
        if not self._was_tracing:
            tracemalloc.stop()
