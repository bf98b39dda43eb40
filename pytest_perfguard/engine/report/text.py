"""What all reports say in the same way: the word for a test's outcome, the finding that leads, the order of tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from pytest_perfguard.core.model import RANK, Comparison, Finding, Verdict
from pytest_perfguard.core.text import printable

T = TypeVar("T")


def verdict_word(comparison: Comparison) -> str:
    """The verdict; "broken" where nothing could be measured, "measured" where there was nothing to judge."""
    if comparison.broken:
        return "broken"
    return str(comparison.verdict) if comparison.verdict else "measured"


def count_verdicts(comparisons: Sequence[Comparison]) -> dict[str, int]:
    """How many tests got which verdict, the gravest first; `measured` where nothing was to be judged."""
    counts = Counter(verdict_word(comparison) for comparison in comparisons)
    order = ["broken", *(str(verdict) for verdict in Verdict), "measured"]
    return {name: counts[name] for name in order if counts[name]}


def most_severe_first(items: Iterable[T], key: Callable[[T], Comparison]) -> list[T]:
    """What got worse before what did not, and by node id among equals."""

    def order(item: T) -> tuple[int, str]:
        comparison = key(item)
        rank = RANK[comparison.verdict] if comparison.verdict else len(RANK)
        return (-1 if comparison.broken else rank), comparison.nodeid

    return sorted(items, key=order)


def leading_finding(comparison: Comparison, *metrics: str) -> Finding | None:
    """The finding of the first of these metrics that was taken; of several points the gravest, then what changed most."""
    for metric in metrics:
        findings = [finding for finding in comparison.findings if finding.name.partition(":")[0] == metric]
        if findings:
            return min(findings, key=_weight)
    return None


def shortened(name: str, width: int) -> str:
    """The name, with its middle left out where it is longer than `width`: both ends tell more."""
    shown = printable(name)
    if len(shown) <= width:
        return shown
    tail = (width - 3) * 2 // 3
    return f"{shown[: width - 3 - tail]}...{shown[-tail:]}"


def plural(count: int, noun: str) -> str:
    """`1 test`, `2 tests`, `2 processes`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}es" if noun.endswith("s") else f"{count} {noun}s"


def _weight(finding: Finding) -> tuple[int, float]:
    return (RANK[finding.verdict] if finding.verdict else len(RANK)), -(finding.ratio or 0.0)
