"""perfguard: performance regression tests for pytest, which fail when code became slower or uses more memory."""

from __future__ import annotations

TYPE_CHECKING = False  # recognized by type checkers; importing `typing` would cost more than the rest of this module
if TYPE_CHECKING:
    from pytest_perfguard.compat.fixture import BenchmarkFixture
    from pytest_perfguard.core.errors import (
        AlertError,
        CannotCheck,
        ExpressionError,
        LeakError,
        MissingExtra,
        PerfguardError,
        SeriesError,
    )
    from pytest_perfguard.core.tool_errors import (
        BatchClosed,
        BatchError,
        BatchSizeError,
        BatchTimeout,
        CacheError,
        CacheValueError,
        ImportBudgetError,
        NotLent,
        PoolClosed,
        PoolError,
        PoolTimeout,
        StartupError,
        StreamError,
        TooManyWaiting,
    )
    from pytest_perfguard.engine.leaks.watch import MemoryWatch
    from pytest_perfguard.plugin.fixtures.caches import PerfCache
    from pytest_perfguard.plugin.fixtures.imports import PerfImports
    from pytest_perfguard.plugin.fixtures.pools import PoolFactory
    from pytest_perfguard.tools.batches.processor import BatchProcessor
    from pytest_perfguard.tools.batches.processor_aio import AsyncBatchProcessor
    from pytest_perfguard.tools.caches.decorator import cached
    from pytest_perfguard.tools.caches.disk import DiskCache
    from pytest_perfguard.tools.caches.levels import AsyncMultiLevelCache, MultiLevelCache
    from pytest_perfguard.tools.caches.memory import MemoryCache
    from pytest_perfguard.tools.caches.remote import AsyncRedisCache, RedisCache
    from pytest_perfguard.tools.monitor.memory import MemoryManager
    from pytest_perfguard.tools.monitor.monitor import PerformanceMonitor
    from pytest_perfguard.tools.pools.connection_pool import ConnectionPool
    from pytest_perfguard.tools.pools.connection_pool_aio import AsyncConnectionPool
    from pytest_perfguard.tools.pools.drivers import async_psycopg_pool, dbapi_pool, psycopg_pool, redis_pool
    from pytest_perfguard.tools.pools.object_pool import ObjectPool
    from pytest_perfguard.tools.pools.object_pool_aio import AsyncObjectPool
    from pytest_perfguard.tools.startup.import_budget import ImportGroup
    from pytest_perfguard.tools.startup.imports import import_report
    from pytest_perfguard.tools.startup.lazy import LazyModuleLoader
    from pytest_perfguard.tools.startup.steps import StartupSequence
    from pytest_perfguard.tools.streams.processor import StreamProcessor
    from pytest_perfguard.tools.streams.processor_aio import AsyncStreamProcessor

    __version__: str

__all__ = [
    "AlertError",
    "AsyncBatchProcessor",
    "AsyncConnectionPool",
    "AsyncMultiLevelCache",
    "AsyncObjectPool",
    "AsyncRedisCache",
    "AsyncStreamProcessor",
    "BatchClosed",
    "BatchError",
    "BatchProcessor",
    "BatchSizeError",
    "BatchTimeout",
    "BenchmarkFixture",
    "CacheError",
    "CacheValueError",
    "CannotCheck",
    "ConnectionPool",
    "DiskCache",
    "ExpressionError",
    "ImportBudgetError",
    "ImportGroup",
    "LazyModuleLoader",
    "LeakError",
    "MemoryCache",
    "MemoryManager",
    "MemoryWatch",
    "MissingExtra",
    "MultiLevelCache",
    "NotLent",
    "ObjectPool",
    "PerfCache",
    "PerfImports",
    "PerfguardError",
    "PerformanceMonitor",
    "PoolClosed",
    "PoolError",
    "PoolFactory",
    "PoolTimeout",
    "RedisCache",
    "SeriesError",
    "StartupError",
    "StartupSequence",
    "StreamError",
    "StreamProcessor",
    "TooManyWaiting",
    "__version__",
    "async_psycopg_pool",
    "cached",
    "dbapi_pool",
    "import_report",
    "psycopg_pool",
    "redis_pool",
]

_HOMES = {
    "AlertError": "pytest_perfguard.core.errors",
    "AsyncBatchProcessor": "pytest_perfguard.tools.batches.processor_aio",
    "AsyncConnectionPool": "pytest_perfguard.tools.pools.connection_pool_aio",
    "AsyncMultiLevelCache": "pytest_perfguard.tools.caches.levels",
    "AsyncObjectPool": "pytest_perfguard.tools.pools.object_pool_aio",
    "AsyncRedisCache": "pytest_perfguard.tools.caches.remote",
    "AsyncStreamProcessor": "pytest_perfguard.tools.streams.processor_aio",
    "BatchClosed": "pytest_perfguard.core.tool_errors",
    "BatchError": "pytest_perfguard.core.tool_errors",
    "BatchProcessor": "pytest_perfguard.tools.batches.processor",
    "BatchSizeError": "pytest_perfguard.core.tool_errors",
    "BatchTimeout": "pytest_perfguard.core.tool_errors",
    "BenchmarkFixture": "pytest_perfguard.compat.fixture",
    "CacheError": "pytest_perfguard.core.tool_errors",
    "CacheValueError": "pytest_perfguard.core.tool_errors",
    "CannotCheck": "pytest_perfguard.core.errors",
    "ConnectionPool": "pytest_perfguard.tools.pools.connection_pool",
    "DiskCache": "pytest_perfguard.tools.caches.disk",
    "ExpressionError": "pytest_perfguard.core.errors",
    "ImportBudgetError": "pytest_perfguard.core.tool_errors",
    "ImportGroup": "pytest_perfguard.tools.startup.import_budget",
    "LazyModuleLoader": "pytest_perfguard.tools.startup.lazy",
    "LeakError": "pytest_perfguard.core.errors",
    "MemoryCache": "pytest_perfguard.tools.caches.memory",
    "MemoryManager": "pytest_perfguard.tools.monitor.memory",
    "MemoryWatch": "pytest_perfguard.engine.leaks.watch",
    "MissingExtra": "pytest_perfguard.core.errors",
    "MultiLevelCache": "pytest_perfguard.tools.caches.levels",
    "NotLent": "pytest_perfguard.core.tool_errors",
    "ObjectPool": "pytest_perfguard.tools.pools.object_pool",
    "PerfCache": "pytest_perfguard.plugin.fixtures.caches",
    "PerfImports": "pytest_perfguard.plugin.fixtures.imports",
    "PerfguardError": "pytest_perfguard.core.errors",
    "PerformanceMonitor": "pytest_perfguard.tools.monitor.monitor",
    "PoolClosed": "pytest_perfguard.core.tool_errors",
    "PoolError": "pytest_perfguard.core.tool_errors",
    "PoolFactory": "pytest_perfguard.plugin.fixtures.pools",
    "PoolTimeout": "pytest_perfguard.core.tool_errors",
    "RedisCache": "pytest_perfguard.tools.caches.remote",
    "SeriesError": "pytest_perfguard.core.errors",
    "StartupError": "pytest_perfguard.core.tool_errors",
    "StartupSequence": "pytest_perfguard.tools.startup.steps",
    "StreamError": "pytest_perfguard.core.tool_errors",
    "StreamProcessor": "pytest_perfguard.tools.streams.processor",
    "TooManyWaiting": "pytest_perfguard.core.tool_errors",
    "async_psycopg_pool": "pytest_perfguard.tools.pools.drivers",
    "cached": "pytest_perfguard.tools.caches.decorator",
    "dbapi_pool": "pytest_perfguard.tools.pools.drivers",
    "import_report": "pytest_perfguard.tools.startup.imports",
    "psycopg_pool": "pytest_perfguard.tools.pools.drivers",
    "redis_pool": "pytest_perfguard.tools.pools.drivers",
}


if not TYPE_CHECKING:  # type checkers would accept any name: they know the names from the imports above

    def __getattr__(name: str) -> object:
        """Load public names on first use (PEP 562), so that a run without measurements does not pay for them."""
        if name == "__version__":
            return _version()
        if name in _HOMES:
            from importlib import import_module

            return getattr(import_module(_HOMES[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, loaded or not, and the attributes that every module has."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("_"))})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("perfguard")
    except PackageNotFoundError:  # run from the source tree without being installed
        return "unknown"
