"""One reading of a process's memory."""

from __future__ import annotations

import gc
import sys
import time
from dataclasses import dataclass
from typing import Any, Final

#: Bytes of one memory block of Python on average, for an estimate.
BLOCK_BYTES: Final = 64


@dataclass(frozen=True)
class MemorySample:
    """The process's memory at one moment, in bytes."""

    at: float
    """Seconds since the epoch."""
    rss: int
    heap_used: int | None
    """Bytes that C code holds from malloc; None if psutil (from 7.2 on) or the C library does not report them."""
    heap_mapped: int | None
    """Bytes that malloc took as maps of their own, outside its heap."""
    blocks: int
    """Memory blocks that Python has allocated."""
    gc_counts: tuple[int, int, int]
    """Objects or collections counted for each generation of the collector, as in `gc.get_count()`."""

    @property
    def level(self) -> int:
        """Bytes in use: the heap with Python's blocks, whose size is estimated; the resident set where the heap is unknown.

        The resident set includes code and memory that is free for reuse, which no cache can give back.
        """
        if not self.heap_used:
            return self.rss
        return self.heap_used + (self.heap_mapped or 0) + BLOCK_BYTES * self.blocks


def imported_psutil() -> Any:
    """Return psutil. Called before threads need it: a child that is forked during an import waits for it for ever."""
    import psutil

    return psutil


def read_memory() -> MemorySample:
    """Return the current memory of this process."""
    psutil = imported_psutil()
    heap_info = getattr(psutil, "heap_info", None)
    heap = heap_info() if heap_info is not None else None
    return MemorySample(
        at=time.time(),
        rss=psutil.Process().memory_info().rss,
        heap_used=None if heap is None else heap.heap_used,
        heap_mapped=None if heap is None else heap.mmap_used,
        blocks=sys.getallocatedblocks(),
        gc_counts=gc.get_count(),
    )
