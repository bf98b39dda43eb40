"""perfguard: performance regression tests for pytest that fail when code got slower or hungrier, and only then."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_perfguard.errors import CannotCheck, LeakError, PerfguardError
    from pytest_perfguard.leaks.watch import MemoryWatch
    from pytest_perfguard.monitor.memory import MemoryManager
    from pytest_perfguard.monitor.monitor import PerformanceMonitor

__all__ = [
    "CannotCheck",
    "LeakError",
    "MemoryManager",
    "MemoryWatch",
    "PerfguardError",
    "PerformanceMonitor",
    "__version__",
]

_HOMES = {
    "CannotCheck": "pytest_perfguard.errors",
    "LeakError": "pytest_perfguard.errors",
    "MemoryManager": "pytest_perfguard.monitor.memory",
    "MemoryWatch": "pytest_perfguard.leaks.watch",
    "PerfguardError": "pytest_perfguard.errors",
    "PerformanceMonitor": "pytest_perfguard.monitor.monitor",
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
