"""The fixtures, each a few lines that import what they need when a test asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pytest

from pytest_perfguard.plugin.keys import MEASURER, MONITOR, SESSION_METRICS, counters_of

if TYPE_CHECKING:
    from pytest_perfguard.leaks.watch import MemoryWatch
    from pytest_perfguard.monitor.monitor import PerformanceMonitor
    from pytest_perfguard.plugin.caches import PerfCache
    from pytest_perfguard.plugin.imports import PerfImports
    from pytest_perfguard.plugin.pools import PoolFactory

#: Fixtures of tests that look at their own output.
LOOKING_AT_OUTPUT: Final = ("capfd", "capfdbinary", "capsys", "capsysbinary")


@pytest.fixture
def perf_monitor(request: pytest.FixtureRequest) -> Iterator[PerformanceMonitor]:
    """Timers, counters, gauges, histograms and alerts of this test; `perf_monitor.measure(function, *args)` has only this
    call of the test measured, and returns its result."""
    from pytest_perfguard.monitor.monitor import PerformanceMonitor
    from pytest_perfguard.plugin.endings import Ending, at_the_end

    config = request.config
    monitor = PerformanceMonitor(server=config.stash.get(MEASURER, None))
    monitor.alerting = MEASURER not in config.stash
    config.stash[MONITOR] = monitor
    at_the_end(request, Ending(monitor.breaches))
    yield monitor
    monitor.stop()
    del config.stash[MONITOR]
    if (metrics := config.stash.get(SESSION_METRICS, None)) is not None:
        metrics.add(monitor)


@pytest.fixture
def perf_imports(request: pytest.FixtureRequest, perf_monitor: PerformanceMonitor) -> PerfImports:
    """`perf_imports("mypkg", max_modules=100, forbid=["scipy"])` imports it in fresh interpreters and fails where it loads or
    costs more than it may; in a perf test the import is measured and judged."""
    from pytest_perfguard.plugin.imports import PerfImports

    return PerfImports(request, perf_monitor)


@pytest.fixture
def perf_memory_watch(request: pytest.FixtureRequest) -> MemoryWatch:
    """The same as `memory_watch`, where a project has a fixture of that name itself."""
    from functools import partial

    from pytest_perfguard.leaks.watch import MemoryWatch
    from pytest_perfguard.unkept import nothing_kept

    fixtures = set(request.fixturenames)
    output = fixtures.isdisjoint(LOOKING_AT_OUTPUT)
    watch = MemoryWatch(partial(nothing_kept, output=output, records="caplog" not in fixtures))
    watch.counters = counters_of(request)  # a leak check of this very test counts the same
    return watch


@pytest.fixture
def memory_watch(perf_memory_watch: MemoryWatch) -> MemoryWatch:
    """`memory_watch.check(function, ...)` fails if anything grows with every call; `with memory_watch(max_growth="1MB",
    resources=True):` if a block leaves more behind; `memory_watch.peak(function, ...)` tells how high memory goes."""
    return perf_memory_watch


@pytest.fixture
def perf_object_pool(request: pytest.FixtureRequest) -> PoolFactory:
    """The same as `object_pool`, where a project has a fixture of that name itself."""
    from pytest_perfguard.plugin.pools import PoolFactory
    from pytest_perfguard.pooling.objects import ObjectPool
    from pytest_perfguard.pooling.objects_aio import AsyncObjectPool

    return PoolFactory(request, ObjectPool, AsyncObjectPool)


@pytest.fixture
def object_pool(perf_object_pool: PoolFactory) -> PoolFactory:
    """`pool = object_pool(create, reset=..., max_size=...)`, then `with pool.item() as thing:`; what is not given back fails
    the test. For asyncio where `create` is a coroutine function."""
    return perf_object_pool


@pytest.fixture
def perf_conn_pool(request: pytest.FixtureRequest) -> PoolFactory:
    """The same as `conn_pool`, where a project has a fixture of that name itself."""
    from pytest_perfguard.plugin.pools import PoolFactory
    from pytest_perfguard.pooling.connections import ConnectionPool
    from pytest_perfguard.pooling.connections_aio import AsyncConnectionPool

    return PoolFactory(request, ConnectionPool, AsyncConnectionPool)


@pytest.fixture
def conn_pool(perf_conn_pool: PoolFactory) -> PoolFactory:
    """`pool = conn_pool(connect, check=..., max_size=...)`, then `with pool.connection() as connection:`; what is not given
    back fails the test. For asyncio where `connect` is a coroutine function; `shared="db"` for one pool per run."""
    return perf_conn_pool


@pytest.fixture
def perf_cache(request: pytest.FixtureRequest) -> PerfCache:
    """The same as `cache`, where a project has a fixture of that name itself."""
    from pytest_perfguard.plugin.caches import the_cache

    return the_cache(request)


@pytest.fixture
def cache(perf_cache: PerfCache) -> PerfCache:
    """pytest's own cache: `cache.get(key, default)`, `cache.set(key, value)`, `cache.mkdir(name)`; and on top of it
    `cache.get_or_compute(key, function, ttl)`, `cache.set(key, value, ttl=60)`, `cache.delete(key)`, `cache.stats()`."""
    return perf_cache
