"""Robust estimates for times with interference. Plain Python suffices for a few dozen numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

CONFIDENCE: Final = 0.99


def bootstrap_minimum(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the minimum, in closed form.

    A resample of n values with replacement misses the k smallest with probability ((n-k)/n)^n, so the interval runs
    from the smallest value to the first order statistic whose probability of being exceeded is below 1 - confidence.
    It is one-sided: no resample has a smaller minimum than the sample (Efron 1979). Bickel, Gotze & van Zwet 1997 describe
    its limits for extremes: it shows the spread of the smallest values measured.
    """
    ordered = sorted(values)
    return ordered[0], ordered[_most_missed(len(ordered), confidence)]


@lru_cache(maxsize=256)
def _most_missed(count: int, confidence: float) -> int:
    """Return how many of the smallest of `count` values a resample misses at most, except with chance 1 - confidence."""
    for missed in range(1, count):
        if ((count - missed) / count) ** count <= 1 - confidence:
            return missed
    return count - 1


def ratio_interval(baseline: Sequence[float], candidate: Sequence[float]) -> tuple[float, float] | None:
    """Return the interval of min(candidate) / min(baseline) from the minima of processes; None if the baseline is zero."""
    low_base, high_base = bootstrap_minimum(baseline)
    low, high = bootstrap_minimum(candidate)
    if low_base <= 0:
        return None
    return low / high_base, high / low_base


def count_near_minimum(values: Sequence[float], tolerance: float) -> int:
    """Return how many values lie within the relative `tolerance` of the smallest."""
    bound = min(values) * (1 + tolerance)
    return sum(value <= bound for value in values) if math.isfinite(bound) else 0
