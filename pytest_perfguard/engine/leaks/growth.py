"""Does a quantity grow with every call, or has it settled? Pure: a series of levels in, a judgement out.

The rule and the numbers behind it: docs/leaks.md.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from enum import Enum
from typing import Final

from pytest_perfguard.core.stats.trend import mann_kendall, theil_sen

#: Windows of calls for a first look, and in all where that leaves it open.
WINDOWS: Final = 5
MAX_WINDOWS: Final = 20
#: One rising series in a thousand is chance.
SIGNIFICANCE_LEVEL: Final = 0.001
#: A leak goes on: the later half of the growth is at least this share of the earlier one.
MIN_LATER_SHARE: Final = 0.5
#: Fewer growing windows than this are events, such as a table that was enlarged, whatever their size.
MIN_GROWING_WINDOWS: Final = 3


class Growth(Enum):
    """What a series shows."""

    LEAKING = "leaking"
    SETTLED = "settled"
    OPEN = "open"
    """More windows will tell."""


def judge_short_series(levels: Sequence[int], floor: float) -> Growth:
    """Judge a short series, of levels at the `WINDOWS` + 1 borders of its windows.

    Leaking: every window grew, by `floor` on average, and the later ones no less than half of the earlier ones.
    Settled: nothing is left of any growth.
    """
    steps = _steps(levels)
    if levels[-1] <= levels[0]:
        return Growth.SETTLED
    every = all(step > 0 for step in steps)
    return Growth.LEAKING if every and _mean(steps) >= floor and _continues(steps) else Growth.OPEN


def judge_long_series(levels: Sequence[int], floor: float) -> Growth:
    """Judge a long series: a trend by Mann-Kendall, a slope by Theil-Sen of at least `floor` per window.

    The growth must be spread over several windows and go on in the later half.
    """
    steps = _steps(levels)
    rising = levels[-1] > levels[0] and mann_kendall(levels) < SIGNIFICANCE_LEVEL
    # The median slope of a quantity that is counted is 0 where it grows in a minority of windows.
    steep = theil_sen(levels) >= floor if floor else True
    spread = sum(step > 0 for step in steps) >= MIN_GROWING_WINDOWS
    return Growth.LEAKING if rising and steep and spread and _continues(steps) else Growth.SETTLED


def growth_rate(levels: Sequence[int]) -> float:
    """Growth per window, carefully: the smallest of three estimates that are positive.

    The median step and the median slope are unmoved by a list that was enlarged once; the mean is left where something
    grows now and then only.
    """
    mean = _mean(_steps(levels))
    estimates = statistics.median(_steps(levels)), theil_sen(levels), mean
    return min((estimate for estimate in estimates if estimate > 0), default=mean)


def still_growing(levels: Sequence[int], per_window: float) -> bool:
    """Does a growth of `per_window` hold on? The last windows must still grow at half of that rate.

    Asked after many more calls: a cache that has a bound is full by then.
    """
    return min(growth_rate(levels), _mean(_steps(levels)[-2:])) >= MIN_LATER_SHARE * per_window


def _steps(levels: Sequence[int]) -> list[int]:
    return [later - earlier for earlier, later in itertools.pairwise(levels)]


def _continues(steps: Sequence[int]) -> bool:
    """Is the later half no less than half of the earlier one, by the mean or by the median?

    One reallocation of a large container moves the mean of its half, not the median. The median of what grows now and
    then is 0.
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
