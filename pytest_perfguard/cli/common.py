"""Functions common to all verbs: options, reading files, printing."""

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
from typing import Final, TypeAlias

from pytest_perfguard.core.errors import BaselineUnreadable, CommandError, ReportUnreadable
from pytest_perfguard.core.text import printable_lines
from pytest_perfguard.engine.baseline.schema import Baseline, MachineClass, from_text
from pytest_perfguard.engine.report.document import Report
from pytest_perfguard.engine.report.json import read_report

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
_MAX_NUMBER: Final = 1e9
Run = Callable[[argparse.Namespace], int]


def add_verb(verbs: Verbs, name: str, run: Run, text: str, *, description: str = "") -> argparse.ArgumentParser:
    """Declare a verb with the options common to all verbs."""
    parser = verbs.add_parser(name, help=text, description=description or f"{text[0].upper()}{text[1:]}.")
    parser.set_defaults(run=run)
    parser.add_argument(
        "--file", default=argparse.SUPPRESS, help="the baseline file; may also be given before the verb"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser


def matcher(patterns: Sequence[str]) -> Callable[[str], bool]:
    """Return a function that matches node ids against patterns with * and ?. Without patterns every node id matches."""

    def matches(nodeid: str) -> bool:
        # A bracket is part of a parametrized node id, not a set of characters.
        quoted = (pattern.replace("[", "[[]") for pattern in patterns)
        return not patterns or nodeid in patterns or any(fnmatch.fnmatchcase(nodeid, pattern) for pattern in quoted)

    return matches


def report_unmatched(patterns: Sequence[str], names: Iterable[str], file: str, *, kind: str = "test") -> int:
    """Print each pattern that matches no name, and return the exit status: 1 if there is one, otherwise 0."""
    names = list(names)
    unmatched = [pattern for pattern in patterns if not any(map(matcher([pattern]), names))]
    for pattern in unmatched:
        hint = f"; to read this file, use --file={pattern}" if Path(pattern).is_file() else ""
        print_lines(f"perfguard: no {kind} in {file} matches {pattern!r}{hint}", error=True)
    return 1 if unmatched else 0


@dataclass(frozen=True)
class Loaded:
    """Content of a file: a baseline, or a report together with the baseline that its measurements would make."""

    path: Path
    baseline: Baseline
    report: Report | None = None


def load(path: Path) -> Loaded:
    """Read a baseline or a JSON report.

    Raises
    ------
    CommandError
        if there is no such file.
    BaselineUnreadable, ReportUnreadable
    """
    text = read_text(path)
    if re.search(r'"tests"\s*:\s*\[', text):  # a baseline has an object
        report = read_report(text, str(path))
        return Loaded(path, baseline_of(report), report)
    return Loaded(path, from_text(text, str(path)))


def load_baseline(file: str) -> Loaded:
    """Read the file that `--file` names.

    Raises
    ------
    CommandError, BaselineUnreadable, ReportUnreadable
    """
    if not Path(file).exists():
        raise CommandError(
            f"there is no file {file}; name the baseline with --file=PATH, or record one with: pytest --perf-baseline"
        )
    return load(Path(file))


def load_report(path: Path) -> Report:
    """Read a JSON report.

    Raises
    ------
    CommandError, ReportUnreadable
    """
    return read_report(read_text(path), str(path))


def baseline_of(report: Report) -> Baseline:
    """Return the baseline that this run would have recorded."""
    tests = {entry.nodeid: entry.record for entry in report.entries if entry.record is not None}
    return Baseline({report.machine.name: MachineClass(report.machine.facts, {"at": report.at}, tests)})


def read_text(path: Path, *, missing: str | None = None) -> str:
    """Return the text of a file with its line ends, or `missing`, if given, where there is none.

    A byte order mark, which editors on Windows add, is left out.

    Raises
    ------
    CommandError
        if it cannot be read.
    """
    try:
        return path.read_bytes().decode("utf-8").removeprefix("\ufeff")
    except FileNotFoundError:
        if missing is not None:
            return missing
        raise CommandError(f"there is no file {path}") from None
    except UnicodeDecodeError as error:
        raise CommandError(f"{path} cannot be read: it is not text in UTF-8 ({error})") from None
    except OSError as error:
        raise CommandError(f"{path} cannot be read: {error.strerror}") from None


def reports_in(folder: Path) -> tuple[list[tuple[str, Report]], list[str]]:
    """Return all JSON reports below a folder with their names, oldest first, and remarks on files that cannot be read."""
    found, remarks = [], []
    for path in sorted(folder.rglob("*.json")):
        if not path.is_file():  # opening a FIFO would wait for its writer
            continue
        try:
            found.append((path.relative_to(folder).as_posix(), load_report(path)))
        except (ReportUnreadable, BaselineUnreadable, CommandError) as error:
            remarks.append(f"skipped: {error}")
    return sorted(found, key=lambda item: (item[1].at, item[0])), remarks


def print_json(data: object) -> None:
    """Print one JSON object, for --json."""
    print(json.dumps(data, indent=1, allow_nan=False))


def print_lines(*lines: str, error: bool = False, end: str = "\n") -> None:
    """Print lines after escaping terminal control sequences, which names from tests and files may contain."""
    for line in lines:
        print(*printable_lines(line), sep="\n", end=end, file=sys.stderr if error else sys.stdout, flush=error)


def positive(kind: type[float] | type[int]) -> Callable[[str], float]:
    """Return a type for argparse that accepts numbers above 0."""

    def parse(text: str) -> float:
        value = kind(text)
        if not 0 < value < _MAX_NUMBER:
            raise argparse.ArgumentTypeError(f"{text} is not a number above 0")
        return value

    parse.__name__ = kind.__name__  # argparse prints it in errors
    return parse


def terminal_width() -> int:
    """Return the columns of the terminal; 100 if there is none."""
    try:
        return int(os.environ.get("COLUMNS", "")) or os.get_terminal_size().columns
    except (OSError, ValueError):
        return 100
