"""Under -v every metric of a test, under -vv its samples, too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_perfguard.core.model import Comparison, Samples
from pytest_perfguard.core.text import printable
from pytest_perfguard.core.units import format_amount
from pytest_perfguard.engine.report.explain import describe_finding
from pytest_perfguard.engine.report.text import plural


def every_metric(comparison: Comparison, *, samples: bool) -> Iterator[str]:
    """A line for each finding, and with `samples` the minimum and the median of each process of both sides."""
    if not comparison.findings:
        return
    yield printable(comparison.nodeid)
    measured = comparison.measurement.samples
    base = comparison.pairing.measurement.samples if comparison.pairing is not None else {}
    width = max(len(finding.name) for finding in comparison.findings)
    for finding in comparison.findings:
        verdict = f"  {finding.verdict}" if finding.verdict else ""
        yield f"  {finding.name:<{width}}  {describe_finding(finding)}{verdict}"
        if samples and finding.name in base:
            yield from _sample_lines("base", base[finding.name])
        if samples and finding.name in measured:
            yield from _sample_lines("now", measured[finding.name])


def _sample_lines(side: str, samples: Samples) -> Iterator[str]:
    head = f"      {side}, {samples.rounds} rounds in {plural(len(samples.minima), 'process')}"
    if len({*samples.minima, *samples.medians}) == 1:
        yield f"{head}: each {format_amount(samples.minimum, samples.unit)}"
        return
    yield head
    yield f"        minima   {_amounts(samples.minima, samples.unit)}"
    yield f"        medians  {_amounts(samples.medians, samples.unit)}"


def _amounts(values: Sequence[float], unit: str) -> str:
    return ", ".join(format_amount(value, unit) for value in values)
