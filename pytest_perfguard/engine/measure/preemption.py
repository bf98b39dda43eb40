"""How much of a wall time did other processes take? Told by the context switches around it.

A process that was pre-empted and never gave up the CPU by itself only computed: its CPU time is what it would have taken
alone. Where it also waited for something, the two cannot be told apart, and the wall time stands.
"""

from __future__ import annotations

from typing import NamedTuple

try:
    from resource import RUSAGE_SELF, getrusage
except ImportError:  # Windows, where nothing is measured in processes of its own
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
    """Return the nanoseconds of a wall time in which other processes had the CPU; 0 where that cannot be known."""
    only_preempted = after.involuntary > before.involuntary and after.voluntary == before.voluntary
    return max(0, wall_ns - cpu_ns) if only_preempted else 0
