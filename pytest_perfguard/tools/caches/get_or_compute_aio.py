"""`get_or_compute` for tasks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pytest_perfguard.tools.caches.get_or_compute import Changing, compute
from pytest_perfguard.tools.caches.level import DEFAULT, MISSING, checked_ttl
from pytest_perfguard.tools.caches.sansio import run_async

if TYPE_CHECKING:
    from pytest_perfguard.tools.caches.single_flight_aio import AsyncFlights


class AsyncComputing(Changing):
    """A `Computable` for tasks. Not to be used by itself."""

    def __init__(self) -> None:
        from pytest_perfguard.tools.caches.single_flight_aio import AsyncFlights

        super().__init__()
        self._flights: AsyncFlights = AsyncFlights()

    async def get_or_compute(self, key: Any, function: Callable[[], Any], ttl: float | None = DEFAULT) -> Any:
        """The value; where there is none, what `function()` returns, awaited, which is then kept for `ttl` seconds.

        Of all who ask for a key at the same time one computes it, and the others wait for that: tasks of this loop, and other
        processes where a level of the cache is shared with them. What the function raises goes to all who wait, and
        is not remembered. A cancelled caller leaves the others alone; when all are cancelled, the function is, too.
        """
        import asyncio

        cache: Any = self
        value = await cache.get(key, MISSING)
        if value is not MISSING:
            return value
        checked_ttl(ttl, None)
        return await self._flights.run(
            key, lambda: run_async(compute(cache, self._fresh, key, function, ttl, asyncio.sleep))
        )
