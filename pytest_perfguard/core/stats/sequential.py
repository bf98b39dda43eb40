"""A sequential test on the mean of paired differences, whose looks are paid for."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Final

#: Share that is cut off at each end: as robust here as a median, and more precise (docs/verdict.md).
TRIMMED: Final = 0.2


def trimmed_mean(values: Sequence[float], share: float = TRIMMED) -> float:
    """The mean without the `share` smallest and the `share` largest values, each rounded down to whole values."""
    cut = int(share * len(values))
    kept = sorted(values)[cut : len(values) - cut]
    return math.fsum(kept) / len(kept)


def trimmed_error(values: Sequence[float], share: float = TRIMMED) -> float:
    """Return the variance of the trimmed mean: that of the winsorized values / ((1 - 2 share)^2 n) (Yuen 1974).

    Zero where there are fewer than two values, which say nothing of their spread.
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

    Empty where fewer than half of the rounds could be read: a clock too coarse for them says zero.
    """
    ratios = [math.log(now / base) for base, now in zip(baseline, candidate, strict=True) if base > 0 and now > 0]
    return ratios if 2 * len(ratios) >= len(baseline) else []


def log_ratio(baseline: Sequence[float], candidate: Sequence[float]) -> float | None:
    """Return the trimmed mean of the rounds' logarithms, None where they could not be read."""
    ratios = slice_log_ratios(baseline, candidate)
    return trimmed_mean(ratios) if ratios else None


def binomial_tail(hits: int, count: int, chance: float) -> float:
    """Return the probability of `hits` or more out of `count`, each of which happens with this chance."""
    return math.fsum(math.comb(count, k) * chance**k * (1 - chance) ** (count - k) for k in range(hits, count + 1))


def t_quantile(probability: float, freedom: float) -> float:
    """Quantile of Student's t distribution with `freedom` degrees of freedom."""
    from scipy.special import stdtrit  # a tenth of the import time of scipy.stats

    return float(stdtrit(freedom, probability))


def margin(values: Sequence[float], error: float) -> float:
    """How far from the mean of `values` their true mean lies at most, on one side, but for a chance of `error`.

    The t interval (Student 1908) with the value as the unit; infinite where there are fewer than two.
    """
    if len(values) < 2:
        return math.inf
    return t_quantile(1 - error, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
