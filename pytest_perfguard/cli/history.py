"""`perfguard history`: show the level changes and the drift of each test, from git or a folder of reports."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pytest_perfguard.cli.common import (
    Verbs,
    add_verb,
    baseline_of,
    load,
    matcher,
    positive,
    print_json,
    print_lines,
    report_unmatched,
    reports_in,
)
from pytest_perfguard.core.errors import CommandError
from pytest_perfguard.core.text import plural
from pytest_perfguard.core.units import format_amount, format_change, parse_percent
from pytest_perfguard.engine.history.snapshots import (
    MAX_STATES,
    Snapshot,
    Wanted,
    at_revision,
    from_git,
    of_baseline,
)
from pytest_perfguard.engine.history.trends import HistoryQuery, Trend, find_trends
from pytest_perfguard.engine.report.history_page import History
from pytest_perfguard.engine.report.links import find_origin
from pytest_perfguard.engine.report.text import BARS

_MAX_BARS: Final = 24
DEFAULT_THRESHOLD: Final = "5%"


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "history", _run, "show each test over time: level changes and drift",
        description="Show each test over time, from the git history of the baseline file or from a folder of JSON reports: its changes "
        "of level, and its drift from a fixed anchor. With --fail-on-drift the exit status is 1 if a test has drifted or stepped "
        "above the threshold, and 5 if no test has enough points for a verdict.",
    )  # fmt: skip
    add_history_options(parser)
    parser.add_argument(
        "--fail-on-drift", action="store_true", help="exit status 1 if a test drifted or stepped above the threshold"
    )


def add_history_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that select a history."""
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="node ids, * and ? allowed; none: all tests")
    parser.add_argument(
        "--reports",
        metavar="FOLDER",
        help="folder of JSON reports to use instead of the git history of the baseline file",
    )
    parser.add_argument("--anchor", metavar="REV|FILE", help="measure drift from the baseline at this git revision, or in this file "
                        "(default: from the first points of each test)")  # fmt: skip
    parser.add_argument(
        "--threshold",
        default=DEFAULT_THRESHOLD,
        help="smallest change that counts (default: %(default)s)".replace("5%", "5%%"),
    )
    parser.add_argument(
        "--metrics", default="time", help="metrics to show, such as time,memory, or all (default: %(default)s)"
    )
    parser.add_argument(
        "--most",
        type=positive(int),
        default=MAX_STATES,
        metavar="N",
        help="maximum number of states to read, the latest ones (default: %(default)s)",
    )
    parser.add_argument("--machine", default="*", metavar="PATTERN", help="machine classes, * and ? allowed")


def read_trends(options: argparse.Namespace) -> tuple[list[Trend], list[str]]:
    """Return the trends that the options select, and remarks on files that could not be read.

    Raises
    ------
    PerfguardError
        if there is no history.
    """
    test, machine = matcher(options.patterns), matcher([options.machine])

    def wanted(name: str, nodeid: str) -> bool:
        return machine(name) and test(nodeid)

    snapshots, remarks = _snapshots(options, wanted)
    metrics = [] if options.metrics == "all" else options.metrics.split(",")
    # A report may cover only some tests; the baseline file covers all that exist.
    current = options.reports is None
    found = find_trends(
        snapshots, HistoryQuery(parse_percent(options.threshold), metrics, _anchor(options, wanted), current)
    )
    if not found:
        raise CommandError(
            f"no test matches, or none has the metric {options.metrics} (--metrics=all: any); "
            "list the tests with: perfguard show"
        )
    return found, remarks


def read_history(options: argparse.Namespace) -> tuple[History, list[str]]:
    """Return the history that the options select with its origin, and remarks on files that could not be read.

    Raises
    ------
    PerfguardError
        if there is no history.
    """
    found, remarks = read_trends(options)
    source = Path(options.reports or options.file)
    folder = source if options.reports else source.resolve().parent
    return History(found, str(source), find_origin(folder, {})), remarks


def _run(options: argparse.Namespace) -> int:
    found, remarks = read_trends(options)
    print_lines(*(f"perfguard: {remark}" for remark in remarks), error=True)
    if options.json:
        print_json({"tests": [trend_data(trend) for trend in found]})
    else:
        print_lines(*lines(found, unicode="utf" in (sys.stdout.encoding or "").lower()))
    unmatched = report_unmatched_tests(options, found)
    if not options.fail_on_drift:
        return unmatched
    if not any(trend.drift is not None or trend.worse for trend in found):
        print_lines(
            "perfguard: no test has enough recordings for a verdict (minimum: 6): nothing was judged", error=True
        )
        return 5
    return 1 if any(trend.worse for trend in found) else unmatched


def report_unmatched_tests(options: argparse.Namespace, found: Sequence[Trend]) -> int:
    """Print each pattern that matches no test of the history, and return the exit status: 1 if there is one, otherwise 0."""
    return report_unmatched(options.patterns, {trend.nodeid for trend in found}, options.reports or options.file)


def lines(found: Sequence[Trend], *, unicode: bool) -> Iterator[str]:
    """Yield one line per series, those that became worse first, and a count."""
    machine = ""
    for trend in sorted(found, key=lambda trend: (trend.machine, not trend.worse, trend.nodeid)):
        if trend.machine != machine:
            machine = trend.machine
            yield machine
        bar = f"{sparkline([point.value for point in trend.points]):<{_MAX_BARS}}  " if unicode else ""
        yield f"  {bar}{trend.nodeid}: {describe(trend)}"
    worse = sum(trend.worse for trend in found)
    yield f"{len(found)} series, {worse} worse than at the anchor"


def describe(trend: Trend) -> str:
    """Return a description of the trend.

    Example: `time 12.3 us -> 14.1 us (+14.6 %), 20 recordings; step +8.0 % at 1a2b3c4; drifted +14.6 % (at least +9.1 %)`.
    """
    first, last = trend.anchor or trend.points[0].value, trend.points[-1].value
    parts = [
        f"{trend.metric} {format_amount(first, trend.unit)} -> {format_amount(last, trend.unit)} "
        f"({format_change(trend.change)}), {plural(len(trend.points), 'recording')}"
    ]
    for step in trend.steps:
        point = trend.points[step.index]
        when = f" ({point.at[:10]})" if point.at else ""
        parts.append(f"step {format_change(step.ratio)} at {point.label}{when}")
    if trend.worse and math.isinf(trend.change):
        parts.append("GREW from nothing")
    if trend.drift is not None and trend.drift.drifted:
        ratio, lower = trend.drift.ratio, trend.drift.lower_bound
        parts.append(f"DRIFTED {format_change(ratio)} (at least {format_change(lower, like=ratio)})")
    return "; ".join(parts)


def sparkline(values: Sequence[float]) -> str:
    """Return the last values as a row of bars of one eighth to full height."""
    shown = values[-_MAX_BARS:]
    low, high = min(shown), max(shown)
    if high <= low * 1.02:  # so that noise is not magnified
        return BARS[3] * len(shown)
    return "".join(BARS[round((value - low) / (high - low) * (len(BARS) - 1))] for value in shown)


def trend_data(trend: Trend) -> dict[str, object]:
    """Return one series as plain data."""
    drift = trend.drift
    return {
        "nodeid": trend.nodeid,
        "machine": trend.machine,
        "metric": trend.metric,
        "unit": trend.unit,
        "points": [{"label": point.label, "at": point.at, "value": point.value} for point in trend.points],
        "steps": [{"at": trend.points[step.index].label, "ratio": step.ratio} for step in trend.steps],
        "anchor": trend.anchor,
        "drift": None
        if drift is None
        else {"ratio": drift.ratio, "at_least": drift.lower_bound, "drifted": drift.drifted},
        "worse": trend.worse,
    }


def _snapshots(options: argparse.Namespace, wanted: Wanted) -> tuple[list[Snapshot], list[str]]:
    if options.reports is None:
        return from_git(Path(options.file), options.most, wanted)
    folder = Path(options.reports)
    if not folder.is_dir():
        raise CommandError(f"--reports: {folder} is not a folder")
    found, remarks = reports_in(folder)
    if not found:
        raise CommandError("\n".join([f"--reports: there is no JSON report below {folder}", *remarks]))
    snapshots = [of_baseline(baseline_of(report), report.commit or name, report.at, wanted) for name, report in found]
    return snapshots[-options.most :], remarks


def _anchor(options: argparse.Namespace, wanted: Wanted) -> Snapshot | None:
    if options.anchor is None:
        return None
    if Path(options.anchor).is_file():
        return of_baseline(load(Path(options.anchor)).baseline, options.anchor, "", wanted)
    return at_revision(Path(options.file), options.anchor)
