"""When a sequential test looks, and what its looks may cost: shared by pairs of trees and by claims."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import IntEnum
from typing import Final

#: Pairs, or processes, after which a test may be decided. Every look takes its part of the significance level (Bonferroni).
PAIR_LOOKS: Final = (4, 6, 8, 10, 12, 16, 20, 25, 30)
#: Of a 95th percentile: one value in twenty is beyond it, so that it holds less still than a minimum or a mean.
TAIL_THRESHOLD: Final = 0.10
#: However few tests a run has, one of them is accused of nothing that chance does more often than this.
TEST_ALPHA: Final = 0.001


#: Logarithm of a ratio from which on a test looks so much slower that it is measured beyond its budget ...
SUSPICIOUS: Final = math.log(1.25)
#: ... for up to so many times the budget.
BUDGET_FACTOR: Final = 5
#: ... and in any case for so many seconds: a small budget must not hide what four pairs show.
MIN_LIMIT_SECONDS: Final = 10.0


class Spent(IntEnum):
    """How much of what a test may take is spent."""

    LITTLE = 0
    """Another pair will follow if it is needed."""
    BUDGET = 1
    """The measuring time is spent: another pair follows only for what looks much slower."""
    ALL = 2
    """There will be no other pair."""

    @classmethod
    def of(cls, next_would_exceed: Callable[[float], bool], budget: float, *, last: bool) -> Spent:
        """Return it from whether the next one would exceed so many seconds; `last`: there can be no other whatever is left."""
        if last or next_would_exceed(max(MIN_LIMIT_SECONDS, BUDGET_FACTOR * budget)):
            return cls.ALL
        return cls.BUDGET if next_would_exceed(budget) else cls.LITTLE
