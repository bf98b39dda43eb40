"""The servers that a connection pool may connect to: which one is next, and which is left out for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

#: Seconds that a target is left alone after its first failure, doubled with each further one, up to the most.
FIRST_PAUSE: Final = 0.1
MOST_PAUSE: Final = 30.0


class Target:
    """One server."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.connections = 0
        """There, and being made."""
        self.connecting = 0
        self.in_use = 0
        self.failures = 0
        """One after the other, up to now."""
        self.retry_at = 0.0
        self.problem = ""
        """What the last failure said."""

    @property
    def healthy(self) -> bool:
        return not self.failures


class Targets:
    """All of them. Times are on the pool's clock, which is handed in."""

    def __init__(self, names: Iterable[str], random: Callable[[], float]) -> None:
        self.by_name = {name: Target(name) for name in names}
        self._random = random

    def pick(self, now: float, *, spare: bool) -> Target | None:
        """One that has failed and whose pause is over, by one connection at a time; else the healthy one with the fewest.

        Without room to `spare`, an attempt that may fail does not take the place of one that will not.
        """
        healthy = [target for target in self.by_name.values() if target.healthy]
        failed = [target for target in self.by_name.values() if not target.healthy]
        ready = [target for target in failed if target.retry_at <= now and not target.connecting]
        chosen = ready if ready and (spare or not healthy) else healthy
        return min(chosen, key=lambda target: target.connections, default=None)

    @property
    def promising(self) -> int:
        """Connections on their way from healthy targets: of an attempt at another one nobody knows."""
        return sum(target.connecting for target in self.by_name.values() if target.healthy)

    def succeeded(self, name: str) -> None:
        target = self.by_name[name]
        target.failures, target.retry_at, target.problem = 0, 0.0, ""

    def failed(self, name: str, now: float, problem: str) -> None:
        """Leave it alone for a while: longer with each failure, and by chance not all pools at the same time."""
        target = self.by_name[name]
        pause = min(MOST_PAUSE, FIRST_PAUSE * 2**target.failures)
        target.failures += 1
        target.problem = problem
        target.retry_at = now + pause * (0.75 + 0.5 * self._random())

    def next_retry(self, now: float) -> float | None:
        """When the first of those that are left alone may be tried again; None: none is."""
        return min((target.retry_at for target in self.by_name.values() if target.retry_at > now), default=None)

    def problems(self) -> str:
        """What is wrong with those that are not healthy."""
        known = [target for target in self.by_name.values() if target.problem]
        many = len(self.by_name) > 1
        return "; ".join(f"{target.name}: {target.problem}" if many else target.problem for target in known)
