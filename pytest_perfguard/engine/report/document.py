"""The report as data: the content of the JSON file, and the source of the HTML and Markdown pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pytest_perfguard.core.metric_stats import MetricStats, rounded
from pytest_perfguard.core.model import Comparison, Machine, Pairing, Record
from pytest_perfguard.core.stats.quantiles import quantile
from pytest_perfguard.core.stats.sequential import log_ratio
from pytest_perfguard.engine.report.links import UNKNOWN, Origin
from pytest_perfguard.engine.report.text import count_outcomes

#: Shares at which a report holds the distribution of all rounds. The rounds themselves would take megabytes.
QUANTILES: Final = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


@dataclass(frozen=True)
class MetricSides:
    """One metric of one test on both sides."""

    candidate: MetricStats
    baseline: MetricStats | None = None
    log_ratios: tuple[float, ...] = ()
    """Logarithm of candidate / baseline of each pair of processes, for times measured side by side."""


@dataclass(frozen=True)
class ReportedTest:
    """One test of a report."""

    comparison: Comparison
    sides: Mapping[str, MetricSides] = field(default_factory=dict)
    """The samples of both sides, by metric name."""
    record: Record | None = None
    """The record of this measurement for a baseline file."""
    file: str = ""
    """Path of the test's file, relative to the rootdir."""
    line: int = 0
    """Line of the test in its file, from 1; 0 where it is not known."""
    base: str = ""
    """Revision of the other side."""
    lines: tuple[str, ...] = ()
    """The whole explanation of a failed test."""
    headline: str = ""
    """The explanation in one line."""

    @property
    def nodeid(self) -> str:
        return self.comparison.nodeid


@dataclass(frozen=True)
class Report:
    """One run."""

    mode: str
    machine: Machine
    settings: Mapping[str, object]
    entries: tuple[ReportedTest, ...]
    at: str = ""
    """End of the run in UTC, ISO 8601."""
    commit: str = ""
    """Revision that was measured, with `+` appended if files differed from it."""
    against: str = ""
    """The baseline file or the revision."""
    complete: bool = True
    """False: the run was interrupted, and tests are missing."""
    notes: tuple[str, ...] = ()
    """Notes on the run as a whole, for example that both revisions run the same code."""
    origin: Origin = UNKNOWN

    @property
    def summary(self) -> dict[str, int]:
        """Number of tests per outcome, the most severe first."""
        return count_outcomes([entry.comparison for entry in self.entries])

    @property
    def failed(self) -> int:
        """Number of tests whose verdict fails them."""
        strict = self.settings.get("strict") is True
        return sum(entry.comparison.fails(strict=strict) for entry in self.entries)


def sides_of(comparison: Comparison, record: Record | None) -> dict[str, MetricSides]:
    """Return both sides of every metric: the other one is the paired base, or else the `record` of the baseline file."""
    pairing, samples = comparison.pairing, comparison.measurement.samples
    if pairing is not None:
        return {name: _paired(name, head, pairing) for name, head in samples.items()}
    recorded = record.metrics if record is not None else {}
    return {name: MetricSides(_with_quantiles(now), recorded.get(name)) for name, now in samples.items()}


def sides_of_records(candidate: Record, baseline: Record | None) -> dict[str, MetricSides]:
    """Return both sides of every metric where two files are compared and nothing was measured."""
    recorded = baseline.metrics if baseline is not None else {}
    return {name: MetricSides(stats, recorded.get(name)) for name, stats in candidate.metrics.items()}


def stats_data(stats: MetricStats) -> dict[str, object]:
    """Return the statistics as plain data, with as many digits as the baseline file holds."""
    return {
        "minima": list(map(rounded, stats.minima)),
        "medians": list(map(rounded, stats.medians)),
        "quantiles": list(map(rounded, stats.quantiles)),
    }


def _paired(name: str, head: MetricStats, pairing: Pairing) -> MetricSides:
    base = pairing.measurement.samples.get(name)
    if base is None:
        return MetricSides(_with_quantiles(head))
    ratios = (
        log_ratio(before, now) if head.unit == "s" and len(before) == len(now) else None
        for before, now in zip(base.processes, head.processes, strict=False)
    )
    log_ratios = tuple(ratio for ratio in ratios if ratio is not None)
    return MetricSides(_with_quantiles(head), _with_quantiles(base), log_ratios)


def _with_quantiles(stats: MetricStats) -> MetricStats:
    ordered = sorted(value for rounds in stats.processes for value in rounds)
    return replace(stats, quantiles=tuple(quantile(ordered, share) for share in QUANTILES)) if ordered else stats
