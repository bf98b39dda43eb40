"""One report from those of several shards: nothing is lost, and nothing told twice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pytest_perfguard.core.errors import CommandError
from pytest_perfguard.core.model import Verdict
from pytest_perfguard.engine.report.document import Entry, Report

#: What the parts of one run have in common.
_COMMON = ("mode", "against", "machine class", "threshold")


def join_reports(reports: Mapping[str, Report]) -> Report:
    """The reports, by file name, as if one run had made them.

    A test that one shard misses and another one measured is not missing.

    Raises
    ------
    CommandError
        where they are not of one kind, or two of them measured the same test.
    """
    (first_name, first), *others = reports.items()
    for name, report in others:
        for what, left, right in zip(_COMMON, _kind(first), _kind(report), strict=True):
            if left != right:
                raise CommandError(f"{first_name} and {name} are not of one run: {what} is {left!r} and {right!r}")
    entries: dict[str, tuple[str, Entry]] = {}
    for name, report in reports.items():
        for entry in report.entries:
            entries[entry.nodeid] = _one_of(entries.get(entry.nodeid), (name, entry))
    last = max(reports.values(), key=lambda report: report.at)
    strict = any(report.settings.get("strict") is True for report in reports.values())
    joined = tuple(entry for _nodeid, (_name, entry) in sorted(entries.items()))
    notes = tuple(dict.fromkeys(note for report in reports.values() for note in report.notes))
    return replace(last, entries=joined, settings={**last.settings, "strict": strict}, notes=notes)


def _kind(report: Report) -> tuple[object, ...]:
    return report.mode, report.against, report.machine.name, report.settings.get("threshold")


def _one_of(known: tuple[str, Entry] | None, found: tuple[str, Entry]) -> tuple[str, Entry]:
    if known is None or known[1].comparison.verdict is Verdict.MISSING:
        return found
    if found[1].comparison.verdict is Verdict.MISSING:
        return known
    raise CommandError(
        f"{found[1].nodeid} was measured twice: in {known[0]} and in {found[0]}; run each test in one shard only, or leave one "
        "of the files out"
    )
