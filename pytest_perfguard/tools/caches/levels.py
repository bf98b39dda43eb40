"""`MultiLevelCache` and `AsyncMultiLevelCache`: a small fast level before larger and slower ones."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from pytest_perfguard.core.callables import must_be_awaited
from pytest_perfguard.core.shared_lock import SHARED_LOCK
from pytest_perfguard.tools.caches.get_or_compute import (
    AsyncComputingCache,
    ComputingCache,
    InvalidatingCache,
    LocalCache,
    keep_if_valid,
)
from pytest_perfguard.tools.caches.level import (
    DEFAULT,
    MISSING,
    LevelStats,
    Missing,
    Release,
    checked_ttl,
    hit_rate,
)
from pytest_perfguard.tools.caches.level_slot import Adapter, LevelSlot, Method, level_name
from pytest_perfguard.tools.caches.memory import MemoryCache
from pytest_perfguard.tools.caches.sansio import Calls, run, run_async

#: Time to live of the memory level that is made by default.
MEMORY_TTL: Final = 300.0

Folder = str | os.PathLike[str]


@dataclass(frozen=True)
class CacheStats:
    """Statistics of a cache of several levels."""

    hits: int
    """Reads that a level answered."""
    misses: int
    """Reads that no level answered."""
    evictions: int
    errors: int
    levels: dict[str, LevelStats]
    """Of each level, by its name. Hits and misses there count the reads that reached the level."""

    @property
    def hit_rate(self) -> float:
        """Hits per read, 0 to 1; NaN before the first read."""
        return hit_rate(self.hits, self.misses)


class MultiLevelBase(InvalidatingCache):
    """The operations of a cache of several levels, as generators of calls."""

    def __init__(self, levels: Iterable[object], adapter: Adapter) -> None:
        super().__init__()
        self._adapter = adapter
        self._lock = SHARED_LOCK
        self._misses = 0
        self._slots: tuple[LevelSlot, ...] = ()
        for level in levels:
            self.add_level(level)
        if not self._slots:
            raise ValueError("a cache needs at least one level")

    @property
    def levels(self) -> tuple[object, ...]:
        """The levels, the fastest first."""
        return tuple(slot.level for slot in self._slots)

    def add_level(self, level: object, position: int | None = None) -> str:
        """Add a level before the one at `position` (0: as the fastest), by default as the slowest. Return its name.

        Values that the other levels have reach a faster level when they are read.
        """
        with self._lock:
            slots = list(self._slots)
            names = {slot.name for slot in slots}
            slots.insert(
                len(slots) if position is None else position, LevelSlot(level, level_name(level, names), self._adapter)
            )
            self._use(slots)
            return next(slot.name for slot in slots if slot.level is level)

    def remove_level(self, name: str) -> Any:
        """Remove a level by its name and return it, with its content.

        Raises
        ------
        KeyError
            if there is no such level.
        ValueError
            if it is the last one.
        """
        with self._lock:
            found = [slot for slot in self._slots if slot.name == name]
            if not found:
                raise KeyError(f"no level {name!r} (levels: {', '.join(slot.name for slot in self._slots)})")
            if len(self._slots) == 1:
                raise ValueError(f"{name!r} is the last level: add another one first")
            self._use([slot for slot in self._slots if slot is not found[0]])
            return found[0].level

    def _use(self, slots: Iterable[LevelSlot]) -> None:
        self._slots = tuple(slots)  # replaced as a whole: operations in progress go on with the old one
        first = self._slots[0]
        # One attribute, so that a read never combines the level of one tuple with the counter of another.
        self._quick = (first.level.get, first.quick_hits.add) if isinstance(first.level, MemoryCache) else None

    def stats(self) -> CacheStats:
        """Return the current statistics."""
        levels = {slot.name: slot.stats() for slot in self._slots}
        return CacheStats(
            hits=sum(level.hits for level in levels.values()),
            misses=self._misses,
            evictions=sum(level.evictions for level in levels.values()),
            errors=sum(level.errors for level in levels.values()),
            levels=levels,
        )

    def statistics(self) -> dict[str, float]:
        """Return the statistics as numbers by name, for `monitor.watch("cache", cache.statistics)`."""
        stats = self.stats()
        numbers: dict[str, float] = {name: getattr(stats, name) for name in ("hits", "misses", "evictions", "errors")}
        for name, level in stats.levels.items():
            numbers[f"{name}_hits"] = level.hits
            numbers[f"{name}_entries"] = level.entries
        return numbers if stats.hits + stats.misses == 0 else {**numbers, "hit_rate": stats.hit_rate}

    def free_memory(self) -> None:
        """Clear the levels in memory; the others keep their values. `MemoryManager` calls this when memory is short."""
        for slot in self._slots:
            free_memory = getattr(slot.level, "free_memory", None) or getattr(slot.level, "relieve", None)
            if free_memory is not None:
                try:
                    free_memory()
                except Exception as error:
                    slot.failed("free_memory", error)

    relieve = free_memory  # the former name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {' '.join(slot.name for slot in self._slots)}>"

    def reading(self, key: Hashable, first: int = 0) -> Calls[object]:
        """Read one level after the other, from `first` on. Copy a value to the faster levels. Return it, or MISSING."""
        with self._lock:
            for slot in self._slots[:first]:
                slot.misses += 1
        value = yield from self._through(key, first, count=True)
        return value

    def peek(self, key: Hashable) -> Calls[object]:
        """Return the value or MISSING, without counting a hit or a miss."""
        value = yield from self._through(key, 0, count=False)
        return value

    def _through(self, key: Hashable, first: int, count: bool) -> Calls[object]:
        slots = self._slots
        with self._reads.reading(key) as token:
            for number, slot in enumerate(slots[first:], first):
                found = yield from slot.find(key)
                if count:
                    with self._lock:
                        slot.hits += found is not None
                        slot.misses += found is None
                if found is not None:
                    for faster in slots[:number]:
                        yield from keep_if_valid(token, faster.put_found(key, found), faster.call("delete", key))
                    return found.value
        if count:
            with self._lock:
                self._misses += 1
        return MISSING

    def store(self, key: Hashable, value: object, ttl: float | None) -> Calls[None]:
        """Keep a value on all levels."""
        for slot in self._slots:
            yield from slot.put(key, value, ttl)

    def removal(self, key: Hashable) -> Calls[bool]:
        """Remove a key from all levels, the slowest first, so that no faster level copies it again."""
        removed = False
        for slot in reversed(self._slots):
            was_there = yield from slot.call("delete", key)
            removed = removed or bool(was_there)
        return removed

    def clearing(self) -> Calls[None]:
        """Clear all levels."""
        for slot in reversed(self._slots):
            yield from slot.call("clear")

    def leasing(self, key: Hashable) -> Calls[Release | Missing | None]:
        """Take the lease of a key at the slowest level, which most processes share; at the next one if that fails."""
        for slot in reversed(self._slots):
            if hasattr(slot.level, "lease"):
                release: Release | Missing | None = yield from slot.call("lease", key, otherwise=MISSING)
                if release is not MISSING:
                    return release
        return MISSING

    def begin_anew(self) -> None:
        """Reset in a forked child."""
        super().begin_anew()
        self._lock = SHARED_LOCK


class MultiLevelCache(MultiLevelBase, ComputingCache):
    """Read through several levels, the fastest first, and write to all. Safe to use from several threads.

    A value of a slower level is copied to the faster ones for its remaining time to live, but not longer than they keep values by
    default. A level that fails is skipped with a warning and counted. Keys are plain data, such as text, unless all levels are in
    memory.

    Parameters
    ----------
    levels
        the fastest first: caches of this package, or any objects with `get(key, default)`, `set(key, value, ttl)`, `delete(key)`
        and `clear()`. By default a `MemoryCache` of 1,000 entries for 5 minutes, followed by
    folder
        a `DiskCache` of 10,000 entries for 1 hour in this folder, and
    redis_url
        a `RedisCache` on this server.
    """

    def __init__(
        self, levels: Iterable[object] | None = None, *, folder: Folder | None = None, redis_url: str | None = None
    ) -> None:
        super().__init__(_levels(levels, folder, redis_url, asynchronous=False), _direct)

    def get(self, key: Hashable, default: object = None) -> Any:
        """Return the value of the fastest level that has it, or `default`."""
        if self._quick is None:
            value = run(self.reading(key))
        else:
            get, count_hit = self._quick
            value = get(key, MISSING)
            if value is not MISSING:
                count_hit()
                return value
            value = run(self.reading(key, first=1))
        return default if value is MISSING else value

    def set(self, key: Hashable, value: object, ttl: float | None = DEFAULT) -> None:
        """Keep a value on all levels for `ttl` seconds; None: without a limit; by default as long as each level keeps values."""
        checked_ttl(ttl, None)
        with self._changing(key):
            run(self.store(key, value, ttl))

    def delete(self, key: Hashable) -> bool:
        """Remove a key from all levels and return whether any had it."""
        with self._changing(key):
            return run(self.removal(key))

    def clear(self) -> None:
        """Clear all levels."""
        with self._changing_all():
            run(self.clearing())

    def multi_set(self, pairs: Iterable[tuple[Hashable, object]], ttl: float | None = DEFAULT) -> None:
        """Set several pairs of key and value."""
        for key, value in pairs:
            self.set(key, value, ttl)

    def close(self) -> None:
        """Close the levels that have a method `close`."""
        for slot in self._slots:
            if hasattr(slot.level, "close"):
                run(slot.call("close"))


class AsyncMultiLevelCache(MultiLevelBase, AsyncComputingCache):
    """`MultiLevelCache` for tasks of an event loop: the same methods, awaited.

    Coroutine methods of levels are awaited. Other methods are called in a thread, so that a disk does not hold up the loop, unless
    the level has `blocking = False` as `MemoryCache` does.
    """

    def __init__(
        self, levels: Iterable[object] | None = None, *, folder: Folder | None = None, redis_url: str | None = None
    ) -> None:
        super().__init__(_levels(levels, folder, redis_url, asynchronous=True), _in_thread)

    @classmethod
    def sharing_levels(cls, cache: MultiLevelCache) -> AsyncMultiLevelCache:
        """Return a cache for tasks over the levels of a cache for threads."""
        return cls(cache.levels)

    async def get(self, key: Hashable, default: object = None) -> Any:
        """Return the value of the fastest level that has it, or `default`."""
        if self._quick is None:
            value = await run_async(self.reading(key))
        else:
            get, count_hit = self._quick
            value = get(key, MISSING)
            if value is not MISSING:
                count_hit()
                return value
            value = await run_async(self.reading(key, first=1))
        return default if value is MISSING else value

    async def set(self, key: Hashable, value: object, ttl: float | None = DEFAULT) -> None:
        """Keep a value on all levels for `ttl` seconds; None: without a limit; by default as long as each level keeps values."""
        checked_ttl(ttl, None)
        with self._changing(key):
            await run_async(self.store(key, value, ttl))

    async def delete(self, key: Hashable) -> bool:
        """Remove a key from all levels and return whether any had it."""
        with self._changing(key):
            return await run_async(self.removal(key))

    async def clear(self) -> None:
        """Clear all levels."""
        with self._changing_all():
            await run_async(self.clearing())

    async def multi_set(self, pairs: Iterable[tuple[Hashable, object]], ttl: float | None = DEFAULT) -> None:
        """Set several pairs of key and value."""
        for key, value in pairs:
            await self.set(key, value, ttl)

    async def close(self) -> None:
        """Close the levels that have a method `close`."""
        for slot in self._slots:
            if hasattr(slot.level, "close"):
                await run_async(slot.call("close"))


def _levels(
    levels: Iterable[object] | None, folder: Folder | None, redis_url: str | None, *, asynchronous: bool
) -> list[object]:
    if levels is not None:
        if folder is not None or redis_url is not None:
            raise ValueError("give either the levels, or where they are (folder, redis_url)")
        return list(levels)
    made: list[object] = [MemoryCache(ttl=MEMORY_TTL)]
    if folder is not None:
        from pytest_perfguard.tools.caches.disk import DiskCache

        made.append(DiskCache(folder))
    if redis_url is not None:
        from pytest_perfguard.tools.caches.remote import AsyncRedisCache, RedisCache

        made.append((AsyncRedisCache if asynchronous else RedisCache)(redis_url))
    return made


def _direct(level: object, method: Method) -> Method:
    if must_be_awaited(method):
        raise TypeError(f"{level!r} is for asyncio: use AsyncMultiLevelCache")
    return method


def _in_thread(level: object, method: Method) -> Method:
    if must_be_awaited(method) or not getattr(level, "blocking", True):
        return method
    if getattr(method, "__name__", "") == "lease" and isinstance(level, LocalCache):
        return method  # does not block; a cancelled task would lose the lease that a thread returned
    import asyncio

    return partial(asyncio.to_thread, method)
