"""What records: a counter, a gauge, a histogram. Each is one series, safe to use from several threads.

A lock per series costs less than an atomic operation made of anything else in Python, and holds on builds without a
global lock. It may be taken again by the thread that has it, since a finalizer or a signal handler may record in the
middle of a record.
"""

from __future__ import annotations

import math
import threading
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from pytest_perfguard.series import Series
from pytest_perfguard.stats.quantiles import quantile

#: Values that a histogram keeps for its quantiles.
WINDOW: Final = 1000
QUANTILES: Final[Mapping[str, float]] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}

#: Called after a record, where somebody watches the series.
Watcher = Callable[[], object]


@dataclass(frozen=True)
class HistogramStats:
    """What a histogram has seen. `count`, `sum`, `mean`, `min` and `max` are of all values, the quantiles of the last ones."""

    count: int
    sum: float
    mean: float
    min: float
    max: float
    p50: float
    p90: float
    p95: float
    p99: float


class Counter:
    """A number that only grows."""

    kind = "counter"
    __slots__ = ("_lock", "series", "value", "watchers")

    def __init__(self, series: Series) -> None:
        self.series = series
        self.value: float = 0
        self.watchers: list[Watcher] = []
        self._lock = threading.RLock()

    def add(self, n: float = 1) -> None:
        """Count `n` more."""
        if not 0 <= n < math.inf:
            raise ValueError(f"{self.series}: a counter only grows, and cannot be counted up by {n!r}")
        with self._lock:
            self.value += n
        if self.watchers:
            _wake(self.watchers)

    def fields(self) -> dict[str, float]:
        """What can be asked of it."""
        return {"value": self.value}

    def state(self) -> dict[str, Any]:
        """As plain data, for `absorb` in another process."""
        return {"value": self.value}

    def absorb(self, state: Mapping[str, Any]) -> None:
        """Take over what another process counted."""
        self.add(state["value"])


class Gauge:
    """The latest value of something."""

    kind = "gauge"
    __slots__ = ("_clock", "_lock", "at", "series", "value", "watchers")

    def __init__(self, series: Series, clock: Callable[[], float]) -> None:
        self.series = series
        self.value = math.nan
        self.at = -math.inf
        """When it was set, in seconds since the epoch."""
        self.watchers: list[Watcher] = []
        self._clock = clock
        self._lock = threading.RLock()

    def set(self, value: float) -> None:
        """It is `value` now."""
        self._set(float(value), self._clock())
        if self.watchers:
            _wake(self.watchers)

    def _set(self, value: float, at: float) -> None:
        with self._lock:
            if at >= self.at:
                self.value, self.at = value, at

    def fields(self) -> dict[str, float]:
        """What can be asked of it."""
        return {"value": self.value}

    def state(self) -> dict[str, Any]:
        """As plain data, for `absorb` in another process."""
        with self._lock:
            return {"value": self.value, "at": self.at}

    def absorb(self, state: Mapping[str, Any]) -> None:
        """Of two processes' values the later one stays."""
        self._set(state["value"], state["at"])


class Histogram:
    """The distribution of a value: counted for ever, with the last `window` values kept for quantiles.

    A record takes the same time and no more memory however many came before.
    """

    kind = "histogram"
    __slots__ = ("_count", "_lock", "_max", "_min", "_oldest", "_size", "_sum", "_values", "series", "watchers")

    def __init__(self, series: Series, window: int = WINDOW) -> None:
        self.series = series
        self.watchers: list[Watcher] = []
        self._size = window
        self._values = array("d")
        """A ring from the moment it is full."""
        self._oldest = 0
        self._count = 0
        self._sum = 0.0
        self._min = math.inf
        self._max = -math.inf
        self._lock = threading.RLock()

    def record(self, value: float) -> None:
        """One more value.

        Raises
        ------
        ValueError
            for one that is no finite number, which would spoil all statistics.
        """
        if not -math.inf < value < math.inf:
            raise ValueError(f"{self.series}: {value!r} is no finite number")
        with self._lock:
            self._count += 1
            self._sum += value
            if len(self._values) < self._size:
                self._values.append(value)
            else:
                oldest = self._oldest
                self._values[oldest] = value
                self._oldest = oldest + 1 if oldest + 1 < self._size else 0
            if value < self._min:
                self._min = value
            if value > self._max:
                self._max = value
        if self.watchers:
            _wake(self.watchers)

    @property
    def totals(self) -> tuple[int, float]:
        """(count, sum) of all values."""
        with self._lock:
            return self._count, self._sum

    def last(self, number: int) -> list[float]:
        """The last values, the latest last: at most `number`, and at most what is kept."""
        with self._lock:
            kept = [*self._values[self._oldest :], *self._values[: self._oldest]]
        return kept[-number:] if number else []

    def stats(self) -> HistogramStats | None:
        """None before the first value."""
        with self._lock:
            ordered = sorted(self._values)
            count, total, low, high = self._count, self._sum, self._min, self._max
        if not count:
            return None
        quantiles = {name: quantile(ordered, share) for name, share in QUANTILES.items()}
        return HistogramStats(count, total, total / count, low, high, **quantiles)

    def fields(self) -> dict[str, float]:
        """What can be asked of it."""
        stats = self.stats()
        return asdict(stats) if stats is not None else {"count": 0}

    def state(self) -> dict[str, Any]:
        """As plain data, for `absorb` in another process."""
        with self._lock:
            values = self.last(self._size)
            return {"count": self._count, "sum": self._sum, "min": self._min, "max": self._max, "values": values}

    def absorb(self, state: Mapping[str, Any]) -> None:
        """Add what another process recorded. Where not all values find room, a fair sample of both sides stays."""
        if not state["count"]:
            return
        with self._lock:
            mine, theirs = self.last(self._size), list(state["values"])
            if len(mine) + len(theirs) <= self._size:
                values = mine + theirs
            else:
                values = fair_sample([(mine, self._count), (theirs, state["count"])], self._size)
            self._values, self._oldest = array("d", values), 0
            self._count += state["count"]
            self._sum += state["sum"]
            self._min, self._max = min(self._min, state["min"]), max(self._max, state["max"])


def fair_sample(parts: Sequence[tuple[Sequence[float], int]], size: int) -> list[float]:
    """`size` values of several ordered-by-time parts, from each so many as its weight calls for, evenly over its range.

    Systematic sampling of the order statistics: quantiles of the sample are those of the weighted union, to within one
    step.
    """
    total = sum(weight for _values, weight in parts)
    sample: list[float] = []
    wanted = 0.0
    for values, weight in parts:
        wanted += size * weight / total
        share = round(wanted) - len(sample)
        ordered = sorted(values)
        sample += [quantile(ordered, (index + 0.5) / share) for index in range(share)]
    return sample


def _wake(watchers: Sequence[Watcher]) -> None:
    for watcher in tuple(watchers):
        watcher()
