"""perfguard: performance regression tests for pytest that fail when code got slower or hungrier, and only then."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
    from pytest_perfguard.tool_errors import NotLent, PoolClosed, PoolError, PoolTimeout

__all__ = [
    "AlertError",
    "AsyncConnectionPool",
    "AsyncObjectPool",
    "CannotCheck",
    "ConnectionPool",
    "ExpressionError",
    "LeakError",
    "MemoryManager",
    "MemoryWatch",
    "MissingExtra",
    "NotLent",
    "ObjectPool",
    "PerfguardError",
    "PerformanceMonitor",
    "PoolClosed",
    "PoolError",
    "PoolTimeout",
    "SeriesError",
    "__version__",
]

_HOMES = {
    "AlertError": "pytest_perfguard.errors",
    "AsyncConnectionPool": "pytest_perfguard.pooling.connections_aio",
    "AsyncObjectPool": "pytest_perfguard.pooling.objects_aio",
    "CannotCheck": "pytest_perfguard.errors",
    "ConnectionPool": "pytest_perfguard.pooling.connections",
    "ExpressionError": "pytest_perfguard.errors",
    "LeakError": "pytest_perfguard.errors",
    "MemoryManager": "pytest_perfguard.monitor.memory",
    "MemoryWatch": "pytest_perfguard.leaks.watch",
    "MissingExtra": "pytest_perfguard.errors",
    "NotLent": "pytest_perfguard.tool_errors",
    "ObjectPool": "pytest_perfguard.pooling.objects",
    "PerfguardError": "pytest_perfguard.errors",
    "PerformanceMonitor": "pytest_perfguard.monitor.monitor",
    "PoolClosed": "pytest_perfguard.tool_errors",
    "PoolError": "pytest_perfguard.tool_errors",
    "PoolTimeout": "pytest_perfguard.tool_errors",
    "SeriesError": "pytest_perfguard.errors",
}


def __getattr__(name: str) -> object:
    """Public names are loaded on first use (PEP 562): a run that measures nothing must not pay for them."""
    if name == "__version__":
        from importlib.metadata import version

        return version("perfguard")
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
