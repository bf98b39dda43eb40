"""Timing of one batch of calls."""

from __future__ import annotations

from typing import NamedTuple


class Timing(NamedTuple):
    """Times of one batch, in integer nanoseconds."""

    wall_ns: int
    cpu_ns: int
    cpu_includes_children: bool = False
    """True if `cpu_ns` already includes the CPU time of child processes."""
    lost_ns: int = 0
    """Part of the wall time during which other processes had the CPU."""

    @property
    def own_ns(self) -> int:
        """Wall time without the part that other processes took."""
        return self.wall_ns - self.lost_ns
