"""Wait for threads that calls have started and that end by themselves."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Final

from pytest_perfguard.core.originals import CLOCKS
from pytest_perfguard.core.originals import threading as the_threading
from pytest_perfguard.core.processes import thread_ids

#: Seconds for which a reading waits at most, and without a thread that ends meanwhile.
MAX_WAIT: Final = 1.0
MAX_PAUSE: Final = 0.25
POLL: Final = 0.002


def running_threads() -> frozenset[int]:
    """Return the identifiers of the threads of this process; of those that Python knows where the system names no others."""
    with contextlib.suppress(Exception):  # macOS requires privileges that a test run does not have
        return frozenset(thread_ids())
    return frozenset(thread.native_id or 0 for thread in the_threading.enumerate())


class ThreadEnds:
    """Lets a reading wait until threads have ended that were started since `begin`.

    A call may start a thread that outlives it by some milliseconds. Its stack would count as growth wherever a reading finds
    it. Threads that stay, such as those of a pool, cost one wait: from then on there is none.
    """

    def __init__(
        self,
        running: Callable[[], frozenset[int]] = running_threads,
        clock: Callable[[], float] = CLOCKS.monotonic,
        sleep: Callable[[float], object] = CLOCKS.sleep,
    ) -> None:
        self._running = running
        self._clock = clock
        self._sleep = sleep
        self._known: frozenset[int] = frozenset()
        self._waits = False

    def begin(self) -> None:
        """Note the threads that are running, which are not waited for."""
        self._known, self._waits = self._running(), True

    def wait(self) -> None:
        """Wait for the others to end, as long as some do."""
        if not self._waits:
            return
        left = self._running() - self._known
        begun = ended = self._clock()
        while left:
            now = self._clock()
            if now - ended > MAX_PAUSE or now - begun > MAX_WAIT:
                self._waits = False
                return
            self._sleep(POLL)
            still = left & self._running()
            if still != left:
                left, ended = still, self._clock()
