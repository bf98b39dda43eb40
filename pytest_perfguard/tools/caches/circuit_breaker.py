"""When a server that does not answer is asked again. Pure: the clock comes from outside."""

from __future__ import annotations

from typing import Final

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0


class CircuitBreaker:
    """Closed while the server answers. After a failure it is left alone for half a second, doubled with each further failure up to 30 s,
    so that each call need not wait for its time limit."""

    def __init__(self) -> None:
        self._until = 0.0
        self._pause = 0.0

    def asks(self, now: float) -> bool:
        """Is it worth asking the server now?"""
        return now >= self._until

    def failed(self, now: float) -> bool:
        """It did not answer; is this the first time, so that it should be told?"""
        if now < self._until:
            return False  # one of many who asked before it was known
        first = self._pause == 0.0
        self._pause = min(max(FIRST_PAUSE, 2 * self._pause), LONGEST_PAUSE)
        self._until = now + self._pause
        return first

    def answered(self) -> bool:
        """It did; is it back after a failure?"""
        back = self._pause > 0.0
        self._pause = self._until = 0.0
        return back
