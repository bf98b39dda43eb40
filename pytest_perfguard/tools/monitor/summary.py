"""Snapshot of a monitor's series, as values and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pytest_perfguard.core.units import format_amount
from pytest_perfguard.tools.monitor.histogram import HistogramStats


@dataclass(frozen=True)
class Summary:
    """All series by their text, `db.query{table="users"}`. `print` shows a table."""

    counters: Mapping[str, float]
    gauges: Mapping[str, float]
    timers: Mapping[str, HistogramStats]
    """In seconds."""
    histograms: Mapping[str, HistogramStats]

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        from tabulate import tabulate

        rows = [[name, *_cells(stats, "s")] for name, stats in self.timers.items()]
        rows += [[name, *_cells(stats, "")] for name, stats in self.histograms.items()]
        headers = ["timers and histograms", "count", "mean", "p50", "p95", "p99", "max", "sum"]
        numbers = ["right"] * (len(headers) - 1)
        if rows:
            yield tabulate(rows, headers, colalign=["left", *numbers], disable_numparse=True)
        levels = [[name, f"{value:,.6g}"] for name, value in {**self.counters, **self.gauges}.items()]
        if rows and levels:
            yield ""
        if levels:
            yield tabulate(levels, ["counters and gauges", "value"], colalign=["left", "right"], disable_numparse=True)
        if not rows and not levels:
            yield "nothing was recorded"


def _cells(stats: HistogramStats, unit: str) -> list[str]:
    amounts = (stats.mean, stats.p50, stats.p95, stats.p99, stats.max, stats.sum)
    return [str(stats.count), *(format_amount(amount, unit).strip() for amount in amounts)]
