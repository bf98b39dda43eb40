"""The numbers of calls that a baseline file keeps of a test: a small table, by names that both trees share. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pytest_perfguard.engine.profile.model import CallProfile, Function

#: Functions that are kept of one measurement point: the project's first, then those with most time.
MAX_FUNCTIONS: Final = 24
#: Between the label of the measurement point, the place and the name of a function.
_SEPARATOR: Final = "|"


def counts_for_record(profile: CallProfile, label: str) -> dict[str, float]:
    """Return the table of one measurement point: `label|place|name` -> calls per iteration."""
    ordered = sorted(profile.costs.items(), key=lambda item: (not item[0].ours, -item[1].own))
    return {
        _SEPARATOR.join((label, function.place, function.name)): float(f"{cost.calls:.6g}")
        for function, cost in ordered[:MAX_FUNCTIONS]
        if cost.calls
    }


def counts_from_record(counts: Mapping[str, float], label: str) -> dict[Function, float]:
    """Read the table of one measurement point; what is written otherwise is left out."""
    found = {}
    for key, calls in counts.items():
        parts = key.split(_SEPARATOR)
        if len(parts) == 3 and parts[0] == label:
            found[Function(parts[1], parts[2], parts[1].endswith(".py"))] = calls
    return found
