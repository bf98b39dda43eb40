"""`perfguard report`: a page for people, from a JSON report or from a history."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pytest_perfguard.cli.common import Verbs, add_verb, load_report, print_json, say
from pytest_perfguard.cli.history import add_source, asked, described
from pytest_perfguard.core.atomic_files import atomic_write
from pytest_perfguard.core.errors import CommandError
from pytest_perfguard.core.model import Comparison, Finding, Machine, Verdict
from pytest_perfguard.core.parsers import parse_reports
from pytest_perfguard.engine.history.trends import Trend
from pytest_perfguard.engine.report.document import Entry, Report
from pytest_perfguard.engine.report.render import rendered


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "report", _run, "write an HTML or Markdown page of a JSON report, or of a history",
        description="Write an HTML or Markdown page: of one JSON report (--of), or of the history of each test.",
    )  # fmt: skip
    parser.add_argument("--of", metavar="REPORT", help="a JSON report; without it, the history is shown")
    parser.add_argument(
        "--output", "-o", action="append", required=True, metavar="PATH", help="x.html or x.md; may be given again"
    )
    add_source(parser)


def _run(options: argparse.Namespace) -> int:
    names = parse_reports(options.output)
    if options.of and (options.patterns or options.reports or options.anchor):
        raise CommandError("--of shows one report as it is: PATTERN, --reports and --anchor are for a history")
    report, found = (load_report(Path(options.of)), ()) if options.of else _of_history(options)
    for name in names:
        atomic_write(Path(name), rendered(report, name, lambda: found))
    if options.json:
        print_json({"written": list(names), "summary": report.summary})
    else:
        say(f"written: {', '.join(names)}")
    return 0


def _of_history(options: argparse.Namespace) -> tuple[Report, Sequence[Trend]]:
    found, remarks = asked(options)
    say(*(f"perfguard: {remark}" for remark in remarks), error=True)
    machines = sorted({track.machine for track in found})
    if len(machines) != 1:
        raise CommandError(
            f"a report is of one machine class; choose with --machine: {', '.join(machines) or 'there is none'}"
        )
    if any(name.endswith(".json") for name in options.output):
        raise CommandError("a history is no report of a run: for its data say perfguard history --json")
    tests: dict[str, list[Trend]] = {}
    for track in found:
        tests.setdefault(track.nodeid, []).append(track)
    entries = tuple(_entry(nodeid, own) for nodeid, own in tests.items())
    return Report("history", Machine(machines[0], {}), {}, entries, against=str(options.reports or options.file)), found


def _entry(nodeid: str, found: Sequence[Trend]) -> Entry:
    findings = tuple(_finding(track) for track in found)
    worse = any(track.worse for track in found)
    verdict = Verdict.REGRESSION if worse else Verdict.UNCHANGED
    lines = tuple(described(track) for track in found if track.worse)
    return Entry(Comparison(nodeid, verdict, findings), lines=lines, headline="; ".join(lines))


def _finding(track: Trend) -> Finding:
    first, last = track.anchor or track.points[0].value, track.points[-1].value
    verdict = Verdict.REGRESSION if track.worse else Verdict.UNCHANGED
    return Finding(track.metric, track.unit, verdict, last, first, rounds=len(track.points), reason=described(track))
