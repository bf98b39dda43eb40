"""The order of steps. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

from pytest_perfguard.core.tool_errors import StartupError


def in_order(after: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the names such that each comes after those it needs, and otherwise in the given order.

    Raises
    ------
    StartupError
        if a step needs an unknown one, or itself through others.
    """
    for name, needs in after.items():
        for needed in needs:
            if needed not in after:
                raise StartupError(name, f"it comes after {needed!r}, which is not a step (steps: {', '.join(after)})")
    sorter = TopologicalSorter(after)
    try:
        sorter.prepare()
    except CycleError as error:
        cycle = error.args[1][::-1]  # graphlib lists each step after the one that needs it
        start = cycle.index(min(cycle, key=list(after).index))
        circle = [*cycle[start:-1], *cycle[:start], cycle[start]]
        raise StartupError(circle[0], f"it comes after itself: {' after '.join(circle)}") from None
    ordered: list[str] = []
    ready: set[str] = set()
    while sorter.is_active():
        ready.update(sorter.get_ready())
        first = next(name for name in after if name in ready)
        ready.remove(first)
        ordered.append(first)
        sorter.done(first)
    return ordered
