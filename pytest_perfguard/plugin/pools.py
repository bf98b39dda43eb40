"""The factories behind `object_pool` and `conn_pool`: pools that end with their test, and what was not given back fails it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

import pytest

from pytest_perfguard.plugin.endings import at_the_end
from pytest_perfguard.plugin.keys import SHARED_POOLS, counters_of
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
        self._watched: list[tuple[Pool, int]] = []
        at_the_end(request, self._problems)

    def _count(self, pool: Pool) -> None:
        """In a leak check of the test, what each call leaves lent is counted."""
        counters = counters_of(self._request)
        what = "connections" if isinstance(pool, ConnectionPoolBase) else "objects"
        name = f"{what} of {pool.name}"
        counters[f"{name} ({len(counters) + 1})" if name in counters else name] = lambda: [
            lent.thing for lent in pool.not_returned()
        ]

    def __call__(self, make: Callable[[], Any] | None = None, *, shared: str = "", **options: Any) -> Any:
        """A pool of what `make` makes: for asyncio if that is a coroutine function, for threads otherwise.

        Parameters
        ----------
        shared
            the name of a pool that all tests of the run share, and that ends with the run; the first call makes it.
        options
            of the pool's class. It remembers who took what unless `trace=False`.
        """
        pools = self._request.config.stash.setdefault(SHARED_POOLS, {}) if shared else {}
        pool = pools.get(shared)
        if pool is None:
            makers = [make, *(options.get("targets") or {}).values()]
            threaded, asynchronous = self._kinds
            kind = asynchronous if any(inspect.iscoroutinefunction(maker) for maker in makers) else threaded
            pool = kind(make, **{"trace": True, "name": shared or "pool", **options})
            end = self._request.config.add_cleanup if shared else self._request.addfinalizer
            end(lambda: _ended(pool))
            if shared:
                pools[shared] = pool
        self.watch(pool)
        return pool

    def watch(self, pool: Pool) -> None:
        """Hold the test to giving back what it takes of this pool, too."""
        taken = max((lent.number for lent in pool.not_returned()), default=0)
        self._count(pool)
        self._watched.append((pool, max(taken, pool.stats().acquisitions)))

    def _problems(self) -> str:
        return "\n".join(problem for pool, before in self._watched for problem in _not_given_back(pool, before))


def _not_given_back(pool: Pool, before: int) -> list[str]:
    """What this test took of the pool and did not give back."""
    left = [lent for lent in pool.not_returned() if lent.number > before]
    if not left:
        return []
    lines = [f"{pool!r}: not given back: {len(left)}"]
    lines += [f"    {line}" for lent in left[:_SHOWN] for line in lent.lines()]
    return lines + [f"    and {len(left) - _SHOWN} more"] * (len(left) > _SHOWN)


def _ended(pool: Pool) -> None:
    closing = pool.close()
    if closing is not None:
        closing.close()  # its loop has ended: `async with` is what ends it in time
