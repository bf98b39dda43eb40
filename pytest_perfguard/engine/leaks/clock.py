"""The clock of a leak check's budget: what other processes take of the machine does not count against it."""

from __future__ import annotations

from typing import Final

from pytest_perfguard.core.originals import CLOCKS, read_bytes

_SCHEDULING: Final = "/proc/thread-self/schedstat"


def undisturbed_ns() -> int:
    """Return the time of a steady clock that stands still while this thread waits for a CPU.

    The wall time, where the system does not tell for how long that was (other systems than Linux).
    """
    return CLOCKS.perf_counter_ns() - _waited_ns()


def _waited_ns() -> int:
    try:
        return waited_in(read_bytes(_SCHEDULING))
    except OSError:
        return 0


def waited_in(text: bytes) -> int:
    """Return the nanoseconds that a thread was ready to run and did not: the second number of its `schedstat`."""
    numbers = text.split()
    return int(numbers[1]) if len(numbers) == 3 and numbers[1].isdigit() else 0
