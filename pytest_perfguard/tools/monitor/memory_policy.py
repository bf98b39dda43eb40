"""What a memory manager should do, from its samples: pure, without a clock and without a process."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

#: Samples whose growth is looked at.
GROWTH_SAMPLES: Final = 10


class Action(str, Enum):
    """What may be done at a sample, in this order."""

    WARN = "warn"
    """Memory has grown steadily: tell."""
    COLLECT = "collect"
    """Collect garbage."""
    CLEAR = "clear"
    """Clear the caches that are not essential, and cut the pools."""


@dataclass(frozen=True)
class Limits:
    """Bytes of the resident set."""

    growth: float
    """Mean growth from one sample to the next."""
    collect_above: float
    clear_above: float


def actions(levels: Sequence[int], limits: Limits) -> list[Action]:
    """What these levels, the latest last, call for.

    Steady growth is a mean above the limit, and more than half of the steps going up: one jump is not steady.
    """
    steps = [later - earlier for earlier, later in itertools.pairwise(levels[-GROWTH_SAMPLES:])]
    steady = len(steps) == GROWTH_SAMPLES - 1 and sum(step > 0 for step in steps) > len(steps) / 2
    found = []
    if steady and statistics.fmean(steps) > limits.growth:
        found.append(Action.WARN)
    if levels[-1] > limits.collect_above:
        found.append(Action.COLLECT)
    if levels[-1] > limits.clear_above:
        found.append(Action.CLEAR)
    return found
