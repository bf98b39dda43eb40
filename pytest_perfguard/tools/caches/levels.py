"""`MultiLevelCache` and `AsyncMultiLevelCache`: a fast small level before slower and larger ones."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from pytest_perfguard.tools.caches.get_or_compute import Computing, Plain
from pytest_perfguard.tools.caches.get_or_compute_aio import AsyncComputing
from pytest_perfguard.tools.caches.level import DEFAULT, MISSING, checked_ttl
from pytest_perfguard.tools.caches.levels_base import LevelsBase
from pytest_perfguard.tools.caches.memory import MemoryCache
from pytest_perfguard.tools.caches.sansio import run, run_async

#: Of the first level, where the levels are not given.
MEMORY_TTL: Final = 300.0

Folder = str | os.PathLike[str]


class MultiLevelCache(LevelsBase, Computing):
    """Reads through its levels, the fastest first, and writes to all. Safe to use from several threads.

    What a slower level has goes to the faster ones for as long as it has left, but there not longer than they keep things by
    default. A level that fails is passed over with a warning, and counted. Keys are text, unless all levels are in memory.

    Parameters
    ----------
    levels
        the fastest first: caches of ours, or any objects with `get(key, default)`, `set(key, value, ttl)`,
        `delete(key)` and `clear()`. If not given, a `MemoryCache` of 1,000 entries for 5 minutes, and then
    folder
        a `DiskCache` of 10,000 entries for 1 hour here, and
    redis_url
        a `RedisCache` there.
    """

    def __init__(
        self, levels: Iterable[Any] | None = None, *, folder: Folder | None = None, redis_url: str | None = None
    ) -> None:
        super().__init__(_levels(levels, folder, redis_url, asynchronous=False), _directly)

    def get(self, key: Any, default: Any = None) -> Any:
        """The value that the fastest level has, or `default`."""
        if self._quick is None:
            value = run(self.reading(key))
        else:
            value = self._quick(key, MISSING)
            if value is not MISSING:
                next(self._quick_hits)
                return value
            value = run(self.reading(key, first=1))
        return default if value is MISSING else value

    def set(self, key: Any, value: Any, ttl: float | None = DEFAULT) -> None:
        """Keep a value on all levels for `ttl` seconds, None for ever; by default as long as each level says."""
        checked_ttl(ttl, None)
        with self._changing(key):
            run(self.store(key, value, ttl))

    def delete(self, key: Any) -> bool:
        """Forget a key on all levels; did any have it?"""
        with self._changing(key):
            return run(self.removal(key))

    def clear(self) -> None:
        """Forget everything on all levels."""
        with self._changing_all():
            run(self.clearing())

    def close(self) -> None:
        """Close the levels that can be closed."""
        for slot in self._slots:
            if hasattr(slot.level, "close"):
                run(slot.call("close"))


class AsyncMultiLevelCache(LevelsBase, AsyncComputing):
    """`MultiLevelCache` for the tasks of an event loop: the same, awaited.

    Levels whose methods are coroutine functions are awaited. Others are called in a thread, so that a disk does not hold up the
    loop, unless they say `blocking = False` as `MemoryCache` does.
    """

    def __init__(
        self, levels: Iterable[Any] | None = None, *, folder: Folder | None = None, redis_url: str | None = None
    ) -> None:
        super().__init__(_levels(levels, folder, redis_url, asynchronous=True), _beside_the_loop)

    async def get(self, key: Any, default: Any = None) -> Any:
        """The value that the fastest level has, or `default`."""
        if self._quick is None:
            value = await run_async(self.reading(key))
        else:
            value = self._quick(key, MISSING)
            if value is not MISSING:
                next(self._quick_hits)
                return value
            value = await run_async(self.reading(key, first=1))
        return default if value is MISSING else value

    async def set(self, key: Any, value: Any, ttl: float | None = DEFAULT) -> None:
        """Keep a value on all levels for `ttl` seconds, None for ever; by default as long as each level says."""
        checked_ttl(ttl, None)
        with self._changing(key):
            await run_async(self.store(key, value, ttl))

    async def delete(self, key: Any) -> bool:
        """Forget a key on all levels; did any have it?"""
        with self._changing(key):
            return await run_async(self.removal(key))

    async def clear(self) -> None:
        """Forget everything on all levels."""
        with self._changing_all():
            await run_async(self.clearing())

    async def close(self) -> None:
        """Close the levels that can be closed."""
        for slot in self._slots:
            if hasattr(slot.level, "close"):
                await run_async(slot.call("close"))


def _levels(
    levels: Iterable[Any] | None, folder: Folder | None, redis_url: str | None, *, asynchronous: bool
) -> list[Any]:
    if levels is not None:
        if folder is not None or redis_url is not None:
            raise ValueError("give either the levels, or where they are (folder, redis_url)")
        return list(levels)
    made: list[Any] = [MemoryCache(ttl=MEMORY_TTL)]
    if folder is not None:
        from pytest_perfguard.tools.caches.disk import DiskCache

        made.append(DiskCache(folder))
    if redis_url is not None:
        from pytest_perfguard.tools.caches.remote import AsyncRedisCache, RedisCache

        made.append((AsyncRedisCache if asynchronous else RedisCache)(redis_url))
    return made


def _directly(level: Any, method: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(method):
        raise TypeError(f"{level!r} is for asyncio: use AsyncMultiLevelCache")
    return method


def _beside_the_loop(level: Any, method: Callable[..., Any]) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(method) or not getattr(level, "blocking", True):
        return method
    if method.__name__ == "claim" and isinstance(level, Plain):
        return method  # it does not block, and what it returned would be lost with a cancelled task
    import asyncio

    return partial(asyncio.to_thread, method)
