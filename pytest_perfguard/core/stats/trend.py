"""Is a series rising, and how fast? Rank statistics: one jump, or a few wild values, prove nothing."""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from collections.abc import Sequence


def mann_kendall(values: Sequence[float]) -> float:
    """The chance that a series without a trend rises as steadily as this one: a one-sided p-value.

    The test of Mann (1945) and Kendall (1975) with the variance corrected for ties and the continuity correction; the
    normal approximation holds from about ten values on.
    """
    n = len(values)
    score = sum((later > earlier) - (later < earlier) for earlier, later in itertools.combinations(values, 2))
    ties = sum(count * (count - 1) * (2 * count + 5) for count in Counter(values).values())
    variance = (n * (n - 1) * (2 * n + 5) - ties) / 18
    if score <= 0 or variance <= 0:
        return 1.0
    return 0.5 * math.erfc((score - 1) / math.sqrt(2 * variance))


def theil_sen(values: Sequence[float]) -> float:
    """The median slope per step over all pairs of an evenly spaced series (Theil 1950, Sen 1968)."""
    pairs = itertools.combinations(enumerate(values), 2)
    return statistics.median((later - earlier) / (j - i) for (i, earlier), (j, later) in pairs)
