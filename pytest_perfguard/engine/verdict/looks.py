"""Schedule of the sequential tests: the numbers of pairs or processes at which a test may be decided, and its limits."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import IntEnum
from typing import Final

#: Numbers of pairs, or processes, after which a test may be decided. Each look uses a part of the significance level
#: (Bonferroni).
PAIR_LOOKS: Final = (4, 6, 8, 10, 12, 16, 20, 25, 30)
#: Threshold of a 95th percentile: one value in twenty lies beyond it, so it varies more than a minimum or a mean.
TAIL_THRESHOLD: Final = 0.10
#: Upper bound of the significance level of one test, however few tests share `alpha`.
TEST_ALPHA: Final = 0.001

#: Logarithm of the ratio, in either direction, above which a test is measured beyond its budget.
SUSPICIOUS: Final = math.log(1.25)
#: Multiple of the budget up to which such a test is measured.
BUDGET_FACTOR: Final = 5
#: Seconds for which a test is measured even if its budget is smaller: a small budget must not hide a slowdown that four pairs show.
MIN_LIMIT_SECONDS: Final = 10.0


class Spent(IntEnum):
    """Use of a test's measuring time."""

    LITTLE = 0
    """Another pair follows if it is needed."""
    BUDGET = 1
    """The budget is spent: another pair follows only for a test that looks much slower, or much faster."""
    ALL = 2
    """No other pair follows."""

    @classmethod
    def of(cls, next_would_exceed: Callable[[float], bool], budget: float, *, last: bool) -> Spent:
        """Return the state of a test.

        Parameters
        ----------
        next_would_exceed
            returns whether another pair would take the test beyond a number of seconds.
        last
            no other pair is possible, even if time is left.
        """
        if last or next_would_exceed(max(MIN_LIMIT_SECONDS, BUDGET_FACTOR * budget)):
            return cls.ALL
        return cls.BUDGET if next_would_exceed(budget) else cls.LITTLE
