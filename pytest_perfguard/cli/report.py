"""`perfguard report`: write an HTML or Markdown page from a JSON report or a history."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pytest_perfguard.cli.common import Verbs, add_verb, load_report, print_json, print_lines
from pytest_perfguard.cli.history import add_history_options, describe, read_history, report_unmatched_tests
from pytest_perfguard.core.atomic_files import atomic_write
from pytest_perfguard.core.errors import CommandError
from pytest_perfguard.core.model import Comparison, Finding, Machine, Verdict
from pytest_perfguard.core.parsers import parse_reports
from pytest_perfguard.engine.history.trends import Trend
from pytest_perfguard.engine.report.document import Report, ReportedTest
from pytest_perfguard.engine.report.history_page import History, history_page, standing
from pytest_perfguard.engine.report.render import rendered
from pytest_perfguard.engine.verdict.combine import most_severe

#: Standing of a series -> the verdict in the form of a report; a series that is too short has none.
_VERDICTS: Final = {
    "worse": Verdict.REGRESSION,
    "better": Verdict.IMPROVEMENT,
    "steady": Verdict.UNCHANGED,
    "short": None,
}


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
    history = None if options.of else _read(options)
    report = _of_history(history) if history is not None else load_report(Path(options.of))
    for name in names:
        page = history is not None and name.endswith(".html")
        atomic_write(Path(name), history_page(history) if page and history is not None else rendered(report, name))
    if options.json:
        print_json({"written": list(names), "summary": report.summary})
    else:
        print_lines(f"written: {', '.join(names)}")
    return report_unmatched_tests(options, history.trends) if history is not None else 0


def _read(options: argparse.Namespace) -> History:
    history, remarks = read_history(options)
    print_lines(*(f"perfguard: {remark}" for remark in remarks), error=True)
    machines = sorted({trend.machine for trend in history.trends})
    if len(machines) != 1:
        raise CommandError(
            f"a page shows one machine class; select it with --machine: {', '.join(machines) or 'there is none'}"
        )
    if any(name.endswith((".json", ".folded")) for name in options.output):
        raise CommandError("a history is not a report of a run; for its data, use perfguard history --json")
    return history


def _of_history(history: History) -> Report:
    """Return the history in the form of a report."""
    machine = Machine(history.trends[0].machine, {})
    entries = tuple(_entry(nodeid, own) for nodeid, own in history.by_test().items())
    return Report("history", machine, {}, entries, against=history.source, origin=history.origin)


def _entry(nodeid: str, found: Sequence[Trend]) -> ReportedTest:
    findings = tuple(map(_finding, found))
    lines = tuple(describe(trend) for trend in found if trend.worse)
    return ReportedTest(
        Comparison(nodeid, most_severe(finding.verdict for finding in findings), findings),
        lines=lines,
        headline="; ".join(lines),
    )


def _finding(trend: Trend) -> Finding:
    first, last = trend.anchor or trend.points[0].value, trend.points[-1].value
    verdict = _VERDICTS[standing(trend)]
    return Finding(trend.metric, trend.unit, verdict, last, first, rounds=len(trend.points), reason=describe(trend))
