"""Servers of a connection pool: which one is connected to next, and which is skipped after failures."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Final

#: Seconds that a target is skipped after its first failure. Each further failure doubles them, up to the maximum.
MIN_PAUSE: Final = 0.1
MAX_PAUSE: Final = 30.0
#: Maximum seconds between attempts while borrowers wait and no target is healthy.
MAX_PAUSE_WAITING: Final = 0.75


class Target:
    """One server."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.connections = 0
        """Open connections and connections in the making."""
        self.connecting = 0
        self.in_use = 0
        self.failures = 0
        """Consecutive failures."""
        self.failing_since = 0.0
        self.failed_at = 0.0
        self.retry_at = 0.0
        self.reported = False
        """Whether the outage was reported to `reconnect_failed`."""
        self.problem = ""
        """Text of the last failure."""

    @property
    def healthy(self) -> bool:
        """Return whether the last attempt to connect succeeded, or none was made."""
        return not self.failures

    def next_attempt(self, *, urgent: bool) -> float:
        """Return the time of the next attempt to connect."""
        return min(self.retry_at, self.failed_at + MAX_PAUSE_WAITING) if urgent else self.retry_at


class Targets:
    """All servers of a pool. Times are on the pool's clock and are passed in."""

    def __init__(self, names: Iterable[str], random: Callable[[], float]) -> None:
        self.by_name = {name: Target(name) for name in names}
        self._random = random

    def pick(
        self, now: float, *, spare: bool, urgent: bool = False, max_connecting: int = sys.maxsize
    ) -> Target | None:
        """Return the target for the next connection: a failed one whose pause is over, else the healthy one with the fewest.

        A failed target is tried by one connection at a time. Without room to `spare`, an attempt that may fail does not
        take the place of one to a healthy target. `urgent`: borrowers wait.
        """
        targets = self.by_name.values()
        healthy = [target for target in targets if target.healthy and target.connecting < max_connecting]
        urgent = urgent and self.all_failed
        ready = [
            target
            for target in targets
            if not target.healthy and not target.connecting and target.next_attempt(urgent=urgent) <= now
        ]
        chosen = ready if ready and (spare or self.all_failed) else healthy
        return min(chosen, key=lambda target: target.connections, default=None)

    @property
    def all_failed(self) -> bool:
        """Return whether no target is healthy."""
        return not any(target.healthy for target in self.by_name.values())

    @property
    def promising(self) -> int:
        """Return the number of connections in the making to healthy targets. An attempt at a failed one may not succeed."""
        return sum(target.connecting for target in self.by_name.values() if target.healthy)

    def succeeded(self, name: str) -> bool:
        """Record a new connection; return whether the target had failed before."""
        target = self.by_name[name]
        recovered = not target.healthy
        target.failures, target.retry_at, target.problem, target.reported = 0, 0.0, "", False
        return recovered

    def failed(self, name: str, now: float, problem: str) -> bool:
        """Skip the target for a while, at random up to 25 % shorter or longer; return whether it was healthy before."""
        target = self.by_name[name]
        pause = min(MAX_PAUSE, MIN_PAUSE * 2**target.failures)
        first = target.healthy
        if first:
            target.failing_since = now
        target.failures += 1
        target.problem = problem
        target.failed_at = now
        target.retry_at = now + pause * (0.75 + 0.5 * self._random())
        return first

    def outage_to_report(self, name: str, now: float, after: float) -> bool:
        """Return, once for each outage, whether the target has failed for at least `after` seconds."""
        target = self.by_name[name]
        due = not target.healthy and not target.reported and now - target.failing_since >= after
        target.reported = target.reported or due
        return due

    def next_retry(self, now: float, *, urgent: bool = False) -> float | None:
        """Return the time at which the first skipped target is tried again; None: no target is skipped."""
        urgent = urgent and self.all_failed
        times = [target.next_attempt(urgent=urgent) for target in self.by_name.values() if not target.healthy]
        return min((time for time in times if time > now), default=None)

    def problems(self) -> str:
        """Return the failures of the targets that are not healthy."""
        known = [target for target in self.by_name.values() if target.problem]
        many = len(self.by_name) > 1
        return "; ".join(f"{target.name}: {target.problem}" if many else target.problem for target in known)
