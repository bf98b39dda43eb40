"""Snapshots of what a process holds, and their differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pytest_perfguard.core.originals import gc, sys
from pytest_perfguard.core.processes import memory_usage
from pytest_perfguard.core.units import format_size
from pytest_perfguard.engine.leaks.open_resources import ResourceCounter, noun_of
from pytest_perfguard.engine.leaks.reference_graph import type_name

MAX_TYPES: Final = 10
_PACKAGE: Final = __name__.partition(".")[0]


@dataclass(frozen=True)
class MemorySnapshot:
    """Memory and resources of the process at one moment. Subtract an earlier snapshot to get the changes."""

    python: int | None
    """Bytes that Python allocated since tracing began; None if tracemalloc is not tracing."""
    blocks: int
    """Memory blocks that Python has allocated."""
    rss: int
    """Bytes of the resident set."""
    objects: Mapping[str, int]
    """Number of objects by type, of those that the garbage collector tracks."""
    held: Mapping[str, int]
    """Number of open resources by kind."""

    def __sub__(self, earlier: MemorySnapshot) -> MemoryDifference:
        traced = self.python is not None and earlier.python is not None
        return MemoryDifference(
            (self.python or 0) - (earlier.python or 0) if traced else None,
            self.blocks - earlier.blocks,
            self.rss - earlier.rss,
            _changes(self.objects, earlier.objects),
            _changes(self.held, earlier.held),
        )


@dataclass(frozen=True)
class MemoryDifference:
    """Changes of each amount. The mappings leave out what has not changed."""

    python: int | None
    blocks: int
    rss: int
    objects: Mapping[str, int]
    held: Mapping[str, int]

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        if self.python is not None:
            yield f"{_signed_size(self.python)} of Python's memory"
        yield f"{self.blocks:+d} memory blocks, {_signed_size(self.rss)} of resident memory"
        for kind, change in self.held.items():
            yield f"{change:+d} {noun_of(kind, abs(change))}"
        for name, change in sorted(self.objects.items(), key=lambda item: -abs(item[1]))[:MAX_TYPES]:
            yield f"{change:+d} {name}"


def take_snapshot(counters: ResourceCounter) -> MemorySnapshot:
    """Collect garbage and read all amounts."""
    import tracemalloc

    gc.collect()
    python = tracemalloc.get_traced_memory()[0] if tracemalloc.is_tracing() else None
    blocks, rss = sys.getallocatedblocks(), memory_usage().rss
    objects: dict[str, int] = {}
    for obj in gc.get_objects():
        name = type_name(type(obj))
        if not name.startswith(_PACKAGE):
            objects[name] = objects.get(name, 0) + 1
    held = {kind: len(resources) for kind, resources in counters.read().items()}
    return MemorySnapshot(python, blocks, rss, objects, held)


def _changes(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    changes = {name: now.get(name, 0) - before.get(name, 0) for name in {**before, **now}}
    return {name: change for name, change in changes.items() if change}


def _signed_size(size: int) -> str:
    return f"{'+' if size >= 0 else '-'}{format_size(abs(size))}"
