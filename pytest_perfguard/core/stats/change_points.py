"""Detection of changes of level in a series: E-divisive with a t test."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from numpy import float64, intp
    from numpy.typing import NDArray

#: Smallest number of values of a level: one or two may result from a disturbed machine.
MIN_LEVEL_LENGTH: Final = 3
#: Largest p-value of a proposed split. It is generous, since a short rise is hard to see in the whole series; splits that
#: are not significant are merged again.
MAX_PROPOSAL_P: Final = 0.1
#: Standard deviation, relative to the largest value, below which values count as equal.
_TINY: Final = 1e-9


@dataclass(frozen=True)
class ChangePoint:
    """A change of level."""

    index: int
    """Index of the first value of the new level."""
    before: float
    """Mean of the old level."""
    after: float
    """Mean of the new level."""
    p: float
    """Chance that a series of one level has such a split somewhere."""


def change_points(values: Sequence[float], *, alpha: float, min_step: float = 0.0) -> list[ChangePoint]:
    """Return the changes of level in a series, in order.

    The energy statistic of E-divisive (Matteson & James 2014), which compares whole distributions, proposes splits.
    Welch's t test between the neighbouring levels accepts them, as in Hunter (Fleming et al. 2023), instead of
    permutations. Its p-value, multiplied by the number of possible places of the split (Bonferroni), is at most `alpha`.
    Neighbouring levels differ by at least `min_step`, in the unit of the values.
    """
    series = [float(value) for value in values]
    bounds = sorted({0, *_proposed(series, 0, len(series)), len(series)})
    while len(bounds) > 2:
        found = [_between(series, *bounds[i : i + 3]) for i in range(len(bounds) - 2)]
        small = [abs(change.after - change.before) < min_step for change in found]
        weakest = max(range(len(found)), key=lambda i: (small[i], found[i].p))
        if found[weakest].p <= alpha and not small[weakest]:
            return found
        del bounds[weakest + 1]
    return []


def energy_split(values: Sequence[float]) -> int | None:
    """Return the split of a series that maximises the energy statistic; None if the series is too short.

    q(s, e) = s(e-s)/e (2 mean|X-Y| - mean|X-X'| - mean|Y-Y'|) for X = values[:s], Y = values[s:e], over all s and e
    (Matteson & James 2014, equations 5 to 7, with the exponent 1).
    """
    import numpy as np

    n = len(values)
    if n < 2 * MIN_LEVEL_LENGTH:
        return None
    series = np.asarray(values, dtype=float)
    sums = np.zeros((n + 1, n + 1))  # sums[i, j]: of all distances between the first i and the first j values
    sums[1:, 1:] = np.abs(series[:, None] - series[None, :]).cumsum(0).cumsum(1)
    best, at = -math.inf, None
    for end in range(2 * MIN_LEVEL_LENGTH, n + 1):
        split = np.arange(MIN_LEVEL_LENGTH, end - MIN_LEVEL_LENGTH + 1)
        statistic = _energy(sums, split, end)
        top = int(statistic.argmax())
        if statistic[top] > best:
            best, at = float(statistic[top]), int(split[top])
    return at


def _energy(sums: NDArray[float64], split: NDArray[intp], end: int) -> NDArray[float64]:
    left, right = split, end - split
    inside_left = sums[split, split]
    across = sums[split, end] - inside_left
    inside_right = sums[end, end] - 2 * sums[split, end] + inside_left
    apart = 2 * across / (left * right) - inside_left / (left * (left - 1)) - inside_right / (right * (right - 1))
    distances: NDArray[float64] = left * right / end * apart
    return distances


def _proposed(series: Sequence[float], begin: int, end: int) -> list[int]:
    """Return the proposed splits of this part of the series, including those within its halves."""
    split = energy_split(series[begin:end])
    if split is None:
        return []
    middle = begin + split
    if welch_test(series[begin:middle], series[middle:end]) > MAX_PROPOSAL_P:
        return []
    return [*_proposed(series, begin, middle), middle, *_proposed(series, middle, end)]


def _between(series: Sequence[float], begin: int, middle: int, end: int) -> ChangePoint:
    left, right = series[begin:middle], series[middle:end]
    # Places in the whole series: the neighbouring splits were chosen, too.
    places = max(1, len(series) - 2 * MIN_LEVEL_LENGTH + 1)
    p = min(1.0, places * welch_test(left, right))
    return ChangePoint(middle, statistics.fmean(left), statistics.fmean(right), p)


def welch_test(left: Sequence[float], right: Sequence[float]) -> float:
    """Return the two-sided p-value of Welch's t test (1947) of equal means. Each side needs two values."""
    from scipy.special import stdtr  # a tenth of the import time of scipy.stats

    scale = max(map(abs, (*left, *right)))
    if scale == 0:
        return 1.0
    # Relative to the largest value: fourth powers of very small or large values would leave the range of floats.
    left, right = ([value / scale for value in side] for side in (left, right))
    parts = [max(statistics.variance(side), _TINY**2) / len(side) for side in (left, right)]
    difference, error = abs(statistics.fmean(left) - statistics.fmean(right)), math.sqrt(sum(parts))
    freedom = sum(parts) ** 2 / sum(part**2 / (len(side) - 1) for part, side in zip(parts, (left, right), strict=True))
    return float(2 * stdtr(freedom, -difference / error))
