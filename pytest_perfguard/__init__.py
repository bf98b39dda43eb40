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

__all__ = [
    "AlertError",
    "CannotCheck",
    "ExpressionError",
    "LeakError",
    "MemoryManager",
    "MemoryWatch",
    "MissingExtra",
    "PerfguardError",
    "PerformanceMonitor",
    "SeriesError",
    "__version__",
]

_HOMES = {
    "AlertError": "pytest_perfguard.errors",
    "CannotCheck": "pytest_perfguard.errors",
    "ExpressionError": "pytest_perfguard.errors",
    "LeakError": "pytest_perfguard.errors",
    "MemoryManager": "pytest_perfguard.monitor.memory",
    "MemoryWatch": "pytest_perfguard.leaks.watch",
    "MissingExtra": "pytest_perfguard.errors",
    "PerfguardError": "pytest_perfguard.errors",
    "PerformanceMonitor": "pytest_perfguard.monitor.monitor",
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
