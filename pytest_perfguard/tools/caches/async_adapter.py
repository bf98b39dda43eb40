"""Use caches for threads from tasks."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, TypeVar

from pytest_perfguard.tools.caches.get_or_compute import AsyncComputingCache, ComputingCache, LocalCache
from pytest_perfguard.tools.caches.level import Missing, Release
from pytest_perfguard.tools.caches.levels import AsyncMultiLevelCache, MultiLevelCache
from pytest_perfguard.tools.caches.sansio import Calls

T = TypeVar("T")


def async_view(cache: ComputingCache) -> AsyncComputingCache:
    """Return the same cache for tasks. A modification through one of the two invalidates computations of the other."""
    if isinstance(cache, MultiLevelCache):
        view: AsyncComputingCache = AsyncMultiLevelCache.sharing_levels(cache)
    elif isinstance(cache, LocalCache):
        view = _AsyncView(cache)
    else:
        return AsyncMultiLevelCache([cache])  # a client of a server
    view.share_reads(cache)
    return view


class _AsyncView(AsyncComputingCache):
    """A memory or a disk cache for tasks. Calls that wait for a disk are made in a thread."""

    def __init__(self, cache: LocalCache) -> None:
        super().__init__()
        self._cache = cache

    async def get(self, key: Hashable, default: object = None) -> Any:
        return await self._call(self._cache.get, key, default)

    async def delete(self, key: Hashable) -> bool:
        self._flights.forget(key)
        return await self._call(self._cache.delete, key)

    async def clear(self) -> None:
        self._flights.forget_all()
        clear: Callable[[], None] = self._cache.clear  # type: ignore[attr-defined]
        await self._call(clear)

    def peek(self, key: Hashable) -> Calls[object]:
        return self._in_thread(self._cache.peek(key))

    def leasing(self, key: Hashable) -> Calls[Release | Missing | None]:
        return self._cache.leasing(key)  # does not block; a cancelled task would lose the lease that a thread returned

    def store(self, key: Hashable, value: object, ttl: float | None) -> Calls[None]:
        return self._in_thread(self._cache.store(key, value, ttl))

    def removal(self, key: Hashable) -> Calls[bool]:
        return self._in_thread(self._cache.removal(key))

    def _in_thread(self, calls: Calls[T]) -> Calls[T]:
        """Make each call of a generator in a thread if the cache blocks."""
        result: object = None
        try:
            while True:
                result = yield partial(self._call, calls.send(result))
        except StopIteration as end:
            value: T = end.value
            return value

    async def _call(self, function: Callable[..., T], *arguments: object) -> T:
        if not self._cache.blocking:
            return function(*arguments)
        import asyncio

        return await asyncio.to_thread(function, *arguments)
