"""Find the lines of the project that hold the memory at its peak, and those that leave blocks behind.

tracemalloc records where each live block was allocated. To find the peak, a trace function reads the traced memory at
every line of the project's code, and takes a snapshot when it clearly exceeds that of the last snapshot (`_RISE`,
`_RISE_BYTES`). Memory that is allocated and freed again within one line is charged to that line.
"""

from __future__ import annotations

import linecache
from collections.abc import Generator
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Final

from pytest_perfguard.core.originals import CLOCKS, gc, sys
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.measure.executor import RUN_SETUP, CallStep
from pytest_perfguard.engine.profile.model import AllocatingLine, AllocationProfile
from pytest_perfguard.engine.profile.names import Namer

if TYPE_CHECKING:
    from tracemalloc import Snapshot

    from _typeshed import TraceFunction

#: Frames of each allocation: the innermost of the project's is the one to blame.
FRAMES: Final = 16
#: A snapshot is taken when the memory exceeds that of the last one by this factor and this number of bytes.
_RISE: Final = 1.15
_RISE_BYTES: Final = 2048
#: Seconds after which nothing is traced any more.
TIME_LIMIT: Final = 1.0
#: Calls whose blocks are counted.
_KEPT_CALLS: Final = 10


def profile_allocations(iterations: int, root: str) -> Generator[CallStep, Timing, AllocationProfile]:
    """Trace the allocations of one call; with more than one iteration, warm up first and count the blocks that stay."""
    import tracemalloc

    if tracemalloc.is_tracing():  # by the test itself, or by an option of the interpreter
        yield from ()
        return AllocationProfile()
    watcher = _PeakWatcher(Namer(root))
    kept: dict[tuple[str, int], float] = {}
    tracemalloc.start(FRAMES)
    try:
        if iterations > 1:
            yield RUN_SETUP
            yield CallStep(1, count_switches=False)
        yield RUN_SETUP
        gc.collect()
        watcher.begin()
        try:
            yield CallStep(1, count_switches=False)
        finally:
            watcher.end()
        if iterations > 1:
            kept = yield from _kept_blocks(watcher)
    finally:
        tracemalloc.stop()
    return watcher.profile(kept)


def _kept_blocks(watcher: _PeakWatcher) -> Generator[CallStep, Timing, dict[tuple[str, int], float]]:
    import tracemalloc

    yield RUN_SETUP
    gc.collect()
    before = watcher.by_line(tracemalloc.take_snapshot(), count=True)
    for _ in range(_KEPT_CALLS):
        yield CallStep(1, count_switches=False)
        yield RUN_SETUP
    gc.collect()
    after = watcher.by_line(tracemalloc.take_snapshot(), count=True)
    return {place: (count - before.get(place, 0.0)) / _KEPT_CALLS for place, count in after.items()}


class _PeakWatcher:
    """Trace function that finds the peak."""

    def __init__(self, namer: Namer) -> None:
        self._namer = namer
        self._codes: dict[CodeType, bool] = {}
        self._highest = 0.0
        self._peak = 0.0
        self._snapshot: Snapshot | None = None
        self._extra: tuple[tuple[str, int], float] = (("", 0), 0.0)
        self._place = ("", 0)
        self._deadline = 0.0
        self._start = 0

    def begin(self) -> None:
        import tracemalloc

        self._memory, self._reset = tracemalloc.get_traced_memory, tracemalloc.reset_peak
        self._take = tracemalloc.take_snapshot
        self._before = self.by_line(self._take())
        self._deadline = CLOCKS.perf_counter() + TIME_LIMIT
        self._start = self._memory()[0]
        self._reset()
        sys.settrace(self._called)

    def end(self) -> None:
        sys.settrace(None)
        self._look()

    def _called(self, frame: FrameType, event: str, _argument: object) -> TraceFunction | None:
        code = frame.f_code
        ours = self._codes.get(code)
        if ours is None:
            named = self._namer.of_code(code)
            ours = self._codes[code] = named is not None and named.function.ours
        return self._traced if ours else None

    def _traced(self, frame: FrameType, _event: str, _argument: object) -> TraceFunction | None:
        self._look()
        self._place = (frame.f_code.co_filename, frame.f_lineno)
        if CLOCKS.perf_counter() > self._deadline:
            sys.settrace(None)
            return None
        return self._traced

    def _look(self) -> None:
        current, peak = self._memory()
        self._peak = max(self._peak, float(peak - self._start))
        if peak - self._start > self._highest * _RISE + _RISE_BYTES:
            self._highest = peak - self._start
            self._extra = (self._place, float(peak - current))
            self._snapshot = self._take()
        self._reset()

    def by_line(self, snapshot: Snapshot, *, count: bool = False) -> dict[tuple[str, int], float]:
        """Return bytes, or blocks, by the innermost line of the project that led to the allocation."""
        found: dict[tuple[str, int], float] = {}
        places: dict[object, tuple[str, int] | None] = {}
        for trace in snapshot.traces:
            frames = trace._trace[2]  # type: ignore[attr-defined]  # `traceback` would copy every frame
            if frames not in places:
                places[frames] = next(((file, line) for file, line in frames if self._namer.project_file(file)), None)
            place = places[frames]
            if place is not None:
                found[place] = found.get(place, 0.0) + (1.0 if count else float(trace.size))
        return found

    def profile(self, kept: dict[tuple[str, int], float]) -> AllocationProfile:
        sizes = self.by_line(self._snapshot) if self._snapshot is not None else {}
        sizes = {place: size - self._before.get(place, 0.0) for place, size in sizes.items()}
        place, extra = self._extra
        if place[0]:
            sizes[place] = sizes.get(place, 0.0) + extra
        # The snapshot is from a little below the peak.
        sizes = {place: size * self._peak / self._highest for place, size in sizes.items()}
        names = self._names()
        keyed: dict[AllocatingLine, float] = {}
        blocks: dict[AllocatingLine, float] = {}
        lines: dict[AllocatingLine, int] = {}
        for found, into in ((sizes, keyed), (kept, blocks)):
            for (file, line), amount in found.items():
                if amount > 0:
                    key = AllocatingLine(
                        self._namer.project_file(file),
                        names.get((file, line), ""),
                        linecache.getline(file, line).strip(),
                    )
                    into[key] = into.get(key, 0.0) + amount
                    lines[key] = line
        return AllocationProfile(keyed, lines, blocks)

    def _names(self) -> dict[tuple[str, int], str]:
        """Return the functions around the lines that were traced."""
        found: dict[tuple[str, int], str] = {}
        for code, ours in self._codes.items():
            named = self._namer.of_code(code) if ours else None
            if named is not None:
                for _start, _end, line in code.co_lines():
                    if line is not None and (line != code.co_firstlineno or not named.folded):
                        found.setdefault((code.co_filename, line), named.function.name)
        return found
