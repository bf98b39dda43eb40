"""Decide what a memory manager does after a sample. Pure: no clock and no process."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

#: Samples whose growth is considered.
GROWTH_SAMPLES: Final = 10
#: An action is repeated when memory has grown by this factor since its end.
REPEAT_FACTOR: Final = 1.1


class Action(str, Enum):
    """Actions after a sample, in this order."""

    WARN = "warn"
    """Memory has grown steadily: log a warning."""
    COLLECT = "collect"
    """Collect garbage."""
    CLEAR = "clear"
    """Clear the caches that are not essential, and cut the pools."""


@dataclass(frozen=True)
class MemoryLimits:
    """Bytes of the heap, or of the resident set where the heap is unknown."""

    growth: float
    """Mean growth from one sample to the next."""
    collect_above: float
    clear_above: float


def actions(levels: Sequence[float], limits: MemoryLimits) -> list[Action]:
    """Return the actions for these levels, the latest last.

    Growth is steady if its mean exceeds the limit and more than half of the steps go up: one jump is not steady growth.
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


class Repetition:
    """Hysteresis: repeat an action only after the level fell below its limit, or grew by a tenth since the action.

    Otherwise a process whose essential memory exceeds a limit would have its caches cleared at every sample, and gain nothing.
    """

    def __init__(self, limits: MemoryLimits) -> None:
        self._limits = {Action.COLLECT: limits.collect_above, Action.CLEAR: limits.clear_above}
        self._after: dict[Action, float] = {}

    def due(self, wanted: Sequence[Action], level: float) -> list[Action]:
        """Return those of the wanted actions that are due at this level."""
        for action, limit in self._limits.items():
            if level <= limit:
                self._after.pop(action, None)
        return [action for action in wanted if level >= REPEAT_FACTOR * self._after.get(action, 0.0)]

    def done(self, action: Action, level: float) -> None:
        """Note the level after an action."""
        if action in self._limits:
            self._after[action] = level
