"""The table of the terminal summary: a heading for each group of tests, a row per test, and the columns that fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pytest_perfguard.core.metric_names import are_counts
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Comparison, Finding, Unjudged, Verdict
from pytest_perfguard.core.stats.quantiles import quantile
from pytest_perfguard.core.text import printable
from pytest_perfguard.core.units import format_amount, format_factor
from pytest_perfguard.engine.report.text import BARS, change_cell, leading_finding

_MIN_NAME_WIDTH: Final = 20
#: Part of the width that names may take before columns are omitted for them. A longer name has a line of its own.
_NAME_SHARE: Final = 0.45
_INDENT: Final = "  "
#: Columns that a narrow terminal omits, in this order.
_OPTIONAL_COLUMNS: Final = (
    "distribution", "baseline", "base", "cpu", "max", "rounds", "median", "spread", "relative", "instructions", "memory",
    "leaks",
)  # fmt: skip
#: Stands for a value that was not measured. A note below the table gives the reason.
NOT_MEASURED: Final = "-"
_BINS: Final = 12
#: Rounds beyond this many interquartile ranges above the upper quartile count in the last bin.
_MAX_RANGES: Final = 3.0


class TableGroup(NamedTuple):
    """Tests that stand together in the table."""

    title: str
    tests: Sequence[Comparison]
    compared: bool = False
    """Whether the times of all of them are compared with the fastest; otherwise those of one test's parameters."""

    @property
    def heading(self) -> str:
        """The title, and the file that all tests of the group have in common."""
        common = self._common_file
        if len(self.tests) == 1 and self.title == self.label(self.tests[0]):
            return common  # the row has the same name
        return " ".join(filter(None, [self.title, f"({common})" if common not in ("", self.title) else ""]))

    def label(self, test: Comparison) -> str:
        """Return the name of a test below the heading: without its file where the heading has it."""
        common = self._common_file
        return printable(test.nodeid.removeprefix(f"{common}::") if common else test.nodeid)

    @property
    def _common_file(self) -> str:
        files = {_file_of(test.nodeid) for test in self.tests}
        return files.pop() if len(files) == 1 else ""


class Row(NamedTuple):
    """A line of the table, and the test whose row it is; None: a heading, or a name that continues in the next line."""

    text: str
    test: Comparison | None = None


@dataclass(frozen=True)
class TableStyle:
    """Form of the table."""

    mode: str
    width: int
    detailed: bool = False
    """Whether to add the columns that `-v` requests."""
    unicode: bool = False
    """Whether the output can show characters beyond ASCII."""
    terminal: bool = False
    """Whether the output is a terminal, and no log."""
    traced: Callable[[str], bool] = lambda _nodeid: False
    """Whether the memory of the test of a node id was to be measured."""

    @property
    def judges(self) -> bool:
        """Whether the tests are compared with something."""
        return self.mode in ("compare", "against")


@dataclass
class _Column:
    """Cells of one column, one per test."""

    title: str
    cells: list[str] = field(default_factory=list)
    left: bool = False

    @property
    def width(self) -> int:
        return max(map(len, [self.title, *self.cells]))

    def __bool__(self) -> bool:
        return any(self.cells)


def by_file(comparisons: Iterable[Comparison]) -> list[TableGroup]:
    """Group the tests by their file, in the order of the first test of each."""
    files: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        files.setdefault(_file_of(comparison.nodeid), []).append(comparison)
    return [TableGroup(file, tests) for file, tests in files.items()]


def table_rows(groups: Sequence[TableGroup], style: TableStyle) -> list[Row]:
    """Return the lines of the table, at most `width` wide if fewer columns achieve that.

    A longer name goes on in the next line on a terminal, and is in one piece in a log.
    """
    columns = _columns(groups, style)
    labels = [group.label(test) for group in groups for test in group.tests]
    longest = len(_INDENT) + max(map(len, labels), default=0)
    wanted = min(longest, max(_MIN_NAME_WIDTH, int(style.width * _NAME_SHARE)))
    for name in _OPTIONAL_COLUMNS:
        if _room(columns, style.width) < wanted:
            columns.pop(name, None)
    room = min(longest, max(_MIN_NAME_WIDTH, _room(columns, style.width)))
    shown = list(columns.values())
    head = [_line("test", room, [(column, column.title) for column in shown])]
    head.append(_line("-" * room, room, [(column, "-" * column.width) for column in shown]))
    return [*map(Row, head), *_body(groups, shown, room, style.width if style.terminal else None)]


def missing_values(comparisons: Iterable[Comparison], style: TableStyle) -> Iterator[tuple[str, str]]:
    """Yield (reason, node id) for each test whose memory was to be measured and was not, or without a count beside counts."""
    shown = list(comparisons)
    for comparison in () if style.judges else shown:
        if reason := _no_memory(comparison, style):
            yield reason, comparison.nodeid
    if any(map(_count, shown)):
        yield from ((reason, test.nodeid) for test in shown if (reason := _no_count(test, style)))


def _body(groups: Sequence[TableGroup], columns: Sequence[_Column], room: int, width: int | None) -> Iterator[Row]:
    number, last = 0, ""
    for group in groups:
        if group.heading != last:
            yield from map(Row, _wrapped(printable(group.heading), width))
        last = group.heading
        for test in group.tests:
            label = _INDENT + group.label(test)
            if len(label) > room:
                yield from map(Row, _wrapped(label, width))
                label = ""
            yield Row(_line(label, room, [(column, column.cells[number]) for column in columns]), test)
            number += 1


def _line(name: str, room: int, cells: Iterable[tuple[_Column, str]]) -> str:
    texts = [f"{text:<{column.width}}" if column.left else f"{text:>{column.width}}" for column, text in cells]
    return "  ".join([f"{name:<{room}}", *texts]).rstrip()


def _wrapped(text: str, width: int | None) -> list[str]:
    return [text[start : start + width] for start in range(0, len(text), width)] if width else [text]


def _room(columns: Mapping[str, _Column], width: int) -> int:
    return width - sum(column.width + 2 for column in columns.values())


def _columns(groups: Sequence[TableGroup], style: TableStyle) -> dict[str, _Column]:
    """Return the columns by name, from left to right, without those that would be empty."""
    tests = [test for group in groups for test in group.tests]
    columns = _judged_columns(tests, style) if style.judges else _measured_columns(groups, tests, style)
    if style.judges or any(test.outcome is not Unjudged.MEASURED for test in tests):
        columns["verdict"] = _Column("verdict", [str(test.outcome) for test in tests], left=True)
    return {name: column for name, column in columns.items() if column}


def _judged_columns(tests: Sequence[Comparison], style: TableStyle) -> dict[str, _Column]:
    before = "base" if style.mode == "against" else "baseline"
    is_timed = any(leading_finding(test, "time", "cpu") for test in tests)  # else the change is that of the count
    return {
        before: _Column(before, [_before(_main(test)) for test in tests]),
        "now": _Column("now", [_amount(_main(test)) for test in tests]),
        "change": _Column("change", [change_cell(_main(test)) if is_timed else "" for test in tests]),
        "memory": _Column("memory", [change_cell(leading_finding(test, "memory")) for test in tests]),
        "instructions": _Column("instructions", _count_cells(tests, style)),
        "leaks": _Column("leaks", list(map(_leak_cell, tests))),
    }


def _measured_columns(
    groups: Sequence[TableGroup], tests: Sequence[Comparison], style: TableStyle
) -> dict[str, _Column]:
    rounds = [_rounds(test) for test in tests]
    extra = {
        "median": _Column("median", [_statistic(test, 0.5) for test in tests]),
        "max": _Column("max", [_statistic(test, 1.0) for test in tests]),
        "rounds": _Column("rounds", list(map(_rounds_cell, tests))),
    }
    plots = [histogram(values) for values in rounds] if style.unicode else [""] * len(tests)
    return {
        "time": _Column("time", [_amount(leading_finding(test, "time")) for test in tests]),
        "spread": _Column("±" if style.unicode else "+-", list(map(_spread_cell, rounds))),
        **(extra if style.detailed else {}),
        "relative": _Column("relative", [cell for group in groups for cell in _relative(group)]),
        "cpu": _Column("cpu", [_amount(leading_finding(test, "cpu")) for test in tests]),
        "memory": _Column("memory", [_memory_cell(test, style) for test in tests]),
        "instructions": _Column("instructions", _count_cells(tests, style)),
        "leaks": _Column("leaks", list(map(_leak_cell, tests))),
        "distribution": _Column("distribution", plots, left=True),
    }


def histogram(values: Sequence[float]) -> str:
    """Return the distribution of the rounds as bars, from the fastest on; empty for fewer than four rounds.

    The last bar counts the outliers as well, which would otherwise squeeze all others into the first.
    """
    if len(values) < 4:
        return ""
    ordered = sorted(values)
    low, upper = ordered[0], quantile(ordered, 0.75)
    high = min(ordered[-1], upper + _MAX_RANGES * (upper - quantile(ordered, 0.25)))
    if high <= low:
        return BARS[-1] + BARS[0] * (_BINS - 1)
    counts = [0] * _BINS
    for value in ordered:
        counts[min(_BINS - 1, int((value - low) / (high - low) * _BINS))] += 1
    top = max(counts)
    return "".join(BARS[-(-count * (len(BARS) - 1) // top)] for count in counts)


def _spread_cell(values: Sequence[float]) -> str:
    """Return the spread of the rounds; empty for a single round."""
    ordered = sorted(values)
    if len(ordered) < 2:
        return ""
    return spread_in_percent(*(quantile(ordered, share) for share in (0.25, 0.5, 0.75)))


def spread_in_percent(lower: float, median: float, upper: float) -> str:
    """Return half of the distance between the quartiles as a percentage of the median; empty if that is 0."""
    if not median:
        return ""
    percent = (upper - lower) / 2 / median * 100
    return f"{percent:.1f} %" if percent < 10 else f"{percent:.0f} %"


def _file_of(nodeid: str) -> str:
    file, colons, _name = nodeid.partition("::")
    return file if colons else ""


def _stats(comparison: Comparison) -> MetricStats | None:
    time = _time(comparison)
    return comparison.measurement.samples.get(time.name) if time is not None else None


def _rounds(comparison: Comparison) -> list[float]:
    stats = _stats(comparison)
    return [value for rounds in stats.processes for value in rounds] if stats is not None else []


def _statistic(comparison: Comparison, share: float) -> str:
    values = sorted(_rounds(comparison))
    return format_amount(quantile(values, share), "s") if values else ""


def _rounds_cell(comparison: Comparison) -> str:
    """Return `40 x 123`: rounds, and calls in each."""
    stats = _stats(comparison)
    calls = next(iter(comparison.measurement.iterations.values()), 1)
    return f"{stats.rounds} x {calls}" if stats is not None and stats.rounds else ""


def _relative(group: TableGroup) -> Iterator[str]:
    """Yield for each test how many times as long it takes as the fastest that it is compared with."""
    families: dict[str, list[float]] = {}
    for test in group.tests:
        if (time := _time(test)) is not None and time.candidate > 0:
            families.setdefault(_family(group, test), []).append(time.candidate)
    for test in group.tests:
        times, own = families.get(_family(group, test), []), _time(test)
        shown = own is not None and own.candidate > 0 and len(times) > 1
        yield format_factor(own.candidate / min(times)) if shown and own is not None else ""


def _family(group: TableGroup, test: Comparison) -> str:
    return "" if group.compared else test.nodeid.partition("[")[0]


def _time(comparison: Comparison) -> Finding | None:
    return leading_finding(comparison, "time", "cpu")


def _main(comparison: Comparison) -> Finding | None:
    """Return the finding of the columns of both sides: the counts of a test that was not timed."""
    return _time(comparison) or _count(comparison)


def _count(comparison: Comparison) -> Finding | None:
    return leading_finding(comparison, "instructions")


def _before(finding: Finding | None) -> str:
    return format_amount(finding.baseline, finding.unit) if finding and finding.baseline is not None else ""


def _amount(finding: Finding | None) -> str:
    return format_amount(finding.candidate, finding.unit) if finding else ""


def _memory_cell(comparison: Comparison, style: TableStyle) -> str:
    return _amount(leading_finding(comparison, "memory")) or (NOT_MEASURED if _no_memory(comparison, style) else "")


def _no_memory(comparison: Comparison, style: TableStyle) -> str:
    """Return why the memory of a test is missing although it was to be measured; empty if it is not."""
    measured, time = comparison.measurement, leading_finding(comparison, "time")
    known = time is None or comparison.broken or leading_finding(comparison, "memory") is not None
    if time is None or known or not style.traced(comparison.nodeid):
        return ""
    if measured.conditions.get("single"):
        return "memory not traced: one call per set-up"
    return (
        "memory not traced: call above 1 s" if time.candidate >= 1 else "memory not traced: it times its calls itself"
    )


def _count_cells(tests: Sequence[Comparison], style: TableStyle) -> list[str]:
    """Return the counts, or their changes where tests are judged; empty cells if no test has a count."""
    if not any(map(_count, tests)):
        return [""] * len(tests)
    shown = change_cell if style.judges else _amount
    return [NOT_MEASURED if _no_count(test, style) else shown(_count(test)) for test in tests]


def _no_count(comparison: Comparison, style: TableStyle) -> str:
    """Return why a test with figures has no count, or none that can be compared; empty if it has one, or no figures."""
    finding = _count(comparison)
    if comparison.broken or not comparison.findings or comparison.verdict in (Verdict.NEW, Verdict.INCOMPARABLE):
        return ""
    if style.judges and finding is not None and finding.verdict is None:
        return f"instructions not compared: {finding.reason or 'the other side has no count of it'}"
    if finding is not None:
        return ""
    counted = any(are_counts([name]) for name in comparison.measurement.samples)
    return (
        "instructions not compared: the other side was only timed"
        if counted
        else "only timed: instructions not counted"
    )


def _leaks_of(comparison: Comparison) -> list[Finding]:
    return [finding for finding in comparison.findings if finding.name.startswith("leak")]


def _leak_cell(comparison: Comparison) -> str:
    """Return the growth per call of the first leak; "none", or "?" where the check was inconclusive."""
    findings = _leaks_of(comparison)
    leaks = [finding for finding in findings if finding.verdict is Verdict.LEAK]
    if leaks:
        return format_amount(leaks[0].candidate, leaks[0].unit)
    return "" if not findings else "?" if any(finding.verdict for finding in findings) else "none"
