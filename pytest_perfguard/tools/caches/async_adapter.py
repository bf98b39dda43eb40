"""Caches for threads, used by tasks as well."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from pytest_perfguard.tools.caches.get_or_compute import Computing, Plain
from pytest_perfguard.tools.caches.get_or_compute_aio import AsyncComputing
from pytest_perfguard.tools.caches.level import Missing, Release
from pytest_perfguard.tools.caches.levels import AsyncMultiLevelCache, MultiLevelCache
from pytest_perfguard.tools.caches.sansio import Steps


def twin_of(cache: Computing) -> AsyncComputing:
    """The same cache for tasks; what is changed by the one, the other does not overwrite with what it computes."""
    if isinstance(cache, MultiLevelCache):
        twin: AsyncComputing = AsyncMultiLevelCache(cache.levels)
    elif isinstance(cache, Plain):
        twin = _Twin(cache)
    else:
        return AsyncMultiLevelCache([cache])  # a server's client for threads
    twin._fresh = cache._fresh
    return twin


class _Twin(AsyncComputing):
    """A memory or a disk cache for tasks; a disk is asked in a thread."""

    def __init__(self, cache: Plain) -> None:
        super().__init__()
        self._cache = cache

    async def get(self, key: Any, default: Any = None) -> Any:
        return await self._call(self._cache.get, key, default)

    async def delete(self, key: Any) -> Any:
        self._flights.forget(key)
        return await self._call(self._cache.delete, key)

    def again(self, key: Any) -> Steps[Any]:
        value = yield partial(self._call, self._cache._peek, key)
        return value

    def claiming(self, key: Any) -> Steps[Release | Missing | None]:
        release = yield from self._cache.claiming(key)  # which does not block
        return release

    def store(self, key: Any, value: Any, ttl: float | None) -> Steps[None]:
        yield partial(self._call, self._cache._store, key, value, ttl)

    def removal(self, key: Any) -> Steps[bool]:
        gone: bool = yield partial(self._call, self._cache._remove, key)
        return gone

    async def _call(self, method: Callable[..., Any], *arguments: Any) -> Any:
        if not self._cache.blocking:
            return method(*arguments)
        import asyncio

        return await asyncio.to_thread(method, *arguments)
