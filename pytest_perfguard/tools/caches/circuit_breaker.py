"""Circuit breaker for the remote cache level. Pure: the caller passes the time."""

from __future__ import annotations

from typing import Final

FIRST_PAUSE: Final = 0.5
MAX_PAUSE: Final = 30.0


class CircuitBreaker:
    """Stop requests to a server that does not answer, so that callers need not wait for its timeout.

    After a failure the server gets no requests for half a second. Each further failure doubles the pause, up to 30 s.
    """

    def __init__(self) -> None:
        self._until = 0.0
        self._pause = 0.0

    def allows(self, now: float) -> bool:
        """Return whether a request may be sent now."""
        return now >= self._until

    def failed(self, now: float) -> bool:
        """Record that the server did not answer. Return whether this is the first failure, which should be logged."""
        if now < self._until:
            return False  # a concurrent request that began before the first failure
        first = self._pause == 0.0
        self._pause = min(max(FIRST_PAUSE, 2 * self._pause), MAX_PAUSE)
        self._until = now + self._pause
        return first

    def answered(self) -> bool:
        """Record an answer. Return whether the server is back after a failure."""
        back = self._pause > 0.0
        self._pause = self._until = 0.0
        return back
