"""What GitHub Actions reads: annotations at the tests' lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pytest_perfguard.core.text import printable
from pytest_perfguard.engine.report.document import Entry, Report
from pytest_perfguard.engine.report.text import most_severe_first

#: GitHub shows no more than ten errors of a step.
MOST: Final = 10


def error_commands(report: Report, folder: str = "") -> Iterator[str]:
    """A workflow command for each failed test; `folder` is where the tests' files are in the repository.

    The form is that of `::error file=...,line=...,title=...::text` in GitHub's documentation of workflow commands.
    """
    strict = report.settings.get("strict") is True
    failed = [entry for entry in report.entries if entry.comparison.fails(strict=strict)]
    for entry in most_severe_first(failed, key=lambda entry: entry.comparison)[:MOST]:
        yield _annotation(entry, folder)


def _annotation(entry: Entry, folder: str) -> str:
    file = f"{folder}/{entry.file}" if folder else entry.file
    where = {"file": file, "line": str(max(1, entry.line)), "title": f"perfguard: {entry.nodeid}"}
    properties = ",".join(f"{name}={_property(value)}" for name, value in where.items())
    return f"::error {properties}::{_data(entry.headline)}"


def _data(text: str) -> str:
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
