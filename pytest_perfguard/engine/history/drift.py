"""Slow creep: how far has a series moved from an anchor that stays where it is?"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pytest_perfguard.core.stats.sequential import t_quantile

#: Values at each end that are taken together, by their median: a sixth of the series, but never fewer or more than these.
WINDOW: Final = 3
LARGEST_WINDOW: Final = 10
#: What a stored minimum differs by from one recording to the next, at the least (docs/verdict.md: 0.4 to 1.9 %).
LEAST_NOISE: Final = 0.005
#: Recordings of one week share their machine's mood: differences over so many steps see all of the noise.
LAGS: Final = (1, 3)
#: Scales a median absolute deviation to the standard deviation of normal values.
_MAD: Final = 1.4826


@dataclass(frozen=True)
class Drift:
    """The recent level against the anchor."""

    ratio: float
    least: float
    """The ratio is at least this, but for the chance of error that was allowed."""
    drifted: bool
    """Is it worse than the threshold allows, beyond all noise?"""


def drift_of(values: Sequence[float], *, threshold: float, alpha: float, anchor: float | None = None) -> Drift | None:
    """The level of the last values against that of the first ones, or the `anchor`; None: the series is too short.

    Each step may be smaller than any comparison can tell; the distance to an anchor that does not move is not. `drifted`
    needs both: a ratio above 1 + `threshold`, and a one-sided t interval of level `alpha` that excludes no change.
    """
    logs = [math.log(value) for value in values if value > 0]
    if len(logs) < len(values) or len(logs) < 2 * WINDOW:
        return None
    window = min(max(WINDOW, len(logs) // 6), LARGEST_WINDOW)
    recent = statistics.median(logs[-window:])
    start = math.log(anchor) if anchor else statistics.median(logs[:window])
    of_median = math.pi / (2 * window)  # variance of a median of normal values, relative to that of one value
    error = _noise(logs) * math.sqrt(of_median + (1.0 if anchor else of_median))
    # Neighbouring differences share a value, and a median uses them with two thirds of a mean's efficiency.
    freedom = max(2, (len(logs) - 1) // 3)
    least = recent - start - t_quantile(1 - alpha, freedom) * error
    return Drift(math.exp(recent - start), math.exp(least), least > 0 and recent - start > math.log1p(threshold))


def _noise(logs: Sequence[float]) -> float:
    """The standard deviation of one value, from differences: the creep itself counts as none of it.

    Von Neumann's estimate (1941), and its robust form with the median absolute deviation; the larger counts: a machine that
    has a second, slower mode now and then shows it in the one, a step that is to be found raises it the least in the other.
    """
    found = [LEAST_NOISE]
    for lag in LAGS:
        steps = [later - earlier for earlier, later in zip(logs, logs[lag:], strict=False)]
        middle = statistics.median(steps)
        found.append(_MAD * statistics.median(abs(step - middle) for step in steps) / math.sqrt(2))
        found.append(statistics.pstdev(steps) / math.sqrt(2))
    return max(found)
