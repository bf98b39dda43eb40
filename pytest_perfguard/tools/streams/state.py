"""Memory window of a stream: when to read on, and which results are due. Pure: no threads, no loop, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

CHUNK_BYTES: Final = 64 * 1024
MAX_MEMORY: Final = 100_000_000
CONCURRENCY: Final = 3
#: Errors that a summary keeps. All are counted.
MAX_ERRORS: Final = 100


class Chunk(NamedTuple):
    """Part of a stream."""

    number: int
    first: int
    """Number of its first item, or of its first byte in a file, from 0."""
    items: int
    """Number of items, or of bytes of a file."""
    weight: int
    """Bytes that count towards the memory limit."""
    content: object


def process_one(process: Callable[[Any], object], held: list[object]) -> object:
    """Process the only element of a list, and drop it before the result is set.

    A thread of an executor keeps its arguments for a moment after their result is set: memory that counts as free would not
    be free.
    """
    return process(held.pop())


@dataclass(frozen=True)
class StreamProgress:
    """Progress of a stream."""

    chunks: int = 0
    """Chunks that have been processed."""
    items: int = 0
    """Items in them; of files, bytes."""
    bytes: int = 0
    errors: int = 0
    """Chunks that failed."""
    seconds: float = 0.0
    held: int = 0
    """Bytes in memory."""
    most_held: int = 0
    """Maximum of `held`."""


class Window:
    """Chunks between reading and delivery: at most `max_memory` bytes, and fewer than twice `concurrency` chunks.

    The bytes of a chunk count from before it is read until its result is delivered: finished chunks that wait for delivery
    are in memory, too.
    """

    def __init__(self, concurrency: int, max_memory: int, *, ordered: bool) -> None:
        self._concurrency = concurrency
        self._max_memory = max_memory
        self._ordered = ordered
        self._running: dict[int, Chunk] = {}
        self._finished: dict[int, tuple[Chunk, object, BaseException | None]] = {}
        self._next = 0
        self.paused = False
        """Whether reading waits until no chunk is in memory."""
        self._held = self._most_held = 0
        self._chunks = self._items = self._bytes = self._errors = 0

    def may_read(self, weight: int) -> bool:
        """Return whether there is room for another chunk of up to so many bytes."""
        if self.paused:
            self.paused = bool(self._running or self._finished)
        begun = len(self._running) + len(self._finished)
        free = len(self._running) < self._concurrency and begun < 2 * self._concurrency
        return not self.paused and free and self.may_start(weight)

    def may_start(self, weight: int) -> bool:
        """Return whether there is room for a chunk that was read. A chunk above `max_memory` is processed alone."""
        return self._held + weight <= self._max_memory or not (self._running or self._finished)

    def started(self, chunk: Chunk) -> None:
        """Record a chunk that is being processed."""
        self._running[chunk.number] = chunk._replace(content=None)  # the process function has it
        self._held += chunk.weight
        self._most_held = max(self._most_held, self._held)

    def finished(self, number: int, result: object, error: BaseException | None) -> None:
        """Record the end of processing a chunk."""
        chunk = self._running.pop(number)
        self._finished[number] = chunk, result, error
        self._chunks += 1
        self._items += chunk.items
        self._bytes += chunk.weight
        self._errors += error is not None

    def deliverable(self) -> Iterator[tuple[Chunk, object, BaseException | None]]:
        """Yield the results that can be delivered; in the order of the stream where `ordered`."""
        while self._finished:
            number = self._next if self._ordered else next(iter(self._finished))
            if number not in self._finished:
                return
            self._next = number + 1
            weight = self._finished[number][0].weight
            yield self._finished.pop(number)
            self._held -= weight

    def progress(self, seconds: float) -> StreamProgress:
        """Return the progress after so many seconds."""
        return StreamProgress(
            self._chunks, self._items, self._bytes, self._errors, seconds, self._held, self._most_held
        )
