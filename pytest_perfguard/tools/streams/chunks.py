"""Chunks of a stream: by bytes, or by a number of items."""

from __future__ import annotations

import inspect
import io
import sys
from collections.abc import AsyncGenerator, Callable, Iterator, Sized
from typing import Any, Final

from pytest_perfguard.tools.streams.state import Chunk

#: Bytes of a reference in a list.
_POINTER: Final = 8


def size_of(item: object) -> int:
    """Return the bytes of memory of an item and its reference, without the objects that it refers to."""
    own = item.nbytes if isinstance(item, memoryview) else 0
    return own + sys.getsizeof(item) + _POINTER


class Chunker:
    """Collects items until they fill a chunk."""

    def __init__(self, chunk_items: int | None, chunk_bytes: int, weigh: Callable[[Any], int]) -> None:
        self._chunk_items = chunk_items
        self._chunk_bytes = chunk_bytes
        self._weigh = weigh
        self._items: Any = []
        self._weight = 0
        self._number = self._first = 0

    def add(self, item: object) -> list[Chunk]:
        """Add an item; return the chunks that are full before it, or with it."""
        weight = max(1, self._weigh(item))  # else an endless stream of empty items would never fill a chunk
        full = [self.rest()] if self._items and self._weight + weight > self._chunk_bytes else []
        self._items.append(item)
        self._weight += weight
        if self._weight >= self._chunk_bytes or len(self._items) == self._chunk_items:
            full.append(self.rest())
        return full

    def block(self, block: Sized) -> list[Chunk]:
        """Return the chunk of a block that was read from a file; no chunk at its end."""
        if block is None:
            raise BlockingIOError("the file has nothing to read and does not block: give a file in blocking mode")
        self._items, self._weight = block, len(block)
        return [self.rest()] if len(block) else []

    def rest(self) -> Chunk:
        """Return the items so far as a chunk, and begin the next."""
        count = len(self._items)
        chunk = Chunk(self._number, self._first, count, self._weight, self._items)
        self._number += 1
        self._first += count
        self._items, self._weight = [], 0
        return chunk

    def last(self) -> list[Chunk]:
        """Return the remaining items at the end of the stream as a chunk, if there are any."""
        return [self.rest()] if self._items else []


def chunks(source: Any, chunker: Chunker, chunk_bytes: int) -> Iterator[Chunk]:
    """Yield the chunks of a file, which are the blocks that it reads, or of an iterable, which are lists of items.

    Each chunk is removed from its list, so that no reference here keeps it in memory while it is processed.
    """
    source = _opened(source)
    if hasattr(source, "read") and not _is_text(source):
        while filled := chunker.block(source.read(chunk_bytes)):
            yield filled.pop()
        return
    for item in source:
        filled = chunker.add(item)
        while filled:
            yield filled.pop(0)
    yield from chunker.last()


async def chunks_async(source: Any, chunker: Chunker, chunk_bytes: int) -> AsyncGenerator[Chunk, None]:
    """Yield the chunks of an asynchronous iterable, of a reader with an asynchronous `read`, or of a source for `chunks`."""
    if hasattr(source, "__aiter__") and (_is_text(source) or not hasattr(source, "read")):
        async for item in source:
            filled = chunker.add(item)
            while filled:
                yield filled.pop(0)
        for chunk in chunker.last():
            yield chunk
    elif inspect.iscoroutinefunction(getattr(source, "read", None)):
        while filled := chunker.block(await source.read(chunk_bytes)):
            yield filled.pop()
    else:
        for chunk in chunks(source, chunker, chunk_bytes):
            yield chunk


def _opened(source: Any) -> object:
    if isinstance(source, str):
        raise TypeError(f"{source!r:.60} is a string: give an open file, or a list of items")
    return io.BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source


def _is_text(file: object) -> bool:
    """Return whether a file has text: its items are lines, which a block would split."""
    return hasattr(file, "encoding")
