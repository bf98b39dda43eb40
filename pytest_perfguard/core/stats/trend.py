"""Trend of a series by rank statistics, which a single jump or a few outliers hardly affect."""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Sequence


def mann_kendall(values: Sequence[float]) -> float:
    """Return the one-sided p-value of a rise: the chance that a series without a trend rises as steadily.

    The test of Mann (1945) and Kendall (1975) with the variance corrected for ties and the continuity correction. The
    normal approximation is valid from about ten values.
    """
    n = len(values)
    score = sum((later > earlier) - (later < earlier) for earlier, later in itertools.combinations(values, 2))
    ties = sum(count * (count - 1) * (2 * count + 5) for count in Counter(values).values())
    variance = (n * (n - 1) * (2 * n + 5) - ties) / 18
    if score <= 0 or variance <= 0:
        return 1.0
    return 0.5 * math.erfc((score - 1) / math.sqrt(2 * variance))


def theil_sen(values: Sequence[float]) -> float:
    """Return the median slope per step over all pairs of an evenly spaced series (Theil 1950, Sen 1968)."""
    pairs = itertools.combinations(enumerate(values), 2)
    return statistics.median((later - earlier) / (j - i) for (i, earlier), (j, later) in pairs)
