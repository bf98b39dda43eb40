"""Quantiles by linear interpolation between order statistics."""

from __future__ import annotations

from collections.abc import Sequence


def quantile(ordered: Sequence[float], share: float) -> float:
    """Return the value below which `share` of the `ordered` values lie, with linear interpolation.

    Type 7 of Hyndman & Fan (1996), which is numpy's default: the k-th of n values is the quantile of (k-1)/(n-1).
    """
    place = share * (len(ordered) - 1)
    below = int(place)
    rest = place - below
    low = ordered[below]
    return low if not rest else low + rest * (ordered[below + 1] - low)
