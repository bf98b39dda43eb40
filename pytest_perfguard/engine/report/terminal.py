"""The terminal summary: the table, notes, details as verbosity requests them, and a last line of counts.

Plain ASCII, which every log, pipe and terminal can show, unless the style of the table permits more.
"""

from __future__ import annotations

import statistics
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Final, Literal, NamedTuple

from pytest_perfguard.core.metric_names import are_counts
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Comparison, Outcome, Unjudged, Verdict
from pytest_perfguard.core.text import plural, printable
from pytest_perfguard.core.units import format_amount, format_duration
from pytest_perfguard.engine.report.explain import describe_finding
from pytest_perfguard.engine.report.summary_table import TableGroup, TableStyle, by_file, missing_values, table_rows
from pytest_perfguard.engine.report.text import (
    count_outcomes,
    counts_in_words,
    most_severe_first,
    smallest_in_words,
)
from pytest_perfguard.engine.runner.accumulator import BUSY_NOTE
from pytest_perfguard.engine.verdict.instructions import COUNT_THRESHOLD
from pytest_perfguard.engine.verdict.stopping import RECORDED_PROCESSES

Tone = Literal["", "red", "yellow", "green"]

#: Verdicts whose reason is printed below the table.
_EXPLAINED: Final = (Verdict.INCONCLUSIVE, Verdict.INCOMPARABLE, Verdict.MISSING)
#: A test computes if its CPU time is at least this part of its wall time.
_COMPUTES: Final = 0.9
#: Part of the wall time in which other processes had the CPU, from which on the summary remarks on the machine.
_BUSY_FROM: Final = 1 / 3


class Line(NamedTuple):
    """One line of the summary, and its colour on a terminal with colours."""

    text: str
    tone: Tone = ""


#: Outcome -> its colour. Outcomes without a change have none.
TONES: Final[Mapping[Outcome, Tone]] = {
    Unjudged.BROKEN: "red",
    Verdict.REGRESSION: "red",
    Verdict.LEAK: "red",
    Verdict.OVER_LIMIT: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.INCOMPARABLE: "yellow",
    Verdict.MISSING: "yellow",
    Verdict.IMPROVEMENT: "green",
}


def summary_lines(
    comparisons: Sequence[Comparison],
    style: TableStyle,
    groups: Sequence[TableGroup] | None = None,
    *,
    verbosity: int = 0,
) -> Iterator[Line]:
    """Yield the table of the `groups` and the notes; `verbosity` 1 adds every metric, 2 the samples as well.

    Without `groups` the tests are grouped by file, the most severe first where they are judged.
    """
    measured = [comparison for comparison in comparisons if comparison.verdict is not Verdict.MISSING]
    if measured:
        if groups is None:
            groups = by_file(most_severe_first(measured, lambda item: item) if style.judges else measured)
        for text, test in table_rows(groups, style):
            yield Line(text, TONES.get(test.outcome, "") if test is not None else "")
    for comparison in measured if verbosity > 0 else ():
        yield from map(Line, every_metric(comparison, samples=verbosity > 1))
    for line in _remarks(comparisons, measured, style):
        yield from (line._replace(text=text) for text in _folded(line.text, style))


def _remarks(comparisons: Sequence[Comparison], measured: Sequence[Comparison], style: TableStyle) -> Iterator[Line]:
    """Yield the lines below the table."""
    yield from (Line(text, "yellow") for text in _reasons(comparisons))
    if style.mode == "compare":
        yield from map(Line, _paired(comparisons))
    busy = list(_busy_machine(comparisons))
    left_out = {BUSY_NOTE} if busy else set()  # says the same, and less
    yield from map(Line, _notes(comparisons, missing_values(comparisons, style), left_out))
    yield from (Line(text, "yellow") for text in busy)
    if style.mode == "measure":
        yield from map(Line, _quick_look(measured, style))


def _folded(text: str, style: TableStyle) -> list[str]:
    """Return the lines of a remark: of the terminal's width, but one line in a log, where it may be searched for."""
    if not style.terminal or len(text) <= style.width:
        return [text]
    indent = " " * (len(text) - len(text.lstrip()) + 4)
    return textwrap.wrap(
        text, style.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False,
        drop_whitespace=True, replace_whitespace=False,
    )  # fmt: skip


def count_line(comparisons: Sequence[Comparison], *, seconds: float, processes: int) -> str:
    """Return `perf: 1 regression, 3 unchanged (4 tests, 12 processes, 6.20 s)`; accepted regressions count there as well."""
    accepted = sum(bool(comparison.accepted_by) for comparison in comparisons)
    parts = [
        plural(len(comparisons), "test"),
        *([f"{plural(accepted, 'regression')} accepted"] if accepted else []),
        plural(processes, "process"),
        format_duration(seconds),
    ]
    return f"perf: {counts_in_words(count_outcomes(comparisons))} ({', '.join(parts)})"


def every_metric(comparison: Comparison, *, samples: bool) -> Iterator[str]:
    """Yield a line per finding; with `samples` also the minimum and the median of each process of both sides."""
    if not comparison.findings:
        return
    yield printable(comparison.nodeid)
    measured = comparison.measurement.samples
    base = comparison.pairing.measurement.samples if comparison.pairing is not None else {}
    width = max(len(finding.name) for finding in comparison.findings)
    for finding in comparison.findings:
        verdict = f"  {finding.verdict}" if finding.verdict else ""
        spread = _spread(measured.get(finding.name), comparison) if finding.verdict is None else ""
        yield f"  {finding.name:<{width}}  {describe_finding(finding)}{verdict}{spread}"
        if samples and finding.name in base:
            yield from _sample_lines("base", base[finding.name])
        if samples and finding.name in measured:
            yield from _sample_lines("now", measured[finding.name])


def _spread(stats: MetricStats | None, comparison: Comparison) -> str:
    """Return `; median 51.0 ms, max 52.3 ms, 40 rounds of 3 calls` for a time that was not judged; empty for all else."""
    if stats is None or stats.unit != "s" or not stats.processes:
        return ""
    values = [value for rounds in stats.processes for value in rounds]
    calls = next(iter(comparison.measurement.iterations.values()), 1)
    middle, high = (format_amount(value, "s") for value in (statistics.median(values), max(values)))
    return f"; median {middle}, max {high}, {plural(stats.rounds, 'round')} of {plural(calls, 'call')}"


def _sample_lines(side: str, samples: MetricStats) -> Iterator[str]:
    head = f"      {side}, {plural(samples.rounds, 'round')} in {plural(len(samples.minima), 'process')}"
    if len({*samples.minima, *samples.medians}) == 1:
        yield f"{head}: each {format_amount(samples.minimum, samples.unit)}"
        return
    yield head
    yield f"        minima   {_amounts(samples.minima, samples.unit)}"
    yield f"        medians  {_amounts(samples.medians, samples.unit)}"


def _amounts(values: Sequence[float], unit: str) -> str:
    return ", ".join(format_amount(value, unit) for value in values)


def _reasons(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield the reasons of verdicts that need one, each once: with its test, or above the list of its tests."""
    groups: dict[tuple[Verdict | None, str], list[tuple[str, str]]] = {}
    for comparison in comparisons:
        if found := _reason(comparison):
            reason, smallest = found
            groups.setdefault((comparison.verdict, reason), []).append((comparison.nodeid, smallest))
    for (verdict, reason), tests in groups.items():
        name = tests[0][0] if len(tests) == 1 else plural(len(tests), "test")
        yield f"{verdict}: {name}: {reason}"
        for nodeid, smallest in tests:
            parts = [nodeid] * (len(tests) > 1) + [smallest] * bool(smallest)
            yield from [f"    {': '.join(parts)}"] if parts else []


def _reason(comparison: Comparison) -> tuple[str, str] | None:
    """Return the reason of a verdict that needs one, and the smallest detectable slowdown; None for any other."""
    is_new = comparison.verdict is Verdict.NEW and comparison.pairing is not None
    if comparison.broken or not (comparison.verdict in _EXPLAINED or is_new or _is_unchanged_for_a_reason(comparison)):
        return None
    if comparison.reason:
        return comparison.reason, ""
    leading = next((finding for finding in comparison.findings if finding.reason), None)
    if leading is None:
        return None
    return leading.reason, smallest_in_words(leading.smallest) if leading.smallest is not None else ""


def _is_unchanged_for_a_reason(comparison: Comparison) -> bool:
    """Return whether a test is unchanged although a metric changed: its count cleared its time, or counts vary by as much."""
    changed = [finding for finding in comparison.findings if finding.ratio and abs(finding.ratio - 1) > COUNT_THRESHOLD]
    return comparison.verdict is Verdict.UNCHANGED and any(finding.reason for finding in changed)


def _paired(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield the verdicts that result from pairs instead of the baseline file, and why."""
    for comparison in comparisons:
        pairing = comparison.pairing
        if pairing is not None:
            yield f"paired: {comparison.nodeid}: {comparison.verdict} beside {pairing.revision} ({pairing.why or ''})"


def _notes(comparisons: Sequence[Comparison], missing: Iterable[tuple[str, str]], left_out: Set[str]) -> Iterator[str]:
    """Yield the other notes on the measurements, each once: with its test, or with the number of tests."""
    tests: dict[str, list[str]] = {}
    for comparison in comparisons:
        for note in (note for note in comparison.measurement.notes if note not in left_out):
            tests.setdefault(note, []).append(comparison.nodeid)
    for note, nodeid in missing:
        tests.setdefault(note, []).append(nodeid)
    for note, names in tests.items():
        yield f"note: {names[0] if len(names) == 1 else plural(len(names), 'test')}: {note}"


def _busy_machine(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield a remark if other processes kept a test that computes from its CPU for a large part of the time."""
    lost = max((item.measurement.lost for item in comparisons if item.measurement.busy >= _COMPUTES), default=0.0)
    if lost >= _BUSY_FROM:
        yield (
            f"wall is up to {1 / (1 - lost):.1f}x its CPU time: the machine is busy, which is left out of the figures; "
            "measure again when it is quiet"
        )


def _quick_look(comparisons: Sequence[Comparison], style: TableStyle) -> Iterator[str]:
    """Yield a legend, and the number of processes on which the times rest; nothing if there are only counts."""
    timed = [item.measurement for item in comparisons if not are_counts(item.measurement.samples)]
    counts = Counter(measurement.processes for measurement in timed if measurement.processes)
    if not counts:
        return
    (usual, _tests), *others = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = "".join(f" ({plural(tests, 'test')} on {number})" for number, tests in others)
    spread = "±" if style.unicode else "+-"
    yield f"time: fastest round per call; {spread}: half the interquartile range of the rounds"
    yield f"a quick look: figures rest on {plural(usual, 'process')}{rest}; --perf-baseline takes {RECORDED_PROCESSES}"
