"""What a stream decides: when to read on, and which results are whose turn. Pure: no threads, no loop, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

CHUNK_BYTES: Final = 64 * 1024
MAX_MEMORY: Final = 100_000_000
CONCURRENCY: Final = 3
#: Errors that are kept where they are collected; the others are counted.
MAX_ERRORS: Final = 100


class Chunk(NamedTuple):
    """A part of a stream."""

    number: int
    first: int
    """Number of its first item, or of its first byte in a file."""
    items: int
    """Items, or bytes of a file."""
    weight: int
    """Bytes that it takes of the memory limit."""
    content: Any


def process_one(process: Callable[[Any], Any], held: list[Any]) -> Any:
    """Process what is held, and let go of it before the result is told.

    A thread of a pool keeps its arguments for a moment after their result is there: what is counted as free would not be.
    """
    return process(held.pop())


@dataclass(frozen=True)
class StreamProgress:
    """How far a stream has come."""

    chunks: int = 0
    """That have been processed."""
    items: int = 0
    """In them; of files: bytes."""
    bytes: int = 0
    errors: int = 0
    """Chunks that failed."""
    seconds: float = 0.0
    held: int = 0
    """Bytes in memory just now."""
    most_held: int = 0
    """The highest that was."""


class Window:
    """The chunks between reading and delivery. Their bytes stay below `max_memory`, and their number below twice `concurrency`.

    Bytes of a chunk count from before it is read until its result is delivered: finished chunks that wait for their turn
    are in memory, too.
    """

    def __init__(self, concurrency: int, max_memory: int, *, ordered: bool) -> None:
        self._concurrency = concurrency
        self._max_memory = max_memory
        self._ordered = ordered
        self._running: dict[int, Chunk] = {}
        self._finished: dict[int, tuple[Chunk, Any, BaseException | None]] = {}
        self._next = 0
        self.relieved = False
        self._held = self._most_held = 0
        self._chunks = self._items = self._bytes = self._errors = 0

    def may_read(self, weight: int) -> bool:
        """Is there room for another chunk of up to so many bytes?"""
        if self.relieved:
            self.relieved = bool(self._running or self._finished)
        begun = len(self._running) + len(self._finished)
        turn = len(self._running) < self._concurrency and begun < 2 * self._concurrency
        return not self.relieved and turn and self.may_start(weight)

    def may_start(self, weight: int) -> bool:
        """Is there room for a chunk that turned out to have so many bytes? A larger one than all the memory is alone."""
        return self._held + weight <= self._max_memory or not (self._running or self._finished)

    def started(self, chunk: Chunk) -> None:
        """A chunk was read and is being processed."""
        self._running[chunk.number] = chunk._replace(content=None)  # whoever processes it has that
        self._held += chunk.weight
        self._most_held = max(self._most_held, self._held)

    def finished(self, number: int, result: Any, error: BaseException | None) -> None:
        """It was."""
        chunk = self._running.pop(number)
        self._finished[number] = chunk, result, error
        self._chunks += 1
        self._items += chunk.items
        self._bytes += chunk.weight
        self._errors += error is not None

    def deliverable(self) -> Iterator[tuple[Chunk, Any, BaseException | None]]:
        """What can be delivered now; in the order of the stream if that is wanted."""
        while self._finished:
            number = self._next if self._ordered else next(iter(self._finished))
            if number not in self._finished:
                return
            self._next = number + 1
            weight = self._finished[number][0].weight
            yield self._finished.pop(number)
            self._held -= weight

    def progress(self, seconds: float) -> StreamProgress:
        """How far it has come after so many seconds."""
        return StreamProgress(
            self._chunks, self._items, self._bytes, self._errors, seconds, self._held, self._most_held
        )
