"""What the instruments use of the standard library, as it was when this was imported: the plugin does that in every run.

A test may replace clocks, `os`, `gc` or `sys` by stand-ins. Some libraries (freezegun, pyfakefs) look through all loaded
modules for what they replace; they do not look into the namespaces here. Each has the functions of the module of its name.
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

    def _captured(module: ModuleType) -> SimpleNamespace:
        """The functions and constants of a module: a change of the module does not reach them."""
        return SimpleNamespace(
            **{
                name: value
                for name, value in vars(module).items()
                if not name.startswith("__") and not _is_stream(value)
            }
        )

    def _is_stream(value: object) -> bool:
        return hasattr(value, "fileno")

    gc, os, sys, threading = map(_captured, (_gc, _os, _sys, _threading))

__all__ = ["CLOCKS", "Clocks", "gc", "os", "read_bytes", "sys", "threading"]

#: More than any file of /proc that is read has.
_MAX_READ_BYTES: Final = 1 << 20


class Clocks(NamedTuple):
    """The clocks of the instruments. A loop that is timed binds them to local names first."""

    perf_counter_ns: Callable[[], int]
    process_time_ns: Callable[[], int]
    perf_counter: Callable[[], float]
    monotonic: Callable[[], float]
    sleep: Callable[[float], object]


CLOCKS: Final = Clocks(time.perf_counter_ns, time.process_time_ns, time.perf_counter, time.monotonic, time.sleep)


def read_bytes(path: str) -> bytes:
    """The content of a file that the system makes up, such as those of /proc.

    Raises
    ------
    OSError
        where it is not there, or must not be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while part := os.read(descriptor, _MAX_READ_BYTES):
            parts.append(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)
