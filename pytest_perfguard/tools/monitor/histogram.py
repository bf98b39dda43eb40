"""Histograms: distributions of a value, their statistics, and how those of two processes are merged."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from pytest_perfguard.core.labels import Series
from pytest_perfguard.core.stats.quantiles import quantile
from pytest_perfguard.tools.monitor.instruments import BufferedInstrument

#: Values that a histogram keeps for its quantiles.
WINDOW: Final = 1000
QUANTILES: Final[Mapping[str, float]] = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True)
class HistogramStats:
    """Statistics of a histogram. `count`, `sum`, `mean`, `min` and `max` are of all values, the quantiles of the last ones."""

    count: int
    sum: float
    mean: float
    min: float
    max: float
    p50: float
    p90: float
    p95: float
    p99: float


class Histogram(BufferedInstrument):
    """The distribution of a value: the sums of all values, and the last `window` values for quantiles.

    A record takes constant time on average and no additional memory. With `buckets` (upper bounds) it also counts the values in each.
    """

    kind = "histogram"

    def __init__(self, series: Series, window: int = WINDOW, buckets: Sequence[float] = ()) -> None:
        super().__init__(series)
        self._size = window
        self._values = array("d")
        """The latest last, at most `window` of them."""
        self._count = 0
        self._sum = 0.0
        self._min = math.inf
        self._max = -math.inf
        self._bounds = tuple(buckets)
        self._in_bucket = [0] * (len(self._bounds) + 1)

    def record(self, value: float) -> None:
        """Record one value.

        Raises
        ------
        ValueError
            for a value that is not a finite number, which would spoil all statistics.
        """
        if not -math.inf < value < math.inf:
            raise ValueError(f"{self.series}: {value!r} is not a finite number")
        self.pending.append(float(value))
        if len(self.pending) > self.room:
            self.flush()

    def _add_up(self, taken: list[float]) -> None:
        self._count += len(taken)
        self._sum += sum(taken)
        self._min = min(self._min, *taken)
        self._max = max(self._max, *taken)
        self._values.extend(taken[-self._size :])
        del self._values[: max(0, len(self._values) - self._size)]
        if self._bounds:
            for value in taken:
                self._in_bucket[bisect_left(self._bounds, value)] += 1

    def forget(self) -> None:
        with self._lock:
            super().forget()
            self._values = array("d")

    @property
    def totals(self) -> tuple[int, float]:
        """(count, sum) of all values."""
        with self._lock:
            self.fold()
            return self._count, self._sum

    def buckets(self) -> list[tuple[float, int]]:
        """Return (upper bound, number of values up to it) of each bucket, the last bound infinite; [] without buckets."""
        if not self._bounds:
            return []
        with self._lock:
            self.fold()
            total, cumulated = 0, []
            for bound, number in zip((*self._bounds, math.inf), self._in_bucket, strict=True):
                total += number
                cumulated.append((bound, total))
            return cumulated

    def last(self, number: int) -> list[float]:
        """Return the last values, the latest last: at most `number`, and at most those that are kept."""
        with self._lock:
            self.fold()
            return list(self._values[max(0, len(self._values) - number) :])

    def stats(self) -> HistogramStats | None:
        """Return the statistics; None before the first value."""
        with self._lock:
            self.fold()
            ordered = sorted(self._values)
            count, total, low, high = self._count, self._sum, self._min, self._max
        if not ordered:  # no value yet, or all kept values are discarded
            return None
        quantiles = {name: quantile(ordered, share) for name, share in QUANTILES.items()}
        return HistogramStats(count, total, total / count, low, high, **quantiles)

    def fields(self) -> dict[str, float]:
        """Return the statistics by the names that alerts use."""
        stats = self.stats()
        return asdict(stats) if stats is not None else {"count": 0}

    def state(self) -> dict[str, Any]:
        """Return plain data for `merge` in another process."""
        with self._lock:
            values = self.last(self._size)
            state = {"count": self._count, "sum": self._sum, "min": self._min, "max": self._max, "values": values}
            return (
                {**state, "bounds": list(self._bounds), "in_bucket": list(self._in_bucket)} if self._bounds else state
            )

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add the records of another process. If not all values fit, a fair sample of both sides is kept."""
        if not state["count"]:
            return
        with self._lock:
            mine, theirs = self.last(self._size), list(state["values"])
            if len(mine) + len(theirs) <= self._size:
                values = mine + theirs
            else:
                parts = [(mine, self._count), (theirs, state["count"])]
                values = fair_sample([part for part in parts if part[0]], self._size)
            self._merge_buckets(state)
            self._values = array("d", values)
            self._count += state["count"]
            self._sum += state["sum"]
            self._min, self._max = min(self._min, state["min"]), max(self._max, state["max"])
        self.wake()

    def _merge_buckets(self, state: Mapping[str, Any]) -> None:
        theirs = tuple(state.get("bounds", ()))
        if not self._count and not self._bounds:
            self._bounds, self._in_bucket = theirs, [0] * (len(theirs) + 1)
        if theirs == self._bounds and theirs:
            self._in_bucket = [mine + other for mine, other in zip(self._in_bucket, state["in_bucket"], strict=True)]
        else:  # without common buckets there are none
            self._bounds, self._in_bucket = (), [0]


def fair_sample(parts: Sequence[tuple[Sequence[float], int]], size: int) -> list[float]:
    """Return `size` values of several parts, from each as many as its weight requires, evenly over its range.

    Systematic sampling of the order statistics: quantiles of the sample are those of the weighted union, to within one step.
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
