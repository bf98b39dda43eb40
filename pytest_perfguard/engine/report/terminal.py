"""The terminal summary: a table with one row per test, details by verbosity, and a last line of counts.

Plain ASCII throughout, which every log, pipe and terminal can show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Comparison, Finding, Outcome, Unjudged, Verdict
from pytest_perfguard.core.text import printable
from pytest_perfguard.core.units import format_amount, format_duration
from pytest_perfguard.engine.report.explain import describe_finding
from pytest_perfguard.engine.report.text import (
    change_cell,
    count_outcomes,
    counts_in_words,
    leading_finding,
    most_severe_first,
    plural,
    shortened,
    smallest_in_words,
)

Tone = Literal["", "red", "yellow", "green"]

#: Verdicts whose reason is printed below the table.
_EXPLAINED: Final = (Verdict.INCONCLUSIVE, Verdict.INCOMPARABLE, Verdict.MISSING)
_MIN_NAME_WIDTH: Final = 20
#: Columns that a narrow terminal omits, in this order.
_OPTIONAL_COLUMNS: Final = ("baseline", "base", "cpu", "memory", "leaks")


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


def summary_lines(comparisons: Sequence[Comparison], *, mode: str, width: int, verbosity: int = 0) -> Iterator[Line]:
    """Yield the table and the notes; `verbosity` 1 adds every metric, 2 the samples as well."""
    measured = most_severe_first(
        [comparison for comparison in comparisons if comparison.verdict is not Verdict.MISSING], key=lambda item: item
    )
    if measured:
        lines = table(measured, mode=mode, width=width)
        head = len(lines) - len(measured)
        yield from map(Line, lines[:head])
        for row, comparison in zip(lines[head:], measured, strict=True):
            yield Line(row, TONES.get(comparison.outcome, ""))
    for comparison in measured if verbosity > 0 else ():
        yield from map(Line, every_metric(comparison, samples=verbosity > 1))
    yield from (Line(text, "yellow") for text in _reasons(comparisons))
    if mode == "compare":
        yield from map(Line, _paired(comparisons))
    yield from map(Line, _notes(comparisons))


def count_line(comparisons: Sequence[Comparison], *, seconds: float, processes: int) -> str:
    """Return `perf: 1 regression, 3 unchanged (4 tests, 12 processes, 6.20 s)`."""
    tests = plural(len(comparisons), "test")
    counts = counts_in_words(count_outcomes(comparisons))
    return f"perf: {counts} ({tests}, {plural(processes, 'process')}, {format_duration(seconds)})"


def table(comparisons: Sequence[Comparison], *, mode: str, width: int) -> list[str]:
    """Return one row per test, at most `width` wide if shorter names and fewer columns achieve that."""
    from tabulate import tabulate

    columns = _columns(comparisons, mode)
    for name in _OPTIONAL_COLUMNS:
        if _room(columns, width) < _MIN_NAME_WIDTH:
            columns.pop(name, None)
    room = max(_MIN_NAME_WIDTH, _room(columns, width))
    names = [shortened(item.nodeid, room) for item in comparisons]
    align = ["left", *("left" if name == "verdict" else "right" for name in columns)]
    # disable_numparse: "1e5" in a node id is no number
    text = tabulate(
        list(zip(names, *columns.values(), strict=True)), ["test", *columns], tablefmt="simple", colalign=align,
        disable_numparse=True,
    )  # fmt: skip
    return text.splitlines()


def _columns(comparisons: Sequence[Comparison], mode: str) -> dict[str, list[str]]:
    """Return the cells of each column by its name, from left to right."""
    leaks = {"leaks": _leak_cell} if any(map(_leaks_of, comparisons)) else {}
    counts = {"instructions": _instructions} if any(map(_count_of, comparisons)) else {}
    kinds: dict[str, Callable[[Comparison], str]] = {"time": _time, "cpu": _cpu, "memory": _memory, **counts, **leaks}
    if mode in ("compare", "against"):
        kinds = {
            "base" if mode == "against" else "baseline": _before,
            "now": _now,
            "change": _time_change,
            "memory": _memory_change,
            **({"instructions": _instructions_change} if counts else {}),
            **leaks,
            "verdict": _outcome,
        }
    elif any(comparison.outcome is not Unjudged.MEASURED for comparison in comparisons):
        kinds["verdict"] = _outcome
    return {name: [cell(comparison) for comparison in comparisons] for name, cell in kinds.items()}


def _room(columns: Mapping[str, Sequence[str]], width: int) -> int:
    """Return the width left for the names: tabulate pads a header by two, and separates columns by two blanks."""
    return width - sum(max(map(len, [f"{name}  ", *cells])) + 2 for name, cells in columns.items())


def _outcome(comparison: Comparison) -> str:
    return str(comparison.outcome)


def _before(comparison: Comparison) -> str:
    time = leading_finding(comparison, "time", "cpu", "instructions")
    return format_amount(time.baseline, time.unit) if time and time.baseline is not None else ""


def _now(comparison: Comparison) -> str:
    return _amount(leading_finding(comparison, "time", "cpu", "instructions"))


def _time_change(comparison: Comparison) -> str:
    return change_cell(leading_finding(comparison, "time", "cpu", "instructions"))


def _memory_change(comparison: Comparison) -> str:
    return change_cell(leading_finding(comparison, "memory"))


def _time(comparison: Comparison) -> str:
    return _amount(leading_finding(comparison, "time"))


def _cpu(comparison: Comparison) -> str:
    return _amount(leading_finding(comparison, "cpu"))


def _memory(comparison: Comparison) -> str:
    return _amount(leading_finding(comparison, "memory"))


def _count_of(comparison: Comparison) -> Finding | None:
    return leading_finding(comparison, "instructions")


def _instructions(comparison: Comparison) -> str:
    return _amount(_count_of(comparison))


def _instructions_change(comparison: Comparison) -> str:
    return change_cell(_count_of(comparison))


def _leaks_of(comparison: Comparison) -> list[Finding]:
    return [finding for finding in comparison.findings if finding.name.startswith("leak")]


def _leak_cell(comparison: Comparison) -> str:
    """Return the growth per call of the first leak; "none", or "?" where the check was inconclusive."""
    findings = _leaks_of(comparison)
    leaks = [finding for finding in findings if finding.verdict is Verdict.LEAK]
    if leaks:
        return format_amount(leaks[0].candidate, leaks[0].unit)
    return "" if not findings else "?" if any(finding.verdict for finding in findings) else "none"


def _amount(finding: Finding | None) -> str:
    return format_amount(finding.candidate, finding.unit) if finding else ""


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
        yield f"  {finding.name:<{width}}  {describe_finding(finding)}{verdict}"
        if samples and finding.name in base:
            yield from _sample_lines("base", base[finding.name])
        if samples and finding.name in measured:
            yield from _sample_lines("now", measured[finding.name])


def _sample_lines(side: str, samples: MetricStats) -> Iterator[str]:
    head = f"      {side}, {samples.rounds} rounds in {plural(len(samples.minima), 'process')}"
    if len({*samples.minima, *samples.medians}) == 1:
        yield f"{head}: each {format_amount(samples.minimum, samples.unit)}"
        return
    yield head
    yield f"        minima   {_amounts(samples.minima, samples.unit)}"
    yield f"        medians  {_amounts(samples.medians, samples.unit)}"


def _amounts(values: Sequence[float], unit: str) -> str:
    return ", ".join(format_amount(value, unit) for value in values)


def _reasons(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield the reasons for undecided tests, each once: with its test, or above the list of its tests."""
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
    """Return why the test was not decided, and the smallest detectable slowdown; None if there is nothing to explain."""
    is_new = comparison.verdict is Verdict.NEW and comparison.pairing is not None
    if comparison.broken or not (comparison.verdict in _EXPLAINED or is_new):
        return None
    if comparison.reason:
        return comparison.reason, ""
    leading = next((finding for finding in comparison.findings if finding.reason), None)
    if leading is None:
        return None
    return leading.reason, smallest_in_words(leading.smallest) if leading.smallest is not None else ""


def _paired(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield the verdicts that result from pairs instead of the baseline file, and why."""
    for comparison in comparisons:
        pairing = comparison.pairing
        if pairing is not None:
            yield f"paired: {comparison.nodeid}: {comparison.verdict} beside {pairing.revision} ({pairing.why or ''})"


def _notes(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield the notes on the measurements, each once: with its test, or with the number of tests."""
    tests: dict[str, list[str]] = {}
    for comparison in comparisons:
        for note in comparison.measurement.notes:
            tests.setdefault(note, []).append(comparison.nodeid)
    for note, names in tests.items():
        yield f"note: {names[0] if len(names) == 1 else plural(len(names), 'test')}: {note}"
