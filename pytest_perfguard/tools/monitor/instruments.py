"""What records: a counter, a gauge, a histogram. Each is one series, safe to use from several threads.

A lock around every record would cost more than the rest of it. `list.append` is atomic, with a global interpreter lock
and without one: records are appended, and added up under a lock once there are many of them, or when they are read.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from pytest_perfguard.core.labels import Series

#: Records that may wait to be added up.
FOLD_AT: Final = 500

#: Called after a record, where somebody watches the series.
Watcher = Callable[[], object]


class Recorded:
    """What all kinds have in common."""

    kind: ClassVar[str]

    def __init__(self, series: Series) -> None:
        self.series = series
        self.watchers: list[Watcher] = []

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher()` after every record from now on."""
        self.watchers.append(watcher)

    def wake(self) -> None:
        """Tell those who watch that there was a record."""
        for watcher in tuple(self.watchers):
            watcher()


class BufferedInstrument(Recorded):
    """Records that wait to be added up: append to `pending`, and call `flush()` where there are more than `room`."""

    def __init__(self, series: Series) -> None:
        super().__init__(series)
        self.pending: list[float] = []
        self.room = FOLD_AT
        """0 where the series is watched, so that a record looks at one number only."""
        # It may be taken again by its thread: a finalizer or a signal handler may record in the middle of a record.
        self._lock = threading.RLock()
        self._folding = False

    def flush(self) -> None:
        """Add up what is pending, and tell those who watch."""
        self.fold()
        self.wake()

    def watch(self, watcher: Watcher) -> None:
        super().watch(watcher)
        self.room = 0

    def fold(self) -> None:
        """Add up what is pending. The list stays the same one: others append to it meanwhile."""
        with self._lock:
            if self._folding:  # what records in the middle of it is seen by the loop
                return
            self._folding = True
            try:
                while number := len(self.pending):
                    taken = self.pending[:number]
                    del self.pending[:number]
                    self._add_up(taken)
            finally:
                self._folding = False

    def _add_up(self, taken: list[float]) -> None:
        raise NotImplementedError

    def forget(self) -> None:
        """Keep the sums, and let go of single records."""
        self.fold()


class Counter(BufferedInstrument):
    """A number that only grows."""

    kind = "counter"

    def __init__(self, series: Series) -> None:
        super().__init__(series)
        self._total: float = 0

    def checked(self, n: float) -> float:
        """The number, if it can be counted up by."""
        if not 0 <= n < math.inf:
            raise ValueError(f"{self.series}: a counter only grows, and cannot be counted up by {n!r}")
        return n if isinstance(n, int) else float(n)

    @property
    def value(self) -> float:
        with self._lock:
            self.fold()
            return self._total

    def _add_up(self, taken: list[float]) -> None:
        self._total += sum(taken)

    def fields(self) -> dict[str, float]:
        """What can be asked of it."""
        return {"value": self.value}

    def state(self) -> dict[str, Any]:
        """As plain data, for `absorb` in another process."""
        return {"value": self.value}

    def absorb(self, state: Mapping[str, Any]) -> None:
        """Take over what another process counted."""
        self.pending.append(state["value"])
        self.wake()


class Gauge(Recorded):
    """The latest value of something."""

    kind = "gauge"

    def __init__(self, series: Series, clock: Callable[[], float]) -> None:
        super().__init__(series)
        self._clock = clock
        self._latest = (-math.inf, math.nan)
        """When, in seconds since the epoch, and what: one object, which is replaced whole."""

    @property
    def value(self) -> float:
        return self._latest[1]

    def set(self, value: float) -> None:
        """It is `value` now."""
        self._latest = (self._clock(), float(value))
        if self.watchers:
            self.wake()

    def fields(self) -> dict[str, float]:
        """What can be asked of it."""
        return {"value": self.value}

    def state(self) -> dict[str, Any]:
        """As plain data, for `absorb` in another process."""
        at, value = self._latest
        return {"value": value, "at": at}

    def absorb(self, state: Mapping[str, Any]) -> None:
        """Of two processes' values the later one stays."""
        self._latest = max(self._latest, (state["at"], state["value"]))
        self.wake()
