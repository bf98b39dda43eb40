"""`perfguard compare A B`: judge the measurements in one file against those in another, without running a test."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from pytest_perfguard.cli.common import (
    Loaded,
    Verbs,
    add_verb,
    load,
    matcher,
    print_json,
    print_lines,
    report_unmatched,
    terminal_width,
)
from pytest_perfguard.core.atomic_files import atomic_write
from pytest_perfguard.core.errors import CommandError, SettingError
from pytest_perfguard.core.model import JUDGED, Comparison, Machine, Record, Verdict
from pytest_perfguard.core.parsers import METRICS, parse_reports
from pytest_perfguard.core.settings import Settings, resolve
from pytest_perfguard.engine.report.document import Report, ReportedTest, sides_of_records
from pytest_perfguard.engine.report.explain import Context, explain, headline
from pytest_perfguard.engine.report.json import json_report
from pytest_perfguard.engine.report.links import UNKNOWN
from pytest_perfguard.engine.report.render import rendered
from pytest_perfguard.engine.report.summary_table import TableStyle
from pytest_perfguard.engine.report.terminal import count_line, summary_lines
from pytest_perfguard.engine.verdict.combine import most_severe
from pytest_perfguard.engine.verdict.recorded_pair import judge_records


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "compare", _run, "judge one baseline or report against another, without running a test",
        description="Judge the measurements in B against those in A by the rules of --perf-compare, for each machine class. "
        "Each file is a baseline or a JSON report. Thresholds in markers and ini files are "
        "not used. Exit status 1 if a test became worse, 5 if there was nothing to judge.",
    )  # fmt: skip
    parser.add_argument("before", metavar="A", help="the file to compare with")
    parser.add_argument("after", metavar="B", help="the file that is judged")
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="node ids, * and ? allowed; none: all tests")
    parser.add_argument("--machine", default="*", metavar="PATTERN", help="machine classes, * and ? allowed")
    parser.add_argument("--threshold", help="slowdown up to which a test passes (default: 5%%)")
    parser.add_argument("--floor", help="difference per call up to which a test passes (default: 2ns,1KiB)")
    parser.add_argument("--metrics", help="metrics to judge, such as time,memory (default: all)")
    parser.add_argument("--strict", action="store_true", help="inconclusive, incomparable and missing tests fail too")
    parser.add_argument(
        "--output", "-o", action="append", default=[], metavar="PATH", help="write a report (.html .md .csv .json)"
    )
    parser.add_argument("-v", "--verbose", action="count", default=0, help="show every metric; -vv: the samples, too")


def _run(options: argparse.Namespace) -> int:
    given = {name: getattr(options, name) for name in ("threshold", "floor")}
    given["metrics"] = options.metrics or ",".join(METRICS)
    try:
        settings = resolve(marker={}, command_line={**given, "strict": options.strict}, ini={})
    except SettingError as error:
        raise SettingError(error.problem, error.place.replace("--perf-", "--")) from None
    names = parse_reports(options.output)
    before, after = load(Path(options.before)), load(Path(options.after))
    machine = matcher([options.machine])
    common = sorted(name for name in {*before.baseline.classes} & {*after.baseline.classes} if machine(name))
    if names and len(common) > 1:
        raise CommandError(f"a report contains one machine class; select it with --machine: {', '.join(common)}")
    detailed = bool(names or options.json)
    wanted = matcher(options.patterns)
    reports = {name: compare_class(before, after, name, wanted, settings, detailed=detailed) for name in common}
    for path in names:
        for report in reports.values():
            atomic_write(Path(path), rendered(report, path))
    if options.json:
        print_json({"classes": {name: json.loads(json_report(report)) for name, report in reports.items()}})
    else:
        _print(reports, options.verbose)
    nodeids = [entry.nodeid for report in reports.values() for entry in report.entries]
    unmatched = report_unmatched(options.patterns, nodeids, "either file")
    return _status(reports, before, after, options.machine) or unmatched


def compare_class(
    before: Loaded, after: Loaded, machine: str, wanted: Callable[[str], bool], settings: Settings, *, detailed: bool
) -> Report:
    """Return a report with the verdicts on the tests of one machine class; `detailed`: with the measurements of both files."""
    old, new = before.baseline.tests_of(machine), after.baseline.tests_of(machine)
    reported = {entry.nodeid: entry.comparison for entry in after.report.entries} if after.report is not None else {}
    nodeids = sorted(
        filter(wanted, {*old, *new, *(nodeid for nodeid, comparison in reported.items() if comparison.broken)})
    )
    context = Context("records", str(before.path), settings)
    return Report(
        mode="compare",
        machine=Machine(machine, after.baseline.classes[machine].machine),
        settings=settings.as_data(),
        entries=tuple(
            _entry(nodeid, old.get(nodeid), new.get(nodeid), reported.get(nodeid), context, detailed=detailed)
            for nodeid in nodeids
        ),
        at=str(after.baseline.classes[machine].stamp.get("at", "")),
        commit=after.report.commit if after.report is not None else "",
        against=str(before.path),
        complete=after.report.complete if after.report is not None else True,
        origin=after.report.origin if after.report is not None else UNKNOWN,
    )


def _judged(
    nodeid: str, old: Record | None, new: Record | None, reported: Comparison | None, settings: Settings
) -> Comparison:
    """Return the verdict on the measurements, combined with the report's errors, leaks and exceeded budgets."""
    if reported is not None and reported.broken:
        return reported
    comparison = judge_records(nodeid, old, new, settings)
    if reported is None or reported.verdict not in (Verdict.LEAK, Verdict.OVER_LIMIT):
        return comparison
    added = tuple(finding for finding in reported.findings if finding.verdict is reported.verdict)
    verdict = most_severe((reported.verdict, comparison.verdict))
    return replace(comparison, verdict=verdict, findings=(*comparison.findings, *added))


def _entry(
    nodeid: str,
    old: Record | None,
    new: Record | None,
    reported: Comparison | None,
    context: Context,
    *,
    detailed: bool,
) -> ReportedTest:
    comparison = _judged(nodeid, old, new, reported, context.settings)
    failed = comparison.fails(strict=context.settings.strict)
    return ReportedTest(
        comparison=comparison,
        sides=sides_of_records(new, old) if detailed and new is not None else {},
        record=new,
        file=nodeid.partition("::")[0],
        base=old.commit if old is not None else "",
        lines=tuple(explain(comparison, replace(context, record=old))) if failed else (),
        headline=headline(comparison) if failed else "",
    )


def _print(reports: Mapping[str, Report], verbosity: int) -> None:
    style = TableStyle("compare", terminal_width())
    for name, report in reports.items():
        comparisons: list[Comparison] = [entry.comparison for entry in report.entries]
        print_lines(f"{name}: compared with {report.against}")
        for text, _tone in summary_lines(comparisons, style, verbosity=verbosity):
            print_lines(text)
        print_lines(count_line(comparisons, seconds=0.0, processes=0).partition(" (")[0])


def _status(reports: Mapping[str, Report], before: Loaded, after: Loaded, machine: str) -> int:
    comparisons = [entry.comparison for report in reports.values() for entry in report.entries]
    if any(report.failed for report in reports.values()):
        return 1
    if any(comparison.verdict in JUDGED for comparison in comparisons):
        return 0
    if reports:
        problem = "no selected test is in both files and can be compared; list their tests with: perfguard show --file="
        print_lines(f"perfguard: nothing was judged: {problem}{after.path}", error=True)
        return 5
    classes = "; ".join(
        f"{side.path} has {', '.join(sorted(side.baseline.classes)) or 'none'}" for side in (before, after)
    )
    matching = "" if machine == "*" else f" that matches --machine={machine}"
    print_lines(f"perfguard: nothing was judged: no machine class in common{matching} ({classes})", error=True)
    return 5
