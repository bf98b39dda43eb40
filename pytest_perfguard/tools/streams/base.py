"""Parameters, statistics and error handling that both stream processors share."""

from __future__ import annotations

import contextlib
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from pytest_perfguard.core.callables import must_be_awaited
from pytest_perfguard.core.fork import keep_unclosed, register_at_fork
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
    """Result of one stream."""

    progress: StreamProgress
    errors: tuple[StreamError, ...]
    """Errors of the first 100 chunks that failed, with `on_error="collect"`."""


class StreamRun:
    """One stream in progress."""

    def __init__(self, window: Window, clock: Callable[[], float], report: Callable[[StreamProgress], object]) -> None:
        self.window = window
        self.errors: list[StreamError] = []
        self._clock = clock
        self._begun = clock()
        self._report = report

    def progress(self) -> StreamProgress:
        """Return the progress so far."""
        return self.window.progress(self._clock() - self._begun)

    def finished(self, chunk: Chunk, result: object, error: BaseException | None) -> None:
        """Record a processed chunk."""
        self.window.finished(chunk.number, result, error)
        self._report(self.progress())

    def summary(self) -> StreamSummary:
        """Return the summary after the end, when no chunk is in memory."""
        return StreamSummary(replace(self.progress(), held=0), tuple(self.errors))


class StreamBase:
    """Base class of the stream processors."""

    _for_tasks = False

    def __init__(
        self,
        process: Callable[[Any], object],
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
            raise ValueError(
                f"max_memory is {max_memory!r}: it must be at least chunk_bytes ({chunk_bytes!r}), else no chunk would fit"
            )
        if on_error not in ("stop", "collect"):
            raise ValueError(f"on_error is {on_error!r}: it must be 'stop' or 'collect'")
        if not callable(process):
            raise TypeError(f"process is {process!r}: give a function that takes a chunk")
        if must_be_awaited(process) and not self._for_tasks:
            raise TypeError(f"{process!r} is a coroutine function: use AsyncStreamProcessor")
        # Loaded here, not by the threads that run streams: a fork during an import leaves its lock held in the child.
        import concurrent.futures.thread  # noqa: F401

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
        self._done = StreamProgress()
        self._renew()
        register_at_fork(self)

    def begin_anew(self) -> None:
        """Forget the streams in progress, in a forked child: they belong to the parent process."""
        keep_unclosed(self._runs)
        self._renew()

    def _renew(self) -> None:
        self._lock = threading.RLock()  # a finalizer may call `statistics` while its own thread holds it
        self._runs: set[StreamRun] = set()

    def statistics(self) -> dict[str, float]:
        """Return the statistics of all streams so far as a mapping: `monitor.watch("stream", processor.statistics)`."""
        with self._lock:
            total, runs = self._done, list(self._runs)
        for run in runs:
            total = _sum(total, run.progress())
        return asdict(total)

    def free_memory(self) -> None:
        """Process and deliver the chunks in memory before reading on. A `MemoryManager` calls this when memory is short."""
        with self._lock:
            runs = list(self._runs)
        for run in runs:
            run.window.paused = True

    relieve = free_memory

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

    def _delivered(self, run: StreamRun) -> Iterator[object]:
        """Yield the results that are due."""
        for chunk, result, error in run.window.deliverable():
            if error is None:
                yield result
            elif (problem := self._error_to_raise(run, chunk, error)) is not None:
                raise problem
            del result  # else it stays in memory until the next one

    def _chunker(self) -> Chunker:
        return Chunker(self._chunk_items, self._chunk_bytes, self._weigh)

    def _error_to_raise(self, run: StreamRun, chunk: Chunk, error: BaseException) -> StreamError | None:
        """Return the error to raise now; None: it is kept for the summary."""
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
