"""The change of one metric in words and in a table's cell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from pytest_perfguard.core.metric_names import metric_kind
from pytest_perfguard.core.model import Finding
from pytest_perfguard.core.units import describe_change, format_change, format_interval, format_magnitude

#: Kind of metric -> the words for a rise and for a fall.
_DIRECTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "time": ("slower", "faster"),
    "p95": ("slower", "faster"),
    "cpu": ("more CPU time", "less CPU time"),
    "memory": ("more memory", "less memory"),
    "blocks": ("more memory blocks", "fewer memory blocks"),
    "value": ("higher", "lower"),
    "value-p95": ("higher", "lower"),
}


def change_cell(finding: Finding | None) -> str:
    """`+4.2 %`, `5.0x` or `from nothing`; empty where there is nothing to compare with."""
    return format_change(_ratio(finding)) if finding is not None and finding.baseline is not None else ""


def interval_cell(finding: Finding) -> str:
    """`+3.1 to +5.2 %`, on the scale of the change."""
    return format_interval(finding.interval, finding.ratio) if finding.interval and finding.ratio is not None else ""


def change_in_words(finding: Finding, *, interval: bool = False) -> str:
    """`12 % slower (9 to 15 %)`, `27x more memory`, `from nothing`; empty where there is nothing to compare with."""
    if finding.baseline is None:
        return ""
    worse, better = _DIRECTIONS.get(metric_kind(finding.name), ("more", "less"))
    return describe_change(_ratio(finding), finding.interval if interval else None, worse=worse, better=better)


def smallest_in_words(ratio: float) -> str:
    """What a run could have found of an inconclusive metric."""
    return f"smallest slowdown this run could detect: {format_magnitude(ratio)}"


def each_reason_once(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings; of those with equal reasons only the first keeps it."""
    seen: set[str] = set()
    kept: list[Finding] = []
    for finding in findings:
        kept.append(replace(finding, reason="") if finding.reason in seen else finding)
        seen.add(finding.reason)
    return kept


def _ratio(finding: Finding) -> float:
    """The ratio; infinite for what grew from nothing."""
    return math.inf if finding.ratio is None else finding.ratio
