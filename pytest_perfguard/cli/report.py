"""`perfguard report`: write an HTML or Markdown page from a JSON report or a history."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pytest_perfguard.cli.common import Verbs, add_verb, load_report, print_json, print_lines
from pytest_perfguard.cli.history import add_history_options, describe, read_trends
from pytest_perfguard.core.atomic_files import atomic_write
from pytest_perfguard.core.errors import CommandError
from pytest_perfguard.core.model import Comparison, Finding, Machine, Verdict
from pytest_perfguard.core.parsers import parse_reports
from pytest_perfguard.engine.history.trends import Trend
from pytest_perfguard.engine.report.document import Report, ReportedTest
from pytest_perfguard.engine.report.render import rendered


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "report", _run, "write an HTML or Markdown page of a JSON report or a history",
        description="Write an HTML or Markdown page of one JSON report (--of) or of the history of each test.",
    )  # fmt: skip
    parser.add_argument("--of", metavar="REPORT", help="a JSON report (default: the history)")
    parser.add_argument(
        "--output",
        "-o",
        action="append",
        required=True,
        metavar="PATH",
        help="file to write, x.html or x.md; may be given more than once",
    )
    add_history_options(parser)


def _run(options: argparse.Namespace) -> int:
    names = parse_reports(options.output)
    if options.of and (options.patterns or options.reports or options.anchor):
        raise CommandError(
            "--of writes one whole report: PATTERN, --reports and --anchor need a history; omit them or --of"
        )
    report, found = (load_report(Path(options.of)), ()) if options.of else _of_history(options)
    for name in names:
        atomic_write(Path(name), rendered(report, name, lambda: found))
    if options.json:
        print_json({"written": list(names), "summary": report.summary})
    else:
        print_lines(f"written: {', '.join(names)}")
    return 0


def _of_history(options: argparse.Namespace) -> tuple[Report, Sequence[Trend]]:
    found, remarks = read_trends(options)
    print_lines(*(f"perfguard: {remark}" for remark in remarks), error=True)
    machines = sorted({trend.machine for trend in found})
    if len(machines) != 1:
        raise CommandError(
            f"a page shows one machine class; select it with --machine: {', '.join(machines) or 'there is none'}"
        )
    if any(name.endswith(".json") for name in options.output):
        raise CommandError("a history is not a report of a run; for its data, use perfguard history --json")
    tests: dict[str, list[Trend]] = {}
    for trend in found:
        tests.setdefault(trend.nodeid, []).append(trend)
    entries = tuple(_entry(nodeid, own) for nodeid, own in tests.items())
    return Report("history", Machine(machines[0], {}), {}, entries, against=str(options.reports or options.file)), found


def _entry(nodeid: str, found: Sequence[Trend]) -> ReportedTest:
    findings = tuple(_finding(trend) for trend in found)
    worse = any(trend.worse for trend in found)
    verdict = Verdict.REGRESSION if worse else Verdict.UNCHANGED
    lines = tuple(describe(trend) for trend in found if trend.worse)
    return ReportedTest(Comparison(nodeid, verdict, findings), lines=lines, headline="; ".join(lines))


def _finding(trend: Trend) -> Finding:
    first, last = trend.anchor or trend.points[0].value, trend.points[-1].value
    verdict = Verdict.REGRESSION if trend.worse else Verdict.UNCHANGED
    return Finding(trend.metric, trend.unit, verdict, last, first, rounds=len(trend.points), reason=describe(trend))
