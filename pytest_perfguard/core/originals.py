"""The original functions of the standard library that the instruments use, captured when this module is imported.

The plugin imports it at the start of every run. A test may replace clocks, `os`, `gc` or `sys` by fakes. Some libraries
(freezegun, pyfakefs) search all loaded modules for the objects that they replace, but not the namespaces here. Each
namespace has the functions of the module of the same name.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import gc
    import os
    import sys
    import threading
else:
    import gc as _gc
    import os as _os
    import sys as _sys
    import threading as _threading

    _STREAMS = ("stdin", "stdout", "stderr")

    def _captured(module: ModuleType) -> SimpleNamespace:
        """Return the functions and constants of a module, unaffected by later changes of the module."""
        return SimpleNamespace(
            **{
                name: value
                for name, value in vars(module).items()
                if not name.startswith("__") and name not in _STREAMS
            }
        )

    gc, os, sys, threading = map(_captured, (_gc, _os, _sys, _threading))

__all__ = ["CLOCKS", "Clocks", "gc", "os", "read_bytes", "sys", "threading"]

#: More than any file of /proc that is read contains.
_MAX_READ_BYTES: Final = 1 << 20


class Clocks(NamedTuple):
    """The clocks of the instruments. A timed loop binds them to local names first."""

    perf_counter_ns: Callable[[], int]
    process_time_ns: Callable[[], int]
    perf_counter: Callable[[], float]
    monotonic: Callable[[], float]
    sleep: Callable[[float], object]


CLOCKS: Final = Clocks(time.perf_counter_ns, time.process_time_ns, time.perf_counter, time.monotonic, time.sleep)


def read_bytes(path: str) -> bytes:
    """Return the content of a file that the system generates, such as those of /proc.

    Raises
    ------
    OSError
        if it does not exist, or is not readable.
    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))  # Windows lacks the latter
    try:
        parts = []
        while part := os.read(descriptor, _MAX_READ_BYTES):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)
