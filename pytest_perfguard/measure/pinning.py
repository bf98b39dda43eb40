"""On which CPU a thread runs."""

from __future__ import annotations

import os


class Pinning:
    """Keeps the calling thread on one CPU for a while.

    Other threads keep their freedom: a pool that a library started at its import is not squeezed onto one CPU, and only
    what the pinned thread starts inherits its place.
    """

    def __init__(self) -> None:
        self._allowed = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        self._pinned = self.possible = bool(self._allowed) and self._pin({self._allowed[0]})
        self.release()

    def pin(self, cpu: int) -> None:
        """Stay on the `cpu`-th of the allowed CPUs, modulo their number; where that is impossible, nothing happens."""
        if self.possible:
            self._pinned = self._pin({self._allowed[cpu % len(self._allowed)]})

    def release(self) -> None:
        """Be as free as before."""
        if self._pinned:
            self._pinned = not self._pin(set(self._allowed))

    def _pin(self, cpus: set[int]) -> bool:
        try:
            os.sched_setaffinity(0, cpus)
        except OSError:  # a container may forbid it
            return False
        return True


def can_pin() -> bool:
    """Can processes be pinned here at all? Linux only."""
    return hasattr(os, "sched_setaffinity")
