"""Merge the reports of several shards into one, in which every test appears once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pytest_perfguard.core.errors import CommandError
from pytest_perfguard.core.model import Verdict
from pytest_perfguard.engine.report.document import Report, ReportedTest

#: Properties that the parts of one run share.
_COMMON = ("mode", "against", "machine class", "threshold", "commit")


def merge_reports(reports: Mapping[str, Report]) -> Report:
    """Return the reports, given by file name, as if one run had made them.

    A test that is missing in one shard and measured in another is not missing. A shard without git has no commit, and is taken
    to be of that of the others.

    Raises
    ------
    CommandError
        if the reports are not of one run, or two of them measured the same test.
    """
    first_name, first = max(reports.items(), key=lambda item: bool(item[1].commit))
    for name, report in reports.items():
        for what, left, right in zip(_COMMON, _common(first), _common(report), strict=True):
            if left != right and (report.commit or what != "commit"):
                raise CommandError(f"{first_name} and {name} are not of one run: {what} is {left!r} and {right!r}")
    entries: dict[str, tuple[str, ReportedTest]] = {}
    for name, report in reports.items():
        for entry in report.entries:
            entries[entry.nodeid] = _measured_one(entries.get(entry.nodeid), (name, entry))
    last = max(reports.values(), key=lambda report: report.at)
    strict = any(report.settings.get("strict") is True for report in reports.values())
    merged = tuple(entry for _nodeid, (_name, entry) in sorted(entries.items()))
    notes = tuple(dict.fromkeys(note for report in reports.values() for note in report.notes))
    complete = all(report.complete for report in reports.values())
    return replace(
        last, entries=merged, settings={**last.settings, "strict": strict}, notes=notes, complete=complete,
        commit=last.commit or first.commit,
    )  # fmt: skip


def _common(report: Report) -> tuple[object, ...]:
    commit = report.commit.rstrip("+")  # a job may change a file that git tracks
    return report.mode, report.against, report.machine.name, report.settings.get("threshold"), commit


def _measured_one(known: tuple[str, ReportedTest] | None, new: tuple[str, ReportedTest]) -> tuple[str, ReportedTest]:
    if known is None or known[1].comparison.verdict is Verdict.MISSING:
        return new
    if new[1].comparison.verdict is Verdict.MISSING:
        return known
    raise CommandError(
        f"{new[1].nodeid} was measured twice: in {known[0]} and in {new[0]}; run each test in one shard only, or leave one "
        "of the files out"
    )
