"""Bounds of the changes that another speed of the machine explains, from the calibration kernel beside each round.

The speed of a virtual CPU changes by a factor of up to 2.4, measured with the kernel. Other code changes by less than the
kernel, but by at least its square root: measured on twelve kinds of code (docs/verdict.md). So the time of identical code
lies between two bounds at any speed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

#: All code follows the kernel's factor with a power between these two.
WEAKEST_RESPONSE: Final = 0.5
STRONGEST_RESPONSE: Final = 1.0
#: The machine was near full speed if the kernel took at most this multiple of its recorded best.
NEAR_FULL_SPEED: Final = 1.10


def expected_range(pace_ratio: float, busy: float) -> tuple[float, float]:
    """Return the bounds of the ratio of times of identical code.

    Parameters
    ----------
    pace_ratio
        time of the kernel now, divided by its time then.
    busy
        share of CPU time in the code's time: waiting does not depend on the machine's speed.
    """
    low, high = sorted((pace_ratio**WEAKEST_RESPONSE, pace_ratio**STRONGEST_RESPONSE))
    return 1 - busy + busy * low, 1 - busy + busy * high


def pace_ratios(paces: Sequence[float], kernel: float) -> list[float]:
    """Return the kernel's time beside each process, divided by `kernel`; 1 where either is unknown (0)."""
    return [pace / kernel if pace > 0 and kernel > 0 else 1.0 for pace in paces]


def at_full_speed(seconds: Sequence[float], paces: Sequence[float], kernel: float, busy: float) -> list[float]:
    """Return a lower bound of each process's time at the speed at which the kernel takes `kernel` seconds.

    `seconds` and `paces` hold one value per process. A pace of 0 is unknown: its time is returned unchanged.
    """
    ratios = pace_ratios(paces, kernel)
    return [value / expected_range(ratio, busy)[1] for value, ratio in zip(seconds, ratios, strict=False)]


def likely_at_full_speed(seconds: Sequence[float], paces: Sequence[float], kernel: float, busy: float) -> list[float]:
    """Return the most likely time of each process at full speed: the geometric middle of the two bounds."""
    bounds = [expected_range(ratio, busy) for ratio in pace_ratios(paces, kernel)]
    return [value / math.sqrt(low * high) for value, (low, high) in zip(seconds, bounds, strict=False)]


def near_full_speed(values: Sequence[float], paces: Sequence[float], kernel: float) -> list[float]:
    """Return the values of the processes whose pace was near `kernel`."""
    return [value for value, pace in zip(values, paces, strict=False) if 0 < pace <= NEAR_FULL_SPEED * kernel]
