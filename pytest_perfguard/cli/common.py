"""What the verbs share: their options, the files they read, and how they print."""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pytest_perfguard.core.errors import BaselineUnreadable, CommandError, ReportUnreadable
from pytest_perfguard.core.text import printable_lines
from pytest_perfguard.engine.baseline.schema import Baseline, MachineClass, from_text
from pytest_perfguard.engine.report.document import Report
from pytest_perfguard.engine.report.read import read_report

Verbs = Any  # argparse keeps the type of its subparsers to itself
_ENDLESS: Final = 1e9
Run = Callable[[argparse.Namespace], int]


def add_verb(verbs: Verbs, name: str, run: Run, text: str, *, description: str = "") -> argparse.ArgumentParser:
    """Declare a verb, with the options that every verb has."""
    parser: argparse.ArgumentParser = verbs.add_parser(
        name, help=text, description=description or f"{text[0].upper()}{text[1:]}."
    )
    parser.set_defaults(run=run)
    parser.add_argument("--file", default=argparse.SUPPRESS, help="the baseline file, as before the verb")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Does a node id match one of these, * and ? allowed? Without patterns each does."""

    def matches(nodeid: str) -> bool:
        # A bracket is part of a parametrised id here, not a set of characters.
        quoted = (pattern.replace("[", "[[]") for pattern in patterns)
        return not patterns or nodeid in patterns or any(fnmatch.fnmatchcase(nodeid, pattern) for pattern in quoted)

    return matches


def report_unmatched(patterns: Sequence[str], names: Iterable[str], file: str, *, kind: str = "test") -> int:
    """Report each pattern that none of the names matches; return the exit status of a verb that lists: 1 if there is one."""
    names = list(names)
    idle = [pattern for pattern in patterns if not any(map(matcher([pattern]), names))]
    for pattern in idle:
        hint = f"; to read that file: --file={pattern}" if Path(pattern).is_file() else ""
        print_lines(f"perfguard: no {kind} in {file} matches {pattern!r}{hint}", error=True)
    return 1 if idle else 0


@dataclass(frozen=True)
class Loaded:
    """A file of ours: a baseline, or a report with the baseline that its measurements would make."""

    path: Path
    baseline: Baseline
    report: Report | None = None


def load(path: Path) -> Loaded:
    """Read a baseline or a JSON report, whichever it is.

    Raises
    ------
    CommandError
        where there is no such file.
    BaselineUnreadable, ReportUnreadable
    """
    text = read_text(path)
    if re.search(r'"tests"\s*:\s*\[', text):  # only a report has a list of them
        report = read_report(text, str(path))
        return Loaded(path, baseline_of(report), report)
    return Loaded(path, from_text(text, str(path)))


def load_report(path: Path) -> Report:
    """Read a JSON report.

    Raises
    ------
    CommandError, ReportUnreadable
    """
    return read_report(read_text(path), str(path))


def baseline_of(report: Report) -> Baseline:
    """What the baseline file would hold, had this run recorded."""
    tests = {entry.nodeid: entry.record for entry in report.entries if entry.record is not None}
    return Baseline({report.machine.name: MachineClass(report.machine.facts, {"at": report.at}, tests)})


def read_text(path: Path) -> str:
    """The text of a file.

    Raises
    ------
    CommandError
        where it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise CommandError(f"there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from None


def reports_in(folder: Path) -> tuple[list[tuple[str, Report]], list[str]]:
    """All JSON reports below a folder with their names, the oldest first, and remarks on files that are none."""
    found, remarks = [], []
    for path in sorted(folder.rglob("*.json")):
        try:
            found.append((path.relative_to(folder).as_posix(), load_report(path)))
        except (ReportUnreadable, BaselineUnreadable, CommandError) as error:
            remarks.append(f"left out: {error}")
    return sorted(found, key=lambda item: (item[1].at, item[0])), remarks


def print_json(data: object) -> None:
    """One object, as every verb prints it under --json."""
    print(json.dumps(data, indent=1, allow_nan=False))


def print_lines(*lines: str, error: bool = False) -> None:
    """Print lines without what would steer a terminal: names come from tests and from files of others."""
    for line in lines:
        print(*printable_lines(line), sep="\n", file=sys.stderr if error else sys.stdout, flush=error)


def positive(kind: type[float] | type[int]) -> Callable[[str], float]:
    """A parser of numbers above nothing, as argparse wants it."""

    def parse(text: str) -> float:
        value = kind(text)
        if not 0 < value < _ENDLESS:
            raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
        return value

    parse.__name__ = kind.__name__  # argparse names it in its errors
    return parse


def terminal_width() -> int:
    """Columns of the terminal; 100 where there is none."""
    try:
        return int(os.environ.get("COLUMNS", "")) or os.get_terminal_size().columns
    except (OSError, ValueError):
        return 100
