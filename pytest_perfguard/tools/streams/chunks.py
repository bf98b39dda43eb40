"""Streams cut into chunks: by bytes, or by a number of items."""

from __future__ import annotations

import inspect
import io
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any, Final

from pytest_perfguard.tools.streams.state import Chunk

#: Of the list that an item stands in.
_POINTER: Final = 8


def size_of(item: Any) -> int:
    """Bytes of memory that an item takes, as far as Python says it of the object alone."""
    own = item.nbytes if isinstance(item, memoryview) else 0
    return own + sys.getsizeof(item) + _POINTER


class Chunker:
    """Gathers items until they make a chunk."""

    def __init__(self, chunk_items: int | None, chunk_bytes: int, weigh: Callable[[Any], int]) -> None:
        self._chunk_items = chunk_items
        self._chunk_bytes = chunk_bytes
        self._weigh = weigh
        self._items: Any = []
        self._weight = 0
        self._number = self._first = 0

    def add(self, item: Any) -> list[Chunk]:
        """The chunks that are full before this item, or with it."""
        weight = max(1, self._weigh(item))  # of endless nothings there would be no chunk
        full = [self.rest()] if self._items and self._weight + weight > self._chunk_bytes else []
        self._items.append(item)
        self._weight += weight
        if self._weight >= self._chunk_bytes or len(self._items) == self._chunk_items:
            full.append(self.rest())
        return full

    def block(self, block: Any) -> list[Chunk]:
        """What was read of a file at once; nothing at its end."""
        if block is None:
            raise BlockingIOError("the file has nothing to read just now: give one that blocks")
        self._items, self._weight = block, len(block)
        return [self.rest()] if len(block) else []

    def rest(self) -> Chunk:
        """What has been gathered so far."""
        count = len(self._items)
        chunk = Chunk(self._number, self._first, count, self._weight, self._items)
        self._number += 1
        self._first += count
        self._items, self._weight = [], 0
        return chunk

    def last(self) -> list[Chunk]:
        """What is left at the end."""
        return [self.rest()] if self._items else []


def chunks(source: Any, cutter: Chunker, chunk_bytes: int) -> Iterator[Chunk]:
    """The chunks of a file, which are what it reads, or of an iterable, which are lists of items.

    A chunk stands in a list that it is taken out of, so that nothing here keeps it while it is processed.
    """
    source = _opened(source)
    if hasattr(source, "read") and not _is_text(source):
        while cut := cutter.block(source.read(chunk_bytes)):
            yield cut.pop()
        return
    for item in source:
        cut = cutter.add(item)
        while cut:
            yield cut.pop(0)
    yield from cutter.last()


async def chunks_async(source: Any, cutter: Chunker, chunk_bytes: int) -> AsyncGenerator[Chunk, None]:
    """The same of an asynchronous iterable, of a reader whose `read` is awaited, or of whatever `chunks` takes."""
    if hasattr(source, "__aiter__") and (_is_text(source) or not hasattr(source, "read")):
        async for item in source:
            cut = cutter.add(item)
            while cut:
                yield cut.pop(0)
        for chunk in cutter.last():
            yield chunk
    elif inspect.iscoroutinefunction(getattr(source, "read", None)):
        while cut := cutter.block(await source.read(chunk_bytes)):
            yield cut.pop()
    else:
        for chunk in chunks(source, cutter, chunk_bytes):
            yield chunk


def _opened(source: Any) -> Any:
    if isinstance(source, str):
        raise TypeError(f"{source!r:.60} is text: give an open file, or a list of items")
    return io.BytesIO(source) if isinstance(source, bytes | bytearray | memoryview) else source


def _is_text(file: Any) -> bool:
    """Of a text file the items are its lines: a block would end within one."""
    return hasattr(file, "encoding")
