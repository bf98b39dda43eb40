"""Which processes met the machine at full speed?"""

from __future__ import annotations

from collections.abc import Sequence

from pytest_perfguard.measure.plan import FULL_PACE


def at_full_pace(paces: Sequence[float], kernel: float) -> list[bool]:
    """For each process: was its `pace` within 5 % of `kernel`, the machine's pace at its best, both in seconds?"""
    return [pace <= FULL_PACE * kernel for pace in paces]
