"""Counter, gauge, and the base of all instruments. Each is one series, safe to use from several threads.

A lock around every record would cost more than the record itself. `list.append` is atomic, with and without a global interpreter
lock: records are appended, and added up under a lock when there are many of them, or when they are read.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from pytest_perfguard.core.labels import Series
from pytest_perfguard.core.shared_lock import SHARED_LOCK

#: Records that are buffered before they are added up.
FOLD_AT: Final = 500

#: Called after a record of a watched series.
Watcher = Callable[[], object]


class InstrumentBase:
    """Base of all instruments."""

    kind: ClassVar[str]

    def __init__(self, series: Series) -> None:
        self.series = series
        self.watchers: list[Watcher] = []
        self._lock = SHARED_LOCK

    def watch(self, watcher: Watcher) -> None:
        """Call `watcher()` after every record from now on."""
        self.watchers.append(watcher)

    def wake(self) -> None:
        """Call the watchers."""
        for watcher in tuple(self.watchers):
            watcher()

    def begin_anew(self) -> None:
        """Reset in a forked child, where another thread may have held the lock. What was recorded stays."""
        self._lock = SHARED_LOCK


class BufferedInstrument(InstrumentBase):
    """Buffers records: append to `pending`, and call `flush()` when it holds more than `room`."""

    def __init__(self, series: Series) -> None:
        super().__init__(series)
        self.pending: list[float] = []
        self.room = FOLD_AT
        """0 for a watched series, so that a record checks one number only."""
        self._folding = False

    def flush(self) -> None:
        """Add up the buffered records, and call the watchers."""
        self.fold()
        self.wake()

    def watch(self, watcher: Watcher) -> None:
        super().watch(watcher)
        self.room = 0

    def fold(self) -> None:
        """Add up the buffered records. The list stays the same object: other threads append to it meanwhile."""
        with self._lock:
            if self._folding:  # the loop below takes what is recorded in the middle of it
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
        """Discard single records; their sums stay."""
        self.fold()

    def begin_anew(self) -> None:
        super().begin_anew()
        self._folding = False


class Counter(BufferedInstrument):
    """A number that only grows."""

    kind = "counter"

    def __init__(self, series: Series) -> None:
        super().__init__(series)
        self._total: float = 0

    def checked(self, n: float) -> float:
        """Return the number; raise ValueError if a counter cannot grow by it."""
        if not 0 <= n <= sys.float_info.max:  # a larger integer would make every export an error
            raise ValueError(f"{self.series}: a counter only grows; {n!r} is not a finite number of at least 0")
        return n if isinstance(n, int) else float(n)

    @property
    def value(self) -> float:
        with self._lock:
            self.fold()
            return self._total

    def _add_up(self, taken: list[float]) -> None:
        self._total += sum(taken)

    def fields(self) -> dict[str, float]:
        """Return the current values by the names that alerts use."""
        return {"value": self.value}

    def state(self) -> dict[str, Any]:
        """Return plain data for `merge` in another process."""
        return {"value": self.value}

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add the count of another process."""
        self.pending.append(state["value"])
        self.wake()


class Gauge(InstrumentBase):
    """The latest value of a quantity."""

    kind = "gauge"

    def __init__(self, series: Series, clock: Callable[[], float]) -> None:
        super().__init__(series)
        self._clock = clock
        self._latest = (-math.inf, math.nan)
        """Seconds since the epoch, and the value: one object, replaced as a whole."""

    @property
    def value(self) -> float:
        return self._latest[1]

    def set(self, value: float) -> None:
        """Record the value that holds from now on."""
        self._latest = (self._clock(), float(value))
        if self.watchers:
            self.wake()

    def add(self, delta: float) -> None:
        """Change the value by `delta`, from 0 if there is none yet."""
        with self._lock:
            value = self._latest[1]
            self._latest = (self._clock(), delta if math.isnan(value) else value + delta)
        if self.watchers:
            self.wake()

    def fields(self) -> dict[str, float]:
        """Return the current value by the name that alerts use."""
        return {"value": self.value}

    def state(self) -> dict[str, Any]:
        """Return plain data for `merge` in another process."""
        at, value = self._latest
        return {"value": value, "at": at}

    def merge(self, state: Mapping[str, Any]) -> None:
        """Keep the later one of two processes' values."""
        self._latest = max(self._latest, (state["at"], state["value"]))
        self.wake()
