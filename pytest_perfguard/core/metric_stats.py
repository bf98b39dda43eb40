"""Statistics of one metric of one test: the form in which every part of perfguard holds them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

#: Significant digits of each number in the baseline file and in reports.
SIGNIFICANT_DIGITS: Final = 6


@dataclass(frozen=True)
class MetricStats:
    """Minimum and median of each process, per iteration in `unit`, with the single rounds where they are still known."""

    unit: str
    minima: tuple[float, ...]
    """One per process. The verdict on times rests on the smallest."""
    medians: tuple[float, ...]
    """One per process. The verdict on memory rests on these."""
    rounds: int = 0
    """Rounds of all processes together; 0 where the number is not known."""
    processes: tuple[tuple[float, ...], ...] = ()
    """Values of the rounds of each process; empty where only minima and medians were kept, as in the baseline file."""
    quantiles: tuple[float, ...] = ()
    """Quantiles of all rounds, as a report shows them; empty everywhere else."""

    @classmethod
    def from_rounds(cls, unit: str, processes: Sequence[Sequence[float]]) -> MetricStats:
        """Return the statistics of these rounds, one sequence per process."""
        return cls(
            unit=unit,
            minima=tuple(min(rounds) for rounds in processes),
            medians=tuple(statistics.median(rounds) for rounds in processes),
            rounds=sum(len(rounds) for rounds in processes),
            processes=tuple(tuple(rounds) for rounds in processes),
        )

    @cached_property
    def minimum(self) -> float:
        """The smallest value of all processes."""
        return min(self.minima)

    @cached_property
    def estimate(self) -> float:
        """The one number that represents the metric: the minimum of times, the median of the medians of all else.

        Interference can only lengthen a time. A peak of memory can be low by luck: a call may free memory that earlier
        calls left behind (sqlite3 drops 200 dead cursors at a time).
        """
        return self.minimum if self.unit == "s" else statistics.median(self.medians)

    def joined(self, other: MetricStats) -> MetricStats:
        """Return the statistics of the processes of both."""
        return MetricStats(
            unit=self.unit,
            minima=self.minima + other.minima,
            medians=self.medians + other.medians,
            rounds=self.rounds + other.rounds,
            processes=self.processes + other.processes,
        )

    def as_stored(self) -> MetricStats:
        """Return the statistics as the baseline file holds them: rounded minima and medians, no single rounds."""
        return MetricStats(self.unit, tuple(map(rounded, self.minima)), tuple(map(rounded, self.medians)), self.rounds)


def rounded(value: float) -> float:
    """Return the number with as many digits as the baseline file holds."""
    return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
