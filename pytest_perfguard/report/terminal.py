"""The summary at the end of a run: a table with one row per test, and a last line that counts every verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from pytest_perfguard.model import RANK, Comparison, Finding, Verdict
from pytest_perfguard.units import format_amount, format_change, format_duration

#: Verdicts whose reason is printed under the table.
_TOLD = (Verdict.INCONCLUSIVE, Verdict.INCOMPARABLE, Verdict.MISSING)
_LEAST_NAME = 20


def summary_lines(comparisons: Sequence[Comparison], *, mode: str, width: int) -> Iterator[str]:
    """The table and the reasons under it."""
    measured = [comparison for comparison in comparisons if comparison.verdict is not Verdict.MISSING]
    if measured:
        yield from table(sorted(measured, key=_order), mode=mode, width=width)
    for comparison in comparisons:
        yield from _reasons(comparison)
    if mode == "compare":
        yield from _paired(comparisons)
    yield from _notes(comparisons)


def count_line(comparisons: Sequence[Comparison], *, seconds: float, processes: int) -> str:
    """`perf: 1 regression, 3 unchanged (4 tests, 12 processes, 6.20 s)`."""
    counts = count_verdicts(comparisons)
    told = ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing measured"
    tests = _plural(len(comparisons), "test")
    return f"perf: {told} ({tests}, {_plural(processes, 'process')}, {format_duration(seconds)})"


def count_verdicts(comparisons: Sequence[Comparison]) -> dict[str, int]:
    """How many tests got which verdict, the gravest first; `measured` where nothing was to be judged."""
    counts = Counter(_word(comparison) for comparison in comparisons)
    order = ["broken", *(str(verdict) for verdict in Verdict), "measured"]
    return {name: counts[name] for name in order if counts[name]}


def table(comparisons: Sequence[Comparison], *, mode: str, width: int) -> list[str]:
    """One row per test, no wider than `width` where the names can be shortened that far."""
    from tabulate import tabulate

    compared = mode in ("compare", "against")
    was = "base" if mode == "against" else "baseline"
    headers = ["test", was, "now", "change", "memory", "verdict"] if compared else ["test", "time", "cpu", "memory"]
    cells = [_compared_cells(item) if compared else _measured_cells(item) for item in comparisons]
    if any(_leaks_of(comparison) for comparison in comparisons):
        at = headers.index("memory") + 1
        headers.insert(at, "leaks")
        cells = [
            [*row[: at - 1], _leak_cell(item), *row[at - 1 :]] for row, item in zip(cells, comparisons, strict=True)
        ]
    if not compared and any(comparison.verdict or comparison.broken for comparison in comparisons):
        headers.append("verdict")
        cells = [[*row, _word(comparison)] for row, comparison in zip(cells, comparisons, strict=True)]
    align = ["left", *["right"] * (len(headers) - 1)]
    if headers[-1] == "verdict":
        align[-1] = "left"
    titles = [f"{header}  " for header in headers[1:]]  # tabulate pads a header by two
    columns = [max(map(len, column)) for column in zip(titles, *cells, strict=True)]
    room = max(_LEAST_NAME, width - sum(columns) - 2 * len(columns))
    rows = [[shortened(item.nodeid, room), *row] for item, row in zip(comparisons, cells, strict=True)]
    # disable_numparse: "1e5" in a node id is no number
    text = tabulate(rows, headers, tablefmt="simple", colalign=align, disable_numparse=True, preserve_whitespace=True)
    return text.splitlines()


def shortened(name: str, width: int) -> str:
    """The name, with its middle left out where it is longer than `width`: both ends tell more."""
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in name)
    if len(shown) <= width:
        return shown
    tail = (width - 3) * 2 // 3
    return f"{shown[: width - 3 - tail]}...{shown[-tail:]}"


def _order(comparison: Comparison) -> tuple[int, str]:
    rank = RANK[comparison.verdict] if comparison.verdict else len(RANK)
    return (-1 if comparison.broken else rank), comparison.nodeid


def _word(comparison: Comparison) -> str:
    if comparison.broken:
        return "broken"
    return str(comparison.verdict) if comparison.verdict else "measured"


def _compared_cells(comparison: Comparison) -> list[str]:
    time = _find(comparison, "time") or _find(comparison, "cpu")
    memory = _find(comparison, "memory")
    was = format_amount(time.baseline, time.unit) if time and time.baseline is not None else ""
    return [was, _amount(time), _change(time), _change(memory), _word(comparison)]


def _measured_cells(comparison: Comparison) -> list[str]:
    return [_amount(_find(comparison, name)) for name in ("time", "cpu", "memory")]


def _find(comparison: Comparison, metric: str) -> Finding | None:
    """The metric's finding; of several points the gravest, then the one that changed most."""
    findings = [finding for finding in comparison.findings if finding.name.partition(":")[0] == metric]
    return min(
        findings,
        key=lambda finding: (RANK[finding.verdict] if finding.verdict else len(RANK), -(finding.ratio or 0.0)),
        default=None,
    )


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


def _change(finding: Finding | None) -> str:
    return format_change(finding.ratio) if finding and finding.ratio is not None else ""


def _reasons(comparison: Comparison) -> Iterator[str]:
    is_new = comparison.verdict is Verdict.NEW and comparison.pairing is not None
    if comparison.broken or not (comparison.verdict in _TOLD or is_new):
        return
    told = [(finding.reason, finding.smallest) for finding in comparison.findings if finding.reason]
    for reason, smallest in [(comparison.reason, None)] if comparison.reason else told[:1]:
        yield f"{comparison.verdict}: {comparison.nodeid}: {reason}"
        if smallest is not None:
            yield f"    the smallest slowdown that this run could have told: {format_change(smallest)}"


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
        yield f"note: {names[0] if len(names) == 1 else _plural(len(names), 'test')}: {note}"


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}es" if noun.endswith("s") else f"{count} {noun}s"
