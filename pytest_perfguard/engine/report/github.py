"""Annotations for GitHub Actions, at the lines of the failed tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pytest_perfguard.core.text import printable
from pytest_perfguard.engine.report.document import Report, ReportedTest
from pytest_perfguard.engine.report.text import most_severe_first

#: GitHub shows at most ten errors of a step.
MAX_ANNOTATIONS: Final = 10


def error_commands(report: Report, folder: str = "") -> Iterator[str]:
    """Yield a workflow command for each failed test: `::error file=...,line=...,title=...::text`.

    `folder` is the path of the rootdir in the repository. GitHub's documentation of workflow commands defines the form.
    """
    strict = report.settings.get("strict") is True
    failed = [entry for entry in report.entries if entry.comparison.fails(strict=strict)]
    for entry in most_severe_first(failed, key=lambda entry: entry.comparison)[:MAX_ANNOTATIONS]:
        yield _annotation(entry, folder)


def _annotation(entry: ReportedTest, folder: str) -> str:
    file = f"{folder}/{entry.file}" if folder else entry.file
    where = {"file": file, "line": str(max(1, entry.line)), "title": f"perfguard: {entry.nodeid}"}
    properties = ",".join(f"{name}={_property(value)}" for name, value in where.items())
    return f"::error {properties}::{_data(entry.headline)}"


def _data(text: str) -> str:
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
