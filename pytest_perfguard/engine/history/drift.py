"""Drift: the distance of a series from a fixed anchor, which reveals slow creep."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pytest_perfguard.core.stats.sequential import t_quantile

#: The level at each end is the median of a sixth of the series, within these numbers of values.
MIN_WINDOW: Final = 3
MAX_WINDOW: Final = 10
#: Smallest standard deviation assumed for a stored minimum between two recordings (measured: 0.4 to 1.9 %).
MIN_NOISE: Final = 0.005
#: Distances of the recordings whose differences measure the noise. Neighbours may share a state of the machine.
LAGS: Final = (1, 3)
#: Scales a median absolute deviation to the standard deviation of normal values.
_MAD: Final = 1.4826


@dataclass(frozen=True)
class Drift:
    """The recent level compared with the anchor."""

    ratio: float
    lower_bound: float
    """Lower end of the one-sided interval of the ratio."""
    drifted: bool
    """The level is worse than the threshold allows, and not by chance."""


def drift_of(values: Sequence[float], *, threshold: float, alpha: float, anchor: float | None = None) -> Drift | None:
    """Compare the level of the last values with that of the first ones, or with `anchor`; None: the series is too short.

    Each single step may be too small for any comparison; the distance to a fixed anchor adds them up. `drifted` requires
    both a ratio above 1 + `threshold` and a one-sided t interval of level `alpha` that excludes "no change".
    """
    logs = [math.log(value) for value in values if value > 0]
    if len(logs) < len(values) or len(logs) < 2 * MIN_WINDOW:
        return None
    window = min(max(MIN_WINDOW, len(logs) // 6), MAX_WINDOW)
    recent = statistics.median(logs[-window:])
    start = math.log(anchor) if anchor else statistics.median(logs[:window])
    of_median = math.pi / (2 * window)  # variance of a median of normal values, relative to that of one value
    error = _noise(logs) * math.sqrt(of_median + (1.0 if anchor else of_median))
    # Neighbouring differences share a value, and a median has two thirds of the efficiency of a mean.
    freedom = max(2, (len(logs) - 1) // 3)
    lower = recent - start - t_quantile(1 - alpha, freedom) * error
    return Drift(math.exp(recent - start), math.exp(lower), lower > 0 and recent - start > math.log1p(threshold))


def _noise(logs: Sequence[float]) -> float:
    """Estimate the standard deviation of one value from differences, to which slow creep hardly contributes.

    The larger of von Neumann's estimate (1941) and its robust form with the median absolute deviation. The former notices
    a machine with a second, slower mode; the latter is hardly raised by a step in the series.
    """
    found = [MIN_NOISE]
    for lag in LAGS:
        steps = [later - earlier for earlier, later in zip(logs, logs[lag:], strict=False)]
        middle = statistics.median(steps)
        found.append(_MAD * statistics.median(abs(step - middle) for step in steps) / math.sqrt(2))
        found.append(statistics.pstdev(steps) / math.sqrt(2))
    return max(found)
