"""Parts of the sequential test on the mean of paired differences."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Final

#: Share cut off at each end: as robust here as a median, and more precise (docs/verdict.md).
TRIMMED: Final = 0.2


def trimmed_mean(values: Sequence[float], share: float = TRIMMED) -> float:
    """Return the mean without the smallest and the largest values, a `share` of each (rounded down)."""
    cut = int(share * len(values))
    kept = sorted(values)[cut : len(values) - cut]
    return math.fsum(kept) / len(kept)


def trimmed_error(values: Sequence[float], share: float = TRIMMED) -> float:
    """Return the variance of the trimmed mean: that of the winsorized values / ((1 - 2 share)^2 n) (Yuen 1974).

    Zero for fewer than two values, which have no spread.
    """
    count = len(values)
    if count < 2:
        return 0.0
    cut = int(share * count)
    ordered = sorted(values)
    low, high = ordered[cut], ordered[count - 1 - cut]
    winsorized = [min(max(value, low), high) for value in values]
    return statistics.variance(winsorized) / ((1 - 2 * cut / count) ** 2 * count)


def slice_log_ratios(baseline: Sequence[float], candidate: Sequence[float]) -> list[float]:
    """Return log(candidate / baseline) of each round of one pair of processes, taken in turn.

    Empty if fewer than half of the rounds are usable: a clock too coarse for a round reports zero.
    """
    ratios = [math.log(now / base) for base, now in zip(baseline, candidate, strict=True) if base > 0 and now > 0]
    return ratios if 2 * len(ratios) >= len(baseline) else []


def log_ratio(baseline: Sequence[float], candidate: Sequence[float]) -> float | None:
    """Return the trimmed mean of the rounds' logarithms; None if they are not usable."""
    ratios = slice_log_ratios(baseline, candidate)
    return trimmed_mean(ratios) if ratios else None


def binomial_tail(hits: int, count: int, chance: float) -> float:
    """Return the probability of `hits` or more successes in `count` trials with this chance of success."""
    return math.fsum(math.comb(count, k) * chance**k * (1 - chance) ** (count - k) for k in range(hits, count + 1))


def t_quantile(probability: float, freedom: float) -> float:
    """Return a quantile of Student's t distribution with `freedom` degrees of freedom."""
    from scipy.special import stdtrit  # a tenth of the import time of scipy.stats

    return float(stdtrit(freedom, probability))


def mean_margin(values: Sequence[float], error: float) -> float:
    """Return the largest one-sided distance of the true mean from that of `values`, with a chance of error of `error`.

    The t interval (Student 1908); infinite for fewer than two values.
    """
    if len(values) < 2:
        return math.inf
    return t_quantile(1 - error, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
