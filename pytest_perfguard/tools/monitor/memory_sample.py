"""One look at a process's memory."""

from __future__ import annotations

import gc
import sys
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class MemorySample:
    """The process's memory at one moment, in bytes."""

    at: float
    """Seconds since the epoch."""
    rss: int
    heap_used: int | None
    """What C code, Python's included, holds from malloc; None where psutil (from 7.2 on) or the C library does not tell."""
    heap_mapped: int | None
    """What malloc took as maps of their own, outside its heap."""
    blocks: int
    """Memory blocks that Python has allocated."""
    gc_counts: tuple[int, int, int]
    """Of each generation of the collector, as `gc.get_count()` tells them."""


def read_memory() -> MemorySample:
    """Take a look."""
    import psutil

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
