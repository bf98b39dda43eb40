"""The calibration kernel: a fixed piece of pure Python whose time says how fast the machine is at this moment.

Its text is part of the baseline's meaning: a change here makes recorded kernel times worthless, so it comes with a new
schema version.
"""

from __future__ import annotations


def kernel() -> int:
    """About half a millisecond of arithmetic, calls, list and dict work on a machine of 2020."""
    total = 0
    table: dict[int, int] = {}
    for index in range(2_000):
        key = index & 63
        table[key] = table.get(key, 0) + index
        total += len(range(key)) * (index % 7)
    values = sorted(table.values(), reverse=True)
    return total + sum(values)
