"""Statistics of the rounds of a benchmark, with pytest-benchmark's names and definitions.

The quartiles of an even number of rounds are the medians of the halves; those of an odd number are interpolated (method 3 of
Wikipedia's page on quartiles). Outliers are values beyond one standard deviation from the mean, or beyond 1.5 interquartile
ranges from the quartiles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from statistics import median
from typing import Final

from pytest_perfguard.core.text import plural

#: In the order of pytest-benchmark's files.
FIELDS: Final = (
    "min", "max", "mean", "stddev", "rounds", "median", "iqr", "q1", "q3", "iqr_outliers", "stddev_outliers",
    "outliers", "ld15iqr", "hd15iqr", "ops", "total",
)  # fmt: skip
FENCE_FACTOR: Final = 1.5


class Stats:
    """Statistics of `data`, the seconds per iteration of each round. All but `rounds` and `total` need at least one round."""

    fields = FIELDS

    def __init__(self, data: Sequence[float] = ()) -> None:
        self.data = list(data)

    def __bool__(self) -> bool:
        return bool(self.data)

    def as_dict(self) -> dict[str, float | str]:
        """Return all fields by name."""
        return {field: getattr(self, field) for field in FIELDS}

    @cached_property
    def sorted_data(self) -> list[float]:
        return sorted(self.data)

    @property
    def rounds(self) -> int:
        return len(self.data)

    @cached_property
    def total(self) -> float:
        return math.fsum(self.data)

    @property
    def min(self) -> float:
        return self.sorted_data[0]

    @property
    def max(self) -> float:
        return self.sorted_data[-1]

    @property
    def mean(self) -> float:
        return self.total / self.rounds

    @cached_property
    def stddev(self) -> float:
        """Sample standard deviation; 0 for a single round."""
        if self.rounds < 2:
            return 0.0
        mean = self.mean
        return math.sqrt(math.fsum((value - mean) ** 2 for value in self.data) / (self.rounds - 1))

    @cached_property
    def median(self) -> float:
        return median(self.sorted_data)

    @property
    def q1(self) -> float:
        return self._quartiles[0]

    @property
    def q3(self) -> float:
        return self._quartiles[1]

    @property
    def iqr(self) -> float:
        return self.q3 - self.q1

    @cached_property
    def _quartiles(self) -> tuple[float, float]:
        data, half = self.sorted_data, self.rounds // 2
        if self.rounds == 1:
            return data[0], data[0]
        if self.rounds % 2 == 0:
            return median(data[:half]), median(data[half:])
        # The same weights from both ends.
        quarter, rest = divmod(self.rounds, 4)
        inner = quarter if rest == 1 else quarter + 1
        outer_weight = 0.25 if rest == 1 else 0.75
        low = outer_weight * data[inner - 1] + (1 - outer_weight) * data[inner]
        high = outer_weight * data[-inner] + (1 - outer_weight) * data[-inner - 1]
        return low, high

    @property
    def _fences(self) -> tuple[float, float]:
        return self.q1 - FENCE_FACTOR * self.iqr, self.q3 + FENCE_FACTOR * self.iqr

    @cached_property
    def ld15iqr(self) -> float:
        """Smallest value within 1.5 interquartile ranges from the quartiles."""
        low, _high = self._fences
        return next(value for value in self.sorted_data if value >= low)

    @cached_property
    def hd15iqr(self) -> float:
        """Largest value within 1.5 interquartile ranges from the quartiles."""
        _low, high = self._fences
        return next(value for value in reversed(self.sorted_data) if value <= high)

    @cached_property
    def iqr_outliers(self) -> int:
        return self._beyond(*self._fences)

    @cached_property
    def stddev_outliers(self) -> int:
        return self._beyond(self.mean - self.stddev, self.mean + self.stddev)

    def _beyond(self, low: float, high: float) -> int:
        return sum(1 for value in self.data if value < low or value > high)

    @property
    def outliers(self) -> str:
        """`stddev_outliers;iqr_outliers`."""
        return f"{self.stddev_outliers};{self.iqr_outliers}"

    @property
    def ops(self) -> float:
        """Operations per second; 0 if the clock measured no time."""
        return self.rounds / self.total if self.total else 0.0

    def __repr__(self) -> str:
        return f"<Stats of {plural(self.rounds, 'round')}>"
