"""Wall time that other processes took, derived from the context switches of this process.

A process that was preempted and never gave up the CPU voluntarily only computed: alone, it would have taken its CPU
time. If it also waited for something, the two causes cannot be separated, and its wall time counts.
"""

from __future__ import annotations

from typing import NamedTuple

try:
    from resource import RUSAGE_SELF, getrusage
except ImportError:  # Windows, where no measuring processes are started
    getrusage = None  # type: ignore[assignment]


class ContextSwitches(NamedTuple):
    """Context switches of this process so far."""

    voluntary: int
    involuntary: int


def context_switches() -> ContextSwitches:
    """Return the context switches of all threads of this process (`getrusage`)."""
    if getrusage is None:
        return ContextSwitches(0, 0)
    usage = getrusage(RUSAGE_SELF)
    return ContextSwitches(usage.ru_nvcsw, usage.ru_nivcsw)


def lost_ns(wall_ns: int, cpu_ns: int, before: ContextSwitches, after: ContextSwitches) -> int:
    """Return the nanoseconds of the wall time in which other processes had the CPU; 0 if that cannot be determined."""
    only_preempted = after.involuntary > before.involuntary and after.voluntary == before.voluntary
    return max(0, wall_ns - cpu_ns) if only_preempted else 0
