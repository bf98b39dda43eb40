"""Where does a series change its level? E-divisive with a t test, as performance histories are searched."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

#: Values that make a level: one or two may be a bad hour of the machine.
LEAST: Final = 3
#: A split this doubtful is still tried, since a short rise hides in the whole; what does not hold is merged again.
WEAK: Final = 0.1
#: Standard deviation, relative to the values' own scale, below which numbers of a series count as equal.
_TINY: Final = 1e-9


@dataclass(frozen=True)
class ChangePoint:
    """A level ends and another begins."""

    index: int
    """Of the first value of the new level."""
    before: float
    """Mean of the level that ends."""
    after: float
    """Mean of the level that begins."""
    p: float
    """Chance that one level alone yields such a split somewhere."""


def change_points(values: Sequence[float], *, alpha: float, least_step: float = 0.0) -> list[ChangePoint]:
    """The changes of level in a series, in order.

    Splits are proposed by the energy statistic of E-divisive (Matteson & James 2014), which looks at whole distributions,
    and accepted by Welch's t test between the neighbouring levels instead of by permutations, as in Hunter (Fleming et
    al. 2023): its chance of error, multiplied by the number of places where the split could have been (Bonferroni), is
    at most `alpha`. The levels differ by at least `least_step`, in the unit of the values.
    """
    series = [float(value) for value in values]
    bounds = sorted({0, *_proposed(series, 0, len(series)), len(series)})
    while len(bounds) > 2:
        found = [_between(series, *bounds[i : i + 3]) for i in range(len(bounds) - 2)]
        small = [abs(change.after - change.before) < least_step for change in found]
        weakest = max(range(len(found)), key=lambda i: (small[i], found[i].p))
        if found[weakest].p <= alpha and not small[weakest]:
            return found
        del bounds[weakest + 1]
    return []


def energy_split(values: Sequence[float]) -> int | None:
    """Where a series falls apart best: the split that maximises the energy statistic; None: it is too short.

    q(s, e) = s(e-s)/e (2 mean|X-Y| - mean|X-X'| - mean|Y-Y'|) for X = values[:s], Y = values[s:e], over all s and e
    (Matteson & James 2014, equations 5 to 7, with the exponent 1).
    """
    import numpy as np

    n = len(values)
    if n < 2 * LEAST:
        return None
    series = np.asarray(values, dtype=float)
    sums = np.zeros((n + 1, n + 1))  # sums[i, j]: of all distances between the first i and the first j values
    sums[1:, 1:] = np.abs(series[:, None] - series[None, :]).cumsum(0).cumsum(1)
    best, at = -math.inf, None
    for end in range(2 * LEAST, n + 1):
        split = np.arange(LEAST, end - LEAST + 1)
        statistic = _energy(sums, split, end)
        top = int(statistic.argmax())
        if statistic[top] > best:
            best, at = float(statistic[top]), int(split[top])
    return at


def _energy(sums: Any, split: Any, end: int) -> Any:
    left, right = split, end - split
    inside_left = sums[split, split]
    across = sums[split, end] - inside_left
    inside_right = sums[end, end] - 2 * sums[split, end] + inside_left
    apart = 2 * across / (left * right) - inside_left / (left * (left - 1)) - inside_right / (right * (right - 1))
    return left * right / end * apart


def _proposed(series: Sequence[float], begin: int, end: int) -> list[int]:
    """Indices where the part of the series may be split, those inside of splits as well."""
    split = energy_split(series[begin:end])
    if split is None:
        return []
    middle = begin + split
    if welch(series[begin:middle], series[middle:end]) > WEAK:
        return []
    return [*_proposed(series, begin, middle), middle, *_proposed(series, middle, end)]


def _between(series: Sequence[float], begin: int, middle: int, end: int) -> ChangePoint:
    left, right = series[begin:middle], series[middle:end]
    places = max(1, len(series) - 2 * LEAST + 1)  # of the whole: the neighbours lie where they do by choice, too
    p = min(1.0, places * welch(left, right))
    return ChangePoint(middle, statistics.fmean(left), statistics.fmean(right), p)


def welch(left: Sequence[float], right: Sequence[float]) -> float:
    """Two-sided p-value of Welch's t test (1947) that both have one mean; needs two values on each side."""
    from scipy.special import stdtr  # a tenth of the import time of scipy.stats

    scale = max(map(abs, (*left, *right)))
    if scale == 0:
        return 1.0
    # Of the largest value's size: squares of squares of very small or large ones would leave the range of floats.
    left, right = ([value / scale for value in side] for side in (left, right))
    parts = [max(statistics.variance(side), _TINY**2) / len(side) for side in (left, right)]
    difference, error = abs(statistics.fmean(left) - statistics.fmean(right)), math.sqrt(sum(parts))
    freedom = sum(parts) ** 2 / sum(part**2 / (len(side) - 1) for part, side in zip(parts, (left, right), strict=True))
    return float(2 * stdtr(freedom, -difference / error))
