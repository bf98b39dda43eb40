"""The summary at the end of a run: a table with one row per test, and a last line that counts every verdict.

Plain ASCII throughout: a log, a pipe and an old terminal show it as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from pytest_perfguard.core.model import Comparison, Finding, Verdict
from pytest_perfguard.core.units import format_amount, format_duration
from pytest_perfguard.engine.report.change_text import change_cell, smallest_in_words
from pytest_perfguard.engine.report.sample_lines import every_metric
from pytest_perfguard.engine.report.text import (
    count_verdicts,
    leading_finding,
    most_severe_first,
    plural,
    shortened,
    verdict_word,
)

#: Verdicts whose reason is printed under the table.
_TOLD = (Verdict.INCONCLUSIVE, Verdict.INCOMPARABLE, Verdict.MISSING)
_LEAST_NAME: Final = 20
#: What a narrow terminal does without, in this order.
_LEAST_WANTED: Final = ("baseline", "base", "cpu", "memory", "leaks")


class Line(NamedTuple):
    """One line of the summary, and how it is coloured where there are colours."""

    text: str
    tone: Literal["", "red", "yellow", "green"] = ""


#: Verdict -> its colour; what is as it was has none.
TONES: Final[Mapping[str, Literal["", "red", "yellow", "green"]]] = {
    "broken": "red", "regression": "red", "leak": "red", "over-limit": "red",
    "inconclusive": "yellow", "incomparable": "yellow", "missing": "yellow", "improvement": "green",
}  # fmt: skip


def summary_lines(comparisons: Sequence[Comparison], *, mode: str, width: int, verbosity: int = 0) -> Iterator[Line]:
    """The table and what there is to say of it; `verbosity` 1: every metric, 2: the samples as well."""
    measured = most_severe_first(
        [comparison for comparison in comparisons if comparison.verdict is not Verdict.MISSING], key=lambda item: item
    )
    if measured:
        lines = table(measured, mode=mode, width=width)
        head = len(lines) - len(measured)
        yield from map(Line, lines[:head])
        for row, comparison in zip(lines[head:], measured, strict=True):
            yield Line(row, TONES.get(verdict_word(comparison), ""))
    for comparison in measured if verbosity > 0 else ():
        yield from map(Line, every_metric(comparison, samples=verbosity > 1))
    yield from (Line(text, "yellow") for text in _reasons(comparisons))
    if mode == "compare":
        yield from map(Line, _paired(comparisons))
    yield from map(Line, _notes(comparisons))


def count_line(comparisons: Sequence[Comparison], *, seconds: float, processes: int) -> str:
    """`perf: 1 regression, 3 unchanged (4 tests, 12 processes, 6.20 s)`."""
    counts = count_verdicts(comparisons)
    told = ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing measured"
    tests = plural(len(comparisons), "test")
    return f"perf: {told} ({tests}, {plural(processes, 'process')}, {format_duration(seconds)})"


def table(comparisons: Sequence[Comparison], *, mode: str, width: int) -> list[str]:
    """One row per test, no wider than `width` where names can be shortened and what matters least left out."""
    from tabulate import tabulate

    columns = _columns(comparisons, mode)
    for name in _LEAST_WANTED:
        if _room(columns, width) < _LEAST_NAME:
            columns.pop(name, None)
    room = max(_LEAST_NAME, _room(columns, width))
    names = [shortened(item.nodeid, room) for item in comparisons]
    align = ["left", *("left" if name == "verdict" else "right" for name in columns)]
    # disable_numparse: "1e5" in a node id is no number
    text = tabulate(
        list(zip(names, *columns.values(), strict=True)), ["test", *columns], tablefmt="simple", colalign=align,
        disable_numparse=True,
    )  # fmt: skip
    return text.splitlines()


def _columns(comparisons: Sequence[Comparison], mode: str) -> dict[str, list[str]]:
    """The cells by the name of their column, from left to right."""
    leaks = {"leaks": _leak_cell} if any(map(_leaks_of, comparisons)) else {}
    kinds: dict[str, Callable[[Comparison], str]] = {"time": _time, "cpu": _cpu, "memory": _memory, **leaks}
    if mode in ("compare", "against"):
        was = "base" if mode == "against" else "baseline"
        kinds = {
            was: _was,
            "now": _now,
            "change": _time_change,
            "memory": _memory_change,
            **leaks,
            "verdict": verdict_word,
        }
    elif any(comparison.verdict or comparison.broken for comparison in comparisons):
        kinds["verdict"] = verdict_word
    return {name: [cell(comparison) for comparison in comparisons] for name, cell in kinds.items()}


def _room(columns: Mapping[str, Sequence[str]], width: int) -> int:
    """What the other columns leave for the names; tabulate pads a header by two, and puts two blanks between."""
    return width - sum(max(map(len, [f"{name}  ", *cells])) + 2 for name, cells in columns.items())


def _was(comparison: Comparison) -> str:
    time = leading_finding(comparison, "time", "cpu")
    return format_amount(time.baseline, time.unit) if time and time.baseline is not None else ""


def _now(comparison: Comparison) -> str:
    return _amount(leading_finding(comparison, "time", "cpu"))


def _time_change(comparison: Comparison) -> str:
    return change_cell(leading_finding(comparison, "time", "cpu"))


def _memory_change(comparison: Comparison) -> str:
    return change_cell(leading_finding(comparison, "memory"))


def _time(comparison: Comparison) -> str:
    return _amount(leading_finding(comparison, "time"))


def _cpu(comparison: Comparison) -> str:
    return _amount(leading_finding(comparison, "cpu"))


def _memory(comparison: Comparison) -> str:
    return _amount(leading_finding(comparison, "memory"))


def _leaks_of(comparison: Comparison) -> list[Finding]:
    return [finding for finding in comparison.findings if finding.name.startswith("leak")]


def _leak_cell(comparison: Comparison) -> str:
    """What leaks per call, the first of it; "none"; or "?" where that could not be told."""
    findings = _leaks_of(comparison)
    leaks = [finding for finding in findings if finding.verdict is Verdict.LEAK]
    if leaks:
        return format_amount(leaks[0].candidate, leaks[0].unit)
    return "" if not findings else "?" if any(finding.verdict for finding in findings) else "none"


def _amount(finding: Finding | None) -> str:
    return format_amount(finding.candidate, finding.unit) if finding else ""


def _reasons(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Why tests were not decided, each reason once: with its test, or above the list of its tests."""
    groups: dict[tuple[Verdict | None, str], list[tuple[str, str]]] = {}
    for comparison in comparisons:
        reason, smallest = _reason(comparison)
        if reason:
            groups.setdefault((comparison.verdict, reason), []).append((comparison.nodeid, smallest))
    for (verdict, reason), tests in groups.items():
        name = tests[0][0] if len(tests) == 1 else plural(len(tests), "test")
        yield f"{verdict}: {name}: {reason}"
        for nodeid, smallest in tests:
            told = [nodeid] * (len(tests) > 1) + [smallest] * bool(smallest)
            yield from [f"    {': '.join(told)}"] if told else []


def _reason(comparison: Comparison) -> tuple[str, str]:
    """Why the test was not decided, and what could have been detected; empty where there is nothing to explain."""
    is_new = comparison.verdict is Verdict.NEW and comparison.pairing is not None
    if comparison.broken or not (comparison.verdict in _TOLD or is_new):
        return "", ""
    if comparison.reason:
        return comparison.reason, ""
    leading = next((finding for finding in comparison.findings if finding.reason), None)
    if leading is None:
        return "", ""
    return leading.reason, smallest_in_words(leading.smallest) if leading.smallest is not None else ""


def _paired(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Which verdicts are not the baseline file's, and why."""
    for comparison in comparisons:
        pairing = comparison.pairing
        if pairing is not None:
            yield f"paired: {comparison.nodeid}: {comparison.verdict} beside {pairing.revision} ({pairing.why})"


def _notes(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """What was remarkable about the measuring, each once: with its test, or with the number of tests."""
    tests: dict[str, list[str]] = {}
    for comparison in comparisons:
        for note in comparison.measurement.notes:
            tests.setdefault(note, []).append(comparison.nodeid)
    for note, names in tests.items():
        yield f"note: {names[0] if len(names) == 1 else plural(len(names), 'test')}: {note}"
