"""The Markdown report, for pull request comments and GitHub's step summary."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pytest_perfguard.core.model import FAILING, UNSETTLED, Finding, Outcome, Unjudged, Verdict
from pytest_perfguard.core.text import plural, printable
from pytest_perfguard.core.units import format_amount
from pytest_perfguard.engine.report.document import QUANTILES, Report, ReportedTest
from pytest_perfguard.engine.report.summary_table import spread_in_percent
from pytest_perfguard.engine.report.text import (
    change_cell,
    counts_in_words,
    leading_finding,
    most_severe_first,
)

#: GitHub refuses comments of more than 65,536 characters.
MAX_CHARACTERS: Final = 60_000
_TABLE_START: Final = "| test |"
#: Modes that compare nothing: their figures are what the reader came for, so they are not folded.
_MEASURING: Final = ("measure", "baseline")
_SYMBOLS: Final[dict[Outcome, str]] = {
    Unjudged.BROKEN: "🔴",
    Verdict.REGRESSION: "🔴",
    Verdict.LEAK: "🔴",
    Verdict.OVER_LIMIT: "🔴",
    Verdict.IMPROVEMENT: "🟢",
}


def markdown_report(report: Report, max_characters: int = MAX_CHARACTERS) -> str:
    """Return the report, the most severe tests first, cut to `max_characters` with a note on the rest."""
    entries = most_severe_first(report.entries, key=lambda entry: entry.comparison)
    loud = [entry for entry in entries if _is_loud(entry)]
    quiet = [entry for entry in entries if not _is_loud(entry)]
    parts = [f"### perfguard: {counts_in_words(report.summary)}", _origin(report)]
    parts += [f"> {escaped(note)}" for note in report.notes]
    if loud:
        parts.append(_table(loud, _JUDGED_COLUMNS))
    parts += [_details(entry) for entry in loud if entry.lines]
    if quiet and report.mode in _MEASURING:
        parts.append(_table([entry for entry in report.entries if not _is_loud(entry)], _MEASURED_COLUMNS))
    elif quiet:
        table = _table(quiet, _JUDGED_COLUMNS)
        parts.append(_folded(f"{plural(len(quiet), 'test')} without findings", table))
    return _fitted(parts, len(entries), max_characters)


def _is_loud(entry: ReportedTest) -> bool:
    return entry.comparison.outcome in FAILING | UNSETTLED | {Verdict.IMPROVEMENT, Unjudged.BROKEN}


def _origin(report: Report) -> str:
    beside = {"compare": "compared with", "against": "measured side by side with", "history": "history of"}.get(
        report.mode
    )
    parts = [f"{beside} {code(report.against)}"] if beside and report.against else []
    parts += [f"commit {code(report.commit)}"] if report.commit else []
    facts = report.machine.facts
    if facts:
        parts.append(escaped(f"{facts.get('cpu', 'unknown CPU')}, Python {facts.get('python_version', '?')}"))
    parts += [] if report.complete else ["**the run was interrupted: tests are missing**"]
    return " · ".join(parts)


def _table(entries: Sequence[ReportedTest], columns: Mapping[str, Callable[[ReportedTest], str]]) -> str:
    """Return the table with the columns in which any test has a value."""
    shown = {title: cell for title, cell in columns.items() if any(map(cell, entries))}
    rule = "|".join("---" if title in _TEXT_COLUMNS else "--:" for title in shown)
    rows = [" | ".join(cell(entry) for cell in shown.values()) for entry in entries]
    return "\n".join([f"| {' | '.join(shown)} |", f"|{rule}|", *(f"| {row} |" for row in rows)])


def _name(entry: ReportedTest) -> str:
    return code(entry.nodeid, in_table=True)


def _main(entry: ReportedTest) -> Finding | None:
    return leading_finding(entry.comparison, "time", "cpu", "instructions")


def _before(entry: ReportedTest) -> str:
    main = _main(entry)
    return _amount(main, main.baseline if main else None)


def _now(entry: ReportedTest) -> str:
    main = _main(entry)
    return _amount(main, main.candidate if main else None)


def _measured(entry: ReportedTest, kind: str) -> str:
    finding = leading_finding(entry.comparison, kind)
    return _amount(finding, finding.candidate if finding else None)


def _changed(entry: ReportedTest, kind: str) -> str:
    """Return the change of a metric that is not the main one of the test."""
    finding = leading_finding(entry.comparison, kind)
    return "" if finding is _main(entry) else change_cell(finding)


def _outcome(entry: ReportedTest) -> str:
    outcome = entry.comparison.outcome
    return f"{_SYMBOLS.get(outcome, '')} {outcome}".strip()


def _spread(entry: ReportedTest) -> str:
    time = leading_finding(entry.comparison, "time")
    sides = entry.sides.get(time.name) if time is not None else None
    quantiles = dict(zip(QUANTILES, sides.candidate.quantiles, strict=False)) if sides is not None else {}
    return spread_in_percent(*(quantiles[share] for share in (0.25, 0.5, 0.75))) if quantiles else ""


def _amount(finding: Finding | None, value: float | None) -> str:
    return "" if finding is None or value is None else format_amount(value, finding.unit)


_JUDGED_COLUMNS: Final[Mapping[str, Callable[[ReportedTest], str]]] = {
    "test": _name,
    "before": _before,
    "now": _now,
    "change": lambda entry: change_cell(_main(entry)),
    "memory": lambda entry: _changed(entry, "memory"),
    "instructions": lambda entry: _changed(entry, "instructions"),
    "verdict": _outcome,
}
_MEASURED_COLUMNS: Final[Mapping[str, Callable[[ReportedTest], str]]] = {
    "test": _name,
    "time": lambda entry: _measured(entry, "time"),
    "±": _spread,
    "CPU": lambda entry: _measured(entry, "cpu"),
    "memory": lambda entry: _measured(entry, "memory"),
    "instructions": lambda entry: _measured(entry, "instructions"),
}
_TEXT_COLUMNS: Final = ("test", "verdict")


def _details(entry: ReportedTest) -> str:
    text = "\n".join(printable(line) for line in entry.lines)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return _folded(html_text(f"{entry.nodeid}: {entry.headline}"), f"{fence}text\n{text}\n{fence}")


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


def _fitted(parts: Sequence[str], tests: int, max_characters: int) -> str:
    """Return the parts that fit, in order; of a table the first rows."""
    note = f"The report on {plural(tests, 'test')} is too long for this place; see the HTML or JSON report."
    kept: list[str] = []
    room = max_characters - len(note) - 4
    for part in parts:
        if len(part) + 2 > room:
            table = _cut(part, room) if part.startswith(_TABLE_START) else ""
            return "\n\n".join([*kept, *([table] if table else []), note]) + "\n"
        kept.append(part)
        room -= len(part) + 2
    return "\n\n".join(kept) + "\n"


def _cut(table: str, room: int) -> str:
    """Return as many lines of a table as fit."""
    return table[: max(0, room - 2)].rpartition("\n")[0]


def code(text: str, *, in_table: bool = False) -> str:
    """Return a code span of any text. Within a table, a bar is escaped: it would end the cell."""
    shown = printable(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    span = f"{fence}{space}{shown}{space}{fence}"
    return span.replace("|", "\\|") if in_table else span


def escaped(text: str) -> str:
    """Return plain text without any meaning in Markdown or HTML; an @ mentions no user."""
    shown = html_text(text)
    return re.sub(r"[\\`*_\[\]#|~]", r"\\\g<0>", shown)


def html_text(text: str) -> str:
    """Return plain text for an HTML element, in which Markdown has no meaning."""
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "@\u200b")
