"""perfguard: performance regression tests for pytest that fail when code got slower or uses more memory, and only then."""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers know it; to import `typing` would cost more than all the rest
if TYPE_CHECKING:
    from pytest_perfguard.caching.decorator import cached
    from pytest_perfguard.caching.disk import DiskCache
    from pytest_perfguard.caching.levels import AsyncMultiLevelCache, MultiLevelCache
    from pytest_perfguard.caching.memory import MemoryCache
    from pytest_perfguard.caching.remote import AsyncRedisCache, RedisCache
    from pytest_perfguard.errors import (
        AlertError,
        CannotCheck,
        ExpressionError,
        LeakError,
        MissingExtra,
        PerfguardError,
        SeriesError,
    )
    from pytest_perfguard.leaks.watch import MemoryWatch
    from pytest_perfguard.monitor.memory import MemoryManager
    from pytest_perfguard.monitor.monitor import PerformanceMonitor
    from pytest_perfguard.pooling.connections import ConnectionPool
    from pytest_perfguard.pooling.connections_aio import AsyncConnectionPool
    from pytest_perfguard.pooling.objects import ObjectPool
    from pytest_perfguard.pooling.objects_aio import AsyncObjectPool
    from pytest_perfguard.processing.batches import BatchProcessor
    from pytest_perfguard.processing.batches_aio import AsyncBatchProcessor
    from pytest_perfguard.processing.streams import StreamProcessor
    from pytest_perfguard.processing.streams_aio import AsyncStreamProcessor
    from pytest_perfguard.startup.import_budget import ImportGroup
    from pytest_perfguard.startup.imports import import_report
    from pytest_perfguard.startup.lazy import LazyModuleLoader
    from pytest_perfguard.startup.steps import StartupSequence
    from pytest_perfguard.tool_errors import (
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
    )

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
    "PerfguardError",
    "PerformanceMonitor",
    "PoolClosed",
    "PoolError",
    "PoolTimeout",
    "RedisCache",
    "SeriesError",
    "StartupError",
    "StartupSequence",
    "StreamError",
    "StreamProcessor",
    "__version__",
    "cached",
    "import_report",
]

_HOMES = {
    "AlertError": "pytest_perfguard.errors",
    "AsyncBatchProcessor": "pytest_perfguard.processing.batches_aio",
    "AsyncConnectionPool": "pytest_perfguard.pooling.connections_aio",
    "AsyncMultiLevelCache": "pytest_perfguard.caching.levels",
    "AsyncObjectPool": "pytest_perfguard.pooling.objects_aio",
    "AsyncRedisCache": "pytest_perfguard.caching.remote",
    "AsyncStreamProcessor": "pytest_perfguard.processing.streams_aio",
    "BatchClosed": "pytest_perfguard.tool_errors",
    "BatchError": "pytest_perfguard.tool_errors",
    "BatchProcessor": "pytest_perfguard.processing.batches",
    "BatchSizeError": "pytest_perfguard.tool_errors",
    "BatchTimeout": "pytest_perfguard.tool_errors",
    "CacheError": "pytest_perfguard.tool_errors",
    "CacheValueError": "pytest_perfguard.tool_errors",
    "CannotCheck": "pytest_perfguard.errors",
    "ConnectionPool": "pytest_perfguard.pooling.connections",
    "DiskCache": "pytest_perfguard.caching.disk",
    "ExpressionError": "pytest_perfguard.errors",
    "ImportBudgetError": "pytest_perfguard.tool_errors",
    "ImportGroup": "pytest_perfguard.startup.import_budget",
    "LazyModuleLoader": "pytest_perfguard.startup.lazy",
    "LeakError": "pytest_perfguard.errors",
    "MemoryCache": "pytest_perfguard.caching.memory",
    "MemoryManager": "pytest_perfguard.monitor.memory",
    "MemoryWatch": "pytest_perfguard.leaks.watch",
    "MissingExtra": "pytest_perfguard.errors",
    "MultiLevelCache": "pytest_perfguard.caching.levels",
    "NotLent": "pytest_perfguard.tool_errors",
    "ObjectPool": "pytest_perfguard.pooling.objects",
    "PerfguardError": "pytest_perfguard.errors",
    "PerformanceMonitor": "pytest_perfguard.monitor.monitor",
    "PoolClosed": "pytest_perfguard.tool_errors",
    "PoolError": "pytest_perfguard.tool_errors",
    "PoolTimeout": "pytest_perfguard.tool_errors",
    "RedisCache": "pytest_perfguard.caching.remote",
    "SeriesError": "pytest_perfguard.errors",
    "StartupError": "pytest_perfguard.tool_errors",
    "StartupSequence": "pytest_perfguard.startup.steps",
    "StreamError": "pytest_perfguard.tool_errors",
    "StreamProcessor": "pytest_perfguard.processing.streams",
    "cached": "pytest_perfguard.caching.decorator",
    "import_report": "pytest_perfguard.startup.imports",
}


def __getattr__(name: str) -> object:
    """Public names are loaded on first use (PEP 562): a run that measures nothing must not pay for them."""
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            return version("perfguard")
        except PackageNotFoundError:  # run from its source, without being installed
            return "unknown"
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
