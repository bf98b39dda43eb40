"""Decide whether a quantity grows with every call. Pure: a series of levels in, a judgement out.

docs/leaks.md describes the rule and the measurements behind its constants.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from enum import Enum
from typing import Final

from pytest_perfguard.core.stats.trend import mann_kendall, theil_sen

#: Windows of calls in a first series, and in a long one if the first is not conclusive.
WINDOWS: Final = 5
MAX_WINDOWS: Final = 20
#: One rising series in a thousand is chance.
SIGNIFICANCE_LEVEL: Final = 0.001
#: A leak continues: the later half of the growth is at least this share of the earlier half.
MIN_LATER_SHARE: Final = 0.5
#: Fewer growing windows are single events, such as the enlargement of a table, even if they are large.
MIN_GROWING_WINDOWS: Final = 3


class Growth(Enum):
    """Judgement of a series."""

    LEAKING = "leaking"
    SETTLED = "settled"
    OPEN = "open"
    """Needs more windows."""


def judge_short_series(levels: Sequence[int], floor: float) -> Growth:
    """Judge a short series, of the levels at the `WINDOWS` + 1 borders of its windows.

    Leaking: every window grew, by `floor` on average, and the later half at least half as much as the earlier one.
    Settled: there is no net growth.
    """
    steps = _steps(levels)
    if levels[-1] <= levels[0]:
        return Growth.SETTLED
    every = all(step > 0 for step in steps)
    return Growth.LEAKING if every and _mean(steps) >= floor and _continues(steps) else Growth.OPEN


def judge_long_series(levels: Sequence[int], floor: float) -> Growth:
    """Judge a long series: a trend by Mann-Kendall's test, and a Theil-Sen slope of at least `floor` per window.

    The growth must also be spread over several windows and continue in the later half.
    """
    steps = _steps(levels)
    rising = levels[-1] > levels[0] and mann_kendall(levels) < SIGNIFICANCE_LEVEL
    # For counted resources there is no floor: their median slope is 0 if they grow in a minority of windows.
    steep = theil_sen(levels) >= floor if floor else True
    spread = sum(step > 0 for step in steps) >= MIN_GROWING_WINDOWS
    return Growth.LEAKING if rising and steep and spread and _continues(steps) else Growth.SETTLED


def growth_rate(levels: Sequence[int]) -> float:
    """Return the growth per window, conservatively: the smallest of three estimates that are positive.

    A list that is enlarged once does not affect the median step and the median slope. If something grows only in some
    windows, these are 0 and the mean is left.
    """
    mean = _mean(_steps(levels))
    estimates = statistics.median(_steps(levels)), theil_sen(levels), mean
    return min((estimate for estimate in estimates if estimate > 0), default=mean)


def still_growing(levels: Sequence[int], per_window: float) -> bool:
    """Return whether growth of `per_window` continues: the last windows must grow at half of that rate or more.

    Applied after many more calls, when a bounded cache is full.
    """
    return min(growth_rate(levels), _mean(_steps(levels)[-2:])) >= MIN_LATER_SHARE * per_window


def _steps(levels: Sequence[int]) -> list[int]:
    return [later - earlier for earlier, later in itertools.pairwise(levels)]


def _continues(steps: Sequence[int]) -> bool:
    """Return whether the later half grew at least half as much as the earlier one, in the mean or in the median.

    The reallocation of one large container moves the mean of its half, but not the median. The median of growth in a
    minority of windows is 0.
    """
    half = len(steps) // 2
    return any(
        later > 0 and later >= MIN_LATER_SHARE * earlier
        for earlier, later in (
            (average(steps[:half]), average(steps[-half:])) for average in (_mean, statistics.median)
        )
    )


def _mean(steps: Sequence[int]) -> float:
    return sum(steps) / len(steps)
