"""The Markdown report: fits a pull request's comment and GitHub's step summary."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from pytest_perfguard.core.model import FAILING, UNSETTLED, Finding, Verdict
from pytest_perfguard.core.text import printable
from pytest_perfguard.core.units import format_amount
from pytest_perfguard.engine.report.change_text import change_cell
from pytest_perfguard.engine.report.document import Entry, Report
from pytest_perfguard.engine.report.text import leading_finding, most_severe_first, plural, verdict_word

#: GitHub refuses comments of more than 65,536 characters.
MOST_CHARACTERS: Final = 60_000
_HEAD: Final = ["| test | was | now | change | memory | verdict |", "|---|--:|--:|--:|--:|---|"]
_SYMBOLS: Final = {"regression": "🔴", "leak": "🔴", "over-limit": "🔴", "broken": "🔴", "improvement": "🟢"}


def markdown_report(report: Report, most: int = MOST_CHARACTERS) -> str:
    """The report, the gravest first; what would make it longer than `most` characters is left out and counted."""
    entries = most_severe_first(report.entries, key=lambda entry: entry.comparison)
    loud = [entry for entry in entries if _is_loud(entry)]
    quiet = [entry for entry in entries if not _is_loud(entry)]
    counts = ", ".join(f"{count} {word}" for word, count in report.summary.items()) or "nothing measured"
    parts = [f"### perfguard: {counts}", _origin(report)]
    parts += [f"> {escaped(note)}" for note in report.notes]
    if loud:
        parts.append("\n".join([*_HEAD, *map(_row, loud)]))
    parts += [_details(entry) for entry in loud if entry.lines]
    if quiet:
        rows = "\n".join([*_HEAD, *map(_row, quiet)])
        parts.append(_folded(f"{plural(len(quiet), 'test')} without findings", rows))
    return _fitted(parts, len(entries), most)


def _is_loud(entry: Entry) -> bool:
    verdict = entry.comparison.verdict
    return bool(entry.comparison.broken) or verdict in FAILING | UNSETTLED | {Verdict.IMPROVEMENT}


def _origin(report: Report) -> str:
    beside = {"compare": "compared with", "against": "measured side by side with", "history": "history of"}.get(
        report.mode
    )
    told = [f"{beside} {code(report.against)}"] if beside and report.against else []
    told += [f"commit {code(report.commit)}"] if report.commit else []
    facts = report.machine.facts
    if facts:
        told.append(escaped(f"{facts.get('cpu', 'unknown CPU')}, Python {facts.get('python_version', '?')}"))
    told += [] if report.complete else ["**the run was interrupted: tests are lacking**"]
    return " · ".join(told)


def _row(entry: Entry) -> str:
    time, memory = leading_finding(entry.comparison, "time", "cpu"), leading_finding(entry.comparison, "memory")
    word = verdict_word(entry.comparison)
    cells = [
        code(entry.nodeid, in_table=True),
        _amount(time, time.baseline if time else None),
        _amount(time, time.candidate if time else None),
        change_cell(time),
        change_cell(memory),
        f"{_SYMBOLS.get(word, '')} {word}".strip(),
    ]
    return f"| {' | '.join(cells)} |"


def _amount(finding: Finding | None, value: float | None) -> str:
    return "" if finding is None or value is None else format_amount(value, finding.unit)


def _details(entry: Entry) -> str:
    text = "\n".join(printable(line) for line in entry.lines)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return _folded(html_text(f"{entry.nodeid}: {entry.headline}"), f"{fence}text\n{text}\n{fence}")


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


def _fitted(parts: Sequence[str], tests: int, most: int) -> str:
    """The parts that fit, in order, and of a table its first rows."""
    note = f"The whole of {plural(tests, 'test')} is too long for this place; see the HTML or JSON report."
    kept: list[str] = []
    room = most - len(note) - 4
    for part in parts:
        if len(part) + 2 > room:
            table = _cut(part, room) if part.startswith(_HEAD[0]) else ""
            return "\n\n".join([*kept, *([table] if table else []), note]) + "\n"
        kept.append(part)
        room -= len(part) + 2
    return "\n\n".join(kept) + "\n"


def _cut(table: str, room: int) -> str:
    """As many of a table's lines as there is room for."""
    return table[: max(0, room - 2)].rpartition("\n")[0]


def code(text: str, *, in_table: bool = False) -> str:
    """A code span that holds any text; within a table, a bar would end the cell."""
    shown = printable(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", shown)), default=0))
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    span = f"{fence}{space}{shown}{space}{fence}"
    return span.replace("|", "\\|") if in_table else span


def escaped(text: str) -> str:
    """Plain text whose characters mean nothing to Markdown or HTML; nobody is mentioned by it."""
    shown = html_text(text)
    return re.sub(r"[\\`*_\[\]#|~]", r"\\\g<0>", shown)


def html_text(text: str) -> str:
    """Plain text inside of an HTML element, where Markdown means nothing."""
    return printable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "@\u200b")
