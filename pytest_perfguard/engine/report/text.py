"""Texts that all reports share: outcomes, changes of a metric, the leading finding of a test, the order of tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar

from pytest_perfguard.core.metric_names import metric_kind
from pytest_perfguard.core.model import OUTCOMES, SEVERITY, Comparison, Finding, Unjudged
from pytest_perfguard.core.text import plural, printable
from pytest_perfguard.core.units import (
    describe_change,
    format_change,
    format_count,
    format_interval,
    format_magnitude,
)

T = TypeVar("T")

#: Blocks of rising height, of which plots in a line of text consist.
BARS: Final = "▁▂▃▄▅▆▇█"
#: C functions that a finding on instructions names, and the share of the growth from which on it names one.
MAX_FUNCTIONS: Final = 5
MIN_FUNCTION_SHARE: Final = 0.05
#: Kind of metric -> the words for an increase and for a decrease.
_DIRECTIONS: Final[Mapping[str, tuple[str, str]]] = {
    "time": ("slower", "faster"),
    "p95": ("slower", "faster"),
    "cpu": ("more CPU time", "less CPU time"),
    "memory": ("more memory", "less memory"),
    "blocks": ("more memory blocks", "fewer memory blocks"),
    "instructions": ("more instructions", "fewer instructions"),
    "value": ("higher", "lower"),
    "value-p95": ("higher", "lower"),
}


#: Outcomes that are nouns, and therefore have a plural.
_NOUNS: Final = ("regression", "leak", "improvement")


def change_cell(finding: Finding | None) -> str:
    """Return the change for a table: `+4.2 %`, `5.0x` or `from nothing`; empty without a baseline."""
    return format_change(finding.change) if finding is not None and finding.change is not None else ""


def interval_cell(finding: Finding) -> str:
    """Return the interval for a table, on the scale of the change: `+3.1 to +5.2 %`."""
    return format_interval(finding.interval, finding.ratio) if finding.interval and finding.ratio is not None else ""


def change_in_words(finding: Finding, *, interval: bool = False) -> str:
    """Return the change for a sentence: `12 % slower (9 to 15 %)`, `from nothing`; empty without a baseline."""
    if finding.change is None:
        return ""
    worse, better = _DIRECTIONS.get(metric_kind(finding.name), ("more", "less"))
    return describe_change(finding.change, finding.interval if interval else None, worse=worse, better=better)


def smallest_in_words(ratio: float) -> str:
    """Return the sentence on the smallest slowdown that would have been found, for an inconclusive metric."""
    return f"smallest slowdown this run could detect: {format_magnitude(ratio)}"


def each_reason_once(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings; of those with the same reason only the first keeps it."""
    seen: set[str] = set()
    result: list[Finding] = []
    for finding in findings:
        result.append(replace(finding, reason="") if finding.reason in seen else finding)
        seen.add(finding.reason)
    return result


def count_outcomes(comparisons: Sequence[Comparison]) -> dict[str, int]:
    """Return the number of tests per outcome, the most severe first."""
    counts = Counter(comparison.outcome for comparison in comparisons)
    return {str(outcome): counts[outcome] for outcome in OUTCOMES if counts[outcome]}


def counts_in_words(counts: Mapping[str, int]) -> str:
    """Return `2 regressions, 3 unchanged`."""
    words = (plural(count, word) if word in _NOUNS else f"{count} {word}" for word, count in counts.items())
    return ", ".join(words) or "nothing measured"


def most_severe_first(items: Iterable[T], key: Callable[[T], Comparison]) -> list[T]:
    """Return the items by the severity of their outcome, then by node id."""

    def order(item: T) -> tuple[int, str]:
        comparison = key(item)
        return SEVERITY[comparison.outcome], comparison.nodeid

    return sorted(items, key=order)


def leading_finding(comparison: Comparison, *kinds: str) -> Finding | None:
    """Return the most severe finding on a metric of the first of these kinds that was measured; of equals the largest."""
    for kind in kinds:
        findings = [finding for finding in comparison.findings if metric_kind(finding.name) == kind]
        if findings:
            return min(findings, key=_severity)
    return None


def function_changes(before: Mapping[str, float], after: Mapping[str, float]) -> list[str]:
    """Return a line for each function that executes clearly more instructions per call, the largest change first."""
    changes = {name: after[name] - before.get(name, 0.0) for name in after}
    growth = sum(change for change in changes.values() if change > 0)
    largest = sorted(changes, key=lambda name: -changes[name])[:MAX_FUNCTIONS]
    return [
        f"{printable(name)}: {format_count(before.get(name, 0.0))} -> {format_count(after[name])} instructions"
        for name in largest
        if changes[name] > MIN_FUNCTION_SHARE * growth
    ]


def _severity(finding: Finding) -> tuple[int, float]:
    return SEVERITY[finding.verdict or Unjudged.MEASURED], -(finding.change or 0.0)
