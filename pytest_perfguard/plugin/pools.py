"""The factories behind `object_pool` and `conn_pool`: pools that end with their test, and what was not given back fails it."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from typing import Any, Final

import pytest

from pytest_perfguard.plugin.endings import Ending, at_the_end
from pytest_perfguard.plugin.keys import MONITOR, SHARED_POOLS, counters_of
from pytest_perfguard.plugin.shown import fail
from pytest_perfguard.pooling.connection_base import ConnectionPoolBase
from pytest_perfguard.pooling.connections import ConnectionPool
from pytest_perfguard.pooling.connections_aio import AsyncConnectionPool
from pytest_perfguard.pooling.objects import ObjectPool
from pytest_perfguard.pooling.objects_aio import AsyncObjectPool

Pool = ObjectPool[Any] | AsyncObjectPool[Any] | ConnectionPool[Any] | AsyncConnectionPool[Any]

#: Of one thing that was not given back, so many are shown.
_SHOWN: Final = 3


class PoolFactory:
    """`pool = conn_pool(connect, max_size=5)`: a pool for this test; with `shared="db"` one for the whole run."""

    def __init__(self, request: pytest.FixtureRequest, threaded: type[Any], asynchronous: type[Any]) -> None:
        self._request = request
        self._kinds = threaded, asynchronous
        self._watched: dict[int, _Watched] = {}
        at_the_end(request, Ending(self._problems, self._begin))
        request.addfinalizer(self._check_fixtures)

    def __call__(self, make: Callable[[], Any] | None = None, *, shared: str = "", **options: Any) -> Any:
        """A pool of what `make` makes: for asyncio if that is a coroutine function, for threads otherwise.

        Parameters
        ----------
        shared
            the name of a pool for threads that all tests of the run share, and that ends with the run; the first call,
            or the first after somebody closed it, makes it.
        options
            of the pool's class. It remembers who took what unless `trace=False`.
        """
        pools = self._request.config.stash.setdefault(SHARED_POOLS, {}) if shared else {}
        pool = pools.get(shared)
        if pool is None or pool.closed:
            pool = self._made(make, shared, options)
            if shared:
                pools[shared] = pool
        if id(pool) not in self._watched:
            self._watch(pool)
        return pool

    def _made(self, make: Callable[[], Any] | None, shared: str, options: dict[str, Any]) -> Pool:
        makers = [make, *(options.get("targets") or {}).values()]
        threaded, asynchronous = self._kinds
        kind = asynchronous if any(inspect.iscoroutinefunction(maker) for maker in makers) else threaded
        if shared and kind is asynchronous:
            raise ValueError(f"shared={shared!r}: a pool of asyncio lives in one event loop, and tests have one each")
        number = f"_{len(self._watched) + 1}" if self._watched else ""
        pool: Pool = kind(make, **{"trace": True, "name": shared or f"pool{number}", **options})
        end = self._request.config.add_cleanup if shared else self._request.addfinalizer
        end(lambda: _ended(pool))
        return pool

    def _watch(self, pool: Pool) -> None:
        """Hold the test to giving back what it takes of this pool; count that in leak checks; tell the monitor."""
        self._watched[id(pool)] = _Watched(pool, pool.stats().acquisitions)
        counters = counters_of(self._request)
        what = "connections" if isinstance(pool, ConnectionPoolBase) else "objects"
        counters[f"{what} of {pool.name}"] = lambda: [lent.thing for lent in pool.not_returned()]
        self._tell(pool)

    def _tell(self, pool: Pool) -> None:
        monitor = self._request.config.stash.get(MONITOR, None)
        if monitor is not None:
            monitor.watch(f"pool.{re.sub(r'[^A-Za-z0-9_]', '_', pool.name)}", pool.statistics)

    def _begin(self) -> None:
        """What fixtures have taken until the test's body begins, they give back later."""
        for watched in self._watched.values():
            watched.body = watched.pool.stats().acquisitions
            self._tell(watched.pool)

    def _problems(self) -> str:
        """What the body took and did not give back."""
        return "\n".join(line for watched in self._watched.values() for line in watched.left(watched.body))

    def _check_fixtures(self) -> None:
        """After all fixtures that use the pools have ended: what did they keep?"""
        lines = [line for watched in self._watched.values() for line in watched.left(watched.start, watched.body)]
        if lines:
            fail("\n".join(lines))


class _Watched:
    """A pool, and how often it had lent something when the test came to it, and when the test's body began."""

    def __init__(self, pool: Pool, acquisitions: int) -> None:
        self.pool = pool
        self.start = self.body = acquisitions

    def left(self, after: int, until: float = math.inf) -> list[str]:
        """What was taken by these acquisitions and has not come back."""
        return _not_given_back(self.pool, after, until)


def _not_given_back(pool: Pool, after: int, until: float) -> list[str]:
    left = [lent for lent in pool.not_returned() if after < lent.number <= until]
    if not left:
        return []
    lines = [f"{pool!r}: not given back: {len(left)}"]
    lines += [f"    {line}" for lent in left[:_SHOWN] for line in lent.lines()]
    return lines + [f"    and {len(left) - _SHOWN} more"] * (len(left) > _SHOWN)


def _ended(pool: Pool) -> None:
    closing = pool.close()
    if closing is not None:
        closing.close()  # its loop has ended: `async with` is what ends it in time
