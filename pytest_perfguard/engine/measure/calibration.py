"""The calibration kernel: a fixed piece of pure Python whose duration measures the current speed of the machine.

Baseline files hold times of this kernel. A change of its code makes them worthless, so it requires a new schema
version.
"""

from __future__ import annotations


def kernel() -> int:
    """Run about half a millisecond (on a machine of 2020) of arithmetic, calls, list and dict operations."""
    total = 0
    table: dict[int, int] = {}
    for index in range(2_000):
        key = index & 63
        table[key] = table.get(key, 0) + index
        total += len(range(key)) * (index % 7)
    values = sorted(table.values(), reverse=True)
    return total + sum(values)
