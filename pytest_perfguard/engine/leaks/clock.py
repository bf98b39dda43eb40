"""The clock of a leak check's budget, which excludes the time that other processes take."""

from __future__ import annotations

from typing import Final

from pytest_perfguard.core.originals import CLOCKS, read_bytes

_SCHEDSTAT_FILE: Final = "/proc/thread-self/schedstat"


def running_ns() -> int:
    """Return the time of a steady clock that stops while this thread waits for a CPU.

    On systems other than Linux, which do not report that wait, return the wall time.
    """
    return CLOCKS.perf_counter_ns() - _runnable_wait_ns()


def _runnable_wait_ns() -> int:
    try:
        return parse_wait_ns(read_bytes(_SCHEDSTAT_FILE))
    except OSError:
        return 0


def parse_wait_ns(text: bytes) -> int:
    """Return the nanoseconds that a thread waited for a CPU: the second number of its `schedstat`."""
    numbers = text.split()
    return int(numbers[1]) if len(numbers) == 3 and numbers[1].isdigit() else 0
