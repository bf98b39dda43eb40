"""What one timed batch of calls took."""

from __future__ import annotations

from typing import NamedTuple


class Timing(NamedTuple):
    """Of one step: integer nanoseconds."""

    wall_ns: int
    cpu_ns: int
    alone: bool = False
    """Is all CPU time in it that counts, whatever child processes took?"""
    lost_ns: int = 0
    """Part of the wall time in which other processes had the CPU."""

    @property
    def own_ns(self) -> int:
        """Wall time without what other processes took."""
        return self.wall_ns - self.lost_ns
