"""The report as nouns: what the JSON file keeps, and what the HTML and Markdown pages are made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pytest_perfguard.core.model import Comparison, Machine, Pairing, Record, Recorded, Samples
from pytest_perfguard.core.stats.quantiles import quantile
from pytest_perfguard.core.stats.sequential import log_ratio
from pytest_perfguard.engine.report.text import count_verdicts
from pytest_perfguard.engine.verdict.summary import rounded

#: Where the distribution of all rounds is kept, as shares: the whole of it would make a report of megabytes.
QUANTILES: Final = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True)
class Spread:
    """How the rounds of one metric lie on one side, per call in the metric's unit."""

    minima: tuple[float, ...]
    """One per process."""
    medians: tuple[float, ...]
    """One per process."""
    quantiles: tuple[float, ...] = ()
    """Of all rounds, at `QUANTILES`; empty where only minima and medians were kept, as in a baseline."""


@dataclass(frozen=True)
class Sides:
    """One metric of one test on its two sides."""

    candidate: Spread
    baseline: Spread | None = None
    log_ratios: tuple[float, ...] = ()
    """One per pair of processes, of what was measured side by side: the logarithm of candidate / baseline."""


@dataclass(frozen=True)
class Entry:
    """One test of a report."""

    comparison: Comparison
    sides: Mapping[str, Sides] = field(default_factory=dict)
    """By metric."""
    record: Record | None = None
    """What a baseline file would keep of this measurement."""
    file: str = ""
    """Of the test, relative to the rootdir."""
    line: int = 0
    """Of the test in its file, from 1; 0: not known."""
    base: str = ""
    """The revision that the other side is of."""
    lines: tuple[str, ...] = ()
    """The whole explanation, of a test that failed."""
    headline: str = ""
    """The same in one line."""

    @property
    def nodeid(self) -> str:
        return self.comparison.nodeid


@dataclass(frozen=True)
class Report:
    """One run."""

    mode: str
    machine: Machine
    settings: Mapping[str, object]
    entries: tuple[Entry, ...]
    at: str = ""
    """The end of the run in UTC, ISO 8601."""
    commit: str = ""
    """The revision that was measured, `+` at its end where the tree had other changes."""
    against: str = ""
    """The baseline file or the revision."""
    complete: bool = True
    """False: the run was interrupted, and tests are lacking."""
    notes: tuple[str, ...] = ()
    """What was remarkable about the run as a whole: that both revisions run the same code, say."""

    @property
    def summary(self) -> dict[str, int]:
        """How many tests got which verdict, the gravest first."""
        return count_verdicts([entry.comparison for entry in self.entries])

    @property
    def failed(self) -> int:
        """How many tests failed by their verdict."""
        strict = self.settings.get("strict") is True
        return sum(entry.comparison.fails(strict=strict) for entry in self.entries)


def sides_of(comparison: Comparison, record: Record | None) -> dict[str, Sides]:
    """Both sides of every metric: beside the base it was paired with, or else the `record` of the baseline file."""
    pairing, samples = comparison.pairing, comparison.measurement.samples
    if pairing is not None:
        return {name: _paired(name, taken, pairing) for name, taken in samples.items()}
    recorded = record.metrics if record is not None else {}
    return {
        name: Sides(_spread(taken), _recorded(recorded[name]) if name in recorded else None)
        for name, taken in samples.items()
    }


def sides_of_records(candidate: Record, baseline: Record | None) -> dict[str, Sides]:
    """Both sides where nothing was measured, but two files are compared."""
    known = baseline.metrics if baseline is not None else {}
    return {
        name: Sides(_recorded(kept), _recorded(known[name]) if name in known else None)
        for name, kept in candidate.metrics.items()
    }


def _paired(name: str, head: Samples, pairing: Pairing) -> Sides:
    base = pairing.measurement.samples.get(name)
    if base is None:
        return Sides(_spread(head))
    ratios: list[float] = []
    for before, now in zip(base.processes, head.processes, strict=False):
        ratio = log_ratio(before, now) if head.unit == "s" and len(before) == len(now) else None
        ratios += [] if ratio is None else [rounded(ratio)]
    return Sides(_spread(head), _spread(base), tuple(ratios))


def _spread(samples: Samples) -> Spread:
    ordered = sorted(value for rounds in samples.processes for value in rounds)
    quantiles = tuple(rounded(quantile(ordered, share)) for share in QUANTILES)
    return Spread(tuple(map(rounded, samples.minima)), tuple(map(rounded, samples.medians)), quantiles)


def _recorded(kept: Recorded) -> Spread:
    return Spread(kept.minima, kept.medians)
