"""The report as a table for spreadsheets: one row per test and metric. docs/report.md documents the columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Final

from pytest_perfguard.core.model import Finding
from pytest_perfguard.core.stats.quantiles import quantile
from pytest_perfguard.core.text import csv_cell
from pytest_perfguard.engine.report.document import Report, ReportedTest

COLUMNS: Final = (
    "test", "outcome", "metric", "unit", "value", "min", "median", "max", "rounds", "calls", "processes", "baseline",
    "ratio", "ratio_low", "ratio_high", "verdict", "accepted", "commit", "against", "at",
)  # fmt: skip


def csv_report(report: Report) -> str:
    """Return the report as CSV with a header; a test without any metric has one row."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in report.entries:
        for row in _rows(entry):
            writer.writerow([csv_cell(value) for value in (*row, report.commit, report.against, report.at)])
    return stream.getvalue()


def _rows(entry: ReportedTest) -> Iterator[list[object]]:
    head = [entry.nodeid, str(entry.comparison.outcome)]
    accepted = "; ".join(map(str, entry.comparison.accepted_by))
    for finding in entry.comparison.findings:
        yield [*head, *_cells(entry, finding), accepted]
    if not entry.comparison.findings:
        yield [*head, *[None] * (len(COLUMNS) - len(head) - 4), accepted]


def _cells(entry: ReportedTest, finding: Finding) -> list[object]:
    measured, sides = entry.comparison.measurement, entry.sides.get(finding.name)
    low, middle, high = _distribution(sides.candidate.quantiles if sides is not None else ())
    interval = finding.interval or (None, None)
    calls = next(iter(measured.iterations.values()), None)
    return [
        finding.name, finding.unit, finding.candidate, low, middle, high, finding.rounds, calls, measured.processes,
        finding.baseline, finding.ratio, *interval, str(finding.verdict or ""),
    ]  # fmt: skip


def _distribution(quantiles: tuple[float, ...]) -> tuple[float | None, float | None, float | None]:
    """Return the minimum, the median and the maximum of all rounds, where they are known."""
    if not quantiles:
        return None, None, None
    return quantiles[0], quantile(quantiles, 0.5), quantiles[-1]
