"""Annotations for GitHub Actions, at the lines of the tests that failed or whose regression was accepted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pytest_perfguard.core.text import printable
from pytest_perfguard.engine.report.document import Report, ReportedTest
from pytest_perfguard.engine.report.text import most_severe_first

#: GitHub shows at most ten errors and ten notices of a step.
MAX_ANNOTATIONS: Final = 10


def annotation_commands(report: Report, folder: str = "") -> Iterator[str]:
    """Yield a workflow command for each failed test, `::error file=...,line=...,title=...::text`, and a `::notice` for each
    accepted regression.

    `folder` is the path of the rootdir in the repository. GitHub's documentation of workflow commands defines the form.
    """
    strict = report.settings.get("strict") is True
    failed = [entry for entry in report.entries if entry.comparison.fails(strict=strict)]
    for entry in most_severe_first(failed, key=lambda entry: entry.comparison)[:MAX_ANNOTATIONS]:
        yield _annotation("error", entry, folder, entry.headline)
    accepted = [entry for entry in report.entries if entry.comparison.accepted_by]
    for entry in accepted[:MAX_ANNOTATIONS]:
        acceptances = "; ".join(map(str, entry.comparison.accepted_by))
        yield _annotation("notice", entry, folder, f"{entry.comparison.outcome} accepted: {acceptances}")


def _annotation(command: str, entry: ReportedTest, folder: str, text: str) -> str:
    file = f"{folder}/{entry.file}" if folder else entry.file
    where = {"file": file, "line": str(max(1, entry.line)), "title": f"perfguard: {entry.nodeid}"}
    properties = ",".join(f"{name}={_property(value)}" for name, value in where.items())
    return f"::{command} {properties}::{_data(text)}"


def _data(text: str) -> str:
    return printable(text).replace("%", "%25")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
