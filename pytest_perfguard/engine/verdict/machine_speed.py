"""What another speed of the machine can explain, from the calibration kernel that was timed beside each round.

A virtual CPU changes its speed by a factor of up to 2.4, as the kernel reads it. Other code follows by less than the
kernel does, but by at least its square root: measured on twelve kinds of code (docs/verdict.md). So the time of identical
code lies between two bounds, whatever the machine does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

#: Powers of the kernel's factor between which all code follows it.
WEAKEST_RESPONSE: Final = 0.5
STRONGEST_RESPONSE: Final = 1.0
#: The machine was near full speed where the kernel took at most so many times its recorded best.
NEAR_FULL_SPEED: Final = 1.10


def expected_range(pace_ratio: float, busy: float) -> tuple[float, float]:
    """Return the bounds of the ratio of times that identical code would read.

    Parameters
    ----------
    pace_ratio
        the time of the kernel now, divided by its time then.
    busy
        the share of the code's time that is CPU time: a wait does not follow the machine's speed.
    """
    low, high = sorted((pace_ratio**WEAKEST_RESPONSE, pace_ratio**STRONGEST_RESPONSE))
    return 1 - busy + busy * low, 1 - busy + busy * high


def pace_ratios(paces: Sequence[float], kernel: float) -> list[float]:
    """Return the time of the kernel beside each process, divided by `kernel`; 1 where either is not known (0)."""
    return [pace / kernel if pace > 0 and kernel > 0 else 1.0 for pace in paces]


def at_full_speed(seconds: Sequence[float], paces: Sequence[float], kernel: float, busy: float) -> list[float]:
    """Return a lower bound, for each process, of what its time would have been with the kernel at `kernel` seconds.

    `seconds` and `paces` hold one value per process; a pace of 0 is not known, and its time stands as it is.
    """
    ratios = pace_ratios(paces, kernel)
    return [value / expected_range(ratio, busy)[1] for value, ratio in zip(seconds, ratios, strict=False)]


def likely_at_full_speed(seconds: Sequence[float], paces: Sequence[float], kernel: float, busy: float) -> list[float]:
    """Return what the time of each process would most likely have been: between the two bounds, in the geometric middle."""
    bounds = [expected_range(ratio, busy) for ratio in pace_ratios(paces, kernel)]
    return [value / math.sqrt(low * high) for value, (low, high) in zip(seconds, bounds, strict=False)]


def near_full_speed(values: Sequence[float], paces: Sequence[float], kernel: float) -> list[float]:
    """Return the values of the processes whose pace was near `kernel`."""
    return [value for value, pace in zip(values, paces, strict=False) if 0 < pace <= NEAR_FULL_SPEED * kernel]
