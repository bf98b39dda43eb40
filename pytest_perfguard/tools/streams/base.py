"""What both stream processors have in common: how a stream is cut, and what becomes of errors."""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pytest_perfguard.core.tool_errors import StreamError
from pytest_perfguard.tools.streams.chunks import Chunker, size_of
from pytest_perfguard.tools.streams.state import (
    CHUNK_BYTES,
    CONCURRENCY,
    MAX_ERRORS,
    MAX_MEMORY,
    Chunk,
    StreamProgress,
    Window,
)

OnError = Literal["stop", "collect"]


@dataclass(frozen=True)
class StreamSummary:
    """What became of a stream."""

    progress: StreamProgress
    errors: tuple[StreamError, ...]
    """Of chunks that failed, where they are collected; the first 100."""


class StreamRun:
    """One stream on its way."""

    def __init__(self, window: Window, clock: Callable[[], float], tell: Callable[[StreamProgress], object]) -> None:
        self.window = window
        self.errors: list[StreamError] = []
        self._clock = clock
        self._begun = clock()
        self._tell = tell

    def progress(self) -> StreamProgress:
        """So far."""
        return self.window.progress(self._clock() - self._begun)

    def finished(self, chunk: Chunk, result: Any, error: BaseException | None) -> None:
        """A chunk has been processed."""
        self.window.finished(chunk.number, result, error)
        self._tell(self.progress())

    def summary(self) -> StreamSummary:
        """At the end, when nothing is held any more."""
        return StreamSummary(replace(self.progress(), held=0), tuple(self.errors))


class StreamBase:
    """Not to be used by itself."""

    def __init__(
        self,
        process: Callable[[Any], Any],
        *,
        chunk_items: int | None = None,
        chunk_bytes: int = CHUNK_BYTES,
        max_memory: int = MAX_MEMORY,
        concurrency: int = CONCURRENCY,
        ordered: bool = True,
        on_error: OnError = "stop",
        progress: Callable[[StreamProgress], object] | None = None,
        weigh: Callable[[Any], int] = size_of,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for name, value in {"chunk_items": chunk_items, "chunk_bytes": chunk_bytes, "concurrency": concurrency}.items():
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value!r}: it must be at least 1")
        if max_memory < chunk_bytes:
            raise ValueError(f"max_memory ({max_memory!r}) is below chunk_bytes ({chunk_bytes!r}): no chunk would fit")
        if on_error not in ("stop", "collect"):
            raise ValueError(f"on_error is {on_error!r}: it must be 'stop' or 'collect'")
        self.summary: StreamSummary | None = None
        self._process = process
        self._chunk_items = chunk_items
        self._chunk_bytes = chunk_bytes
        self._max_memory = max_memory
        self._concurrency = concurrency
        self._ordered = ordered
        self._on_error = on_error
        self._progress = progress
        self._weigh = weigh
        self._clock = clock
        self._lock = threading.Lock()
        self._runs: set[StreamRun] = set()
        self._done = StreamProgress()

    def statistics(self) -> dict[str, float]:
        """Of all streams so far as numbers by name: `monitor.watch("stream", processor.statistics)`."""
        with self._lock:
            total, runs = self._done, list(self._runs)
        for run in runs:
            total = _sum(total, run.progress())
        return asdict(total)

    def relieve(self) -> None:
        """Finish and deliver what has been read before reading on. `MemoryManager` calls this when memory is short."""
        with self._lock:
            runs = list(self._runs)
        for run in runs:
            run.window.relieved = True

    @contextlib.contextmanager
    def _begun(self) -> Iterator[StreamRun]:
        window = Window(self._concurrency, self._max_memory, ordered=self._ordered)
        run = StreamRun(window, self._clock, self._progress or (lambda _progress: None))
        with self._lock:
            self._runs.add(run)
        try:
            yield run
        finally:
            with self._lock:
                self._runs.discard(run)
                self.summary = run.summary()
                self._done = _sum(self._done, self.summary.progress)

    def _delivered(self, run: StreamRun) -> Iterator[Any]:
        """The results whose turn it is."""
        for chunk, result, error in run.window.deliverable():
            if error is None:
                yield result
            elif (problem := self._fate_of(run, chunk, error)) is not None:
                raise problem
            del result  # it is the caller's now

    def _chunker(self) -> Chunker:
        return Chunker(self._chunk_items, self._chunk_bytes, self._weigh)

    def _fate_of(self, run: StreamRun, chunk: Chunk, error: BaseException) -> StreamError | None:
        """The error to raise now; None: it is kept for the summary."""
        problem = StreamError(chunk.number, chunk.first, error)
        if self._on_error == "stop" or not isinstance(error, Exception):
            return problem
        with contextlib.suppress(RuntimeError):  # a frame that still runs
            traceback.clear_frames(error.__traceback__)  # they hold the chunk
        if len(run.errors) < MAX_ERRORS:
            run.errors.append(problem)
        return None


def _sum(one: StreamProgress, other: StreamProgress) -> StreamProgress:
    ours, theirs = asdict(one), asdict(other)
    total = {name: ours[name] + theirs[name] for name in ours}
    return StreamProgress(**{**total, "most_held": max(one.most_held, other.most_held)})
