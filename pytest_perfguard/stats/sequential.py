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


def log_ratio(baseline: Sequence[float], candidate: Sequence[float]) -> float | None:
    """Trimmed mean of log(candidate / baseline) over the rounds of one pair of processes, taken in turn.

    None where fewer than half of the rounds could be read: a clock too coarse for them says zero.
    """
    ratios = [math.log(now / base) for base, now in zip(baseline, candidate, strict=True) if base > 0 and now > 0]
    return trimmed_mean(ratios) if ratios and 2 * len(ratios) >= len(baseline) else None


def t_quantile(probability: float, freedom: int) -> float:
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
