"""Histograms: distributions of a value, their statistics, and how those of two processes become one."""

from __future__ import annotations

import math
from array import array
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


class Histogram(BufferedInstrument):
    """The distribution of a value: counted for ever, with the last `window` values kept for quantiles.

    A record takes the same time on average, and no more memory, however many came before.
    """

    kind = "histogram"

    def __init__(self, series: Series, window: int = WINDOW) -> None:
        super().__init__(series)
        self._size = window
        self._values = array("d")
        """The latest last, at most `window` of them."""
        self._count = 0
        self._sum = 0.0
        self._min = math.inf
        self._max = -math.inf

    def record(self, value: float) -> None:
        """One more value.

        Raises
        ------
        ValueError
            for one that is no finite number, which would spoil all statistics.
        """
        if not -math.inf < value < math.inf:
            raise ValueError(f"{self.series}: {value!r} is no finite number")
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

    def last(self, number: int) -> list[float]:
        """The last values, the latest last: at most `number`, and at most what is kept."""
        with self._lock:
            self.fold()
            return list(self._values[max(0, len(self._values) - number) :])

    def stats(self) -> HistogramStats | None:
        """None before the first value."""
        with self._lock:
            self.fold()
            ordered = sorted(self._values)
            count, total, low, high = self._count, self._sum, self._min, self._max
        if not ordered:  # nothing yet, or all that was kept is forgotten
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
                parts = [(mine, self._count), (theirs, state["count"])]
                values = fair_sample([part for part in parts if part[0]], self._size)
            self._values = array("d", values)
            self._count += state["count"]
            self._sum += state["sum"]
            self._min, self._max = min(self._min, state["min"]), max(self._max, state["max"])
        self.wake()


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
