"""`perfguard history`: one line per test with its changes of level and its drift, from git or a folder of reports."""

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
    reports_in,
)
from pytest_perfguard.core.errors import CommandError
from pytest_perfguard.core.units import format_amount, format_change, parse_percent
from pytest_perfguard.engine.history.snapshots import MOST, Snapshot, Wanted, at_revision, from_git, of_baseline
from pytest_perfguard.engine.history.trends import HistoryQuery, Trend, tracks
from pytest_perfguard.engine.report.text import plural

_BARS: Final = "▁▂▃▄▅▆▇█"
_WIDEST: Final = 24
DEFAULT_THRESHOLD: Final = "5%"


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "history", _run, "show each test over time: changes of level, drift",
        description="Show each test over time, from the git history of the baseline file, or from a folder of JSON reports: where it "
        "changed its level, and how far it has drifted from an anchor that does not move. With --fail-on-drift the exit status "
        "is 1 if a test has drifted or stepped above the threshold, and 5 if no test has enough points to tell.",
    )  # fmt: skip
    add_history_options(parser)
    parser.add_argument("--fail-on-drift", action="store_true", help="exit status 1 if a test crept or stepped up")


def add_history_options(parser: argparse.ArgumentParser) -> None:
    """Options that say which history is meant."""
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="node ids, * and ? allowed; none: all tests")
    parser.add_argument(
        "--reports", metavar="FOLDER", help="a folder of JSON reports, instead of git's history of the baseline file"
    )
    parser.add_argument("--anchor", metavar="REV|FILE", help="measure drift from the baseline at this git revision, or in this file "
                        "(default: from the first points of each test)")  # fmt: skip
    parser.add_argument(
        "--threshold",
        default=DEFAULT_THRESHOLD,
        help="what counts as a change (default: %(default)s)".replace("5%", "5%%"),
    )
    parser.add_argument(
        "--metrics", default="time", help="which metrics, such as time,memory, or all (default: %(default)s)"
    )
    parser.add_argument(
        "--most",
        type=positive(int),
        default=MOST,
        metavar="N",
        help="read the last N states at most (default: %(default)s)",
    )
    parser.add_argument("--machine", default="*", metavar="PATTERN", help="machine classes, * and ? allowed")


def read_trends(options: argparse.Namespace) -> tuple[list[Trend], list[str]]:
    """The series that the options ask for, and remarks on what could not be read.

    Raises
    ------
    PerfguardError
        where there is no history at all.
    """
    test, machine = matcher(options.patterns), matcher([options.machine])

    def wanted(name: str, nodeid: str) -> bool:
        return machine(name) and test(nodeid)

    snapshots, remarks = _snapshots(options, wanted)
    metrics = [] if options.metrics == "all" else options.metrics.split(",")
    # A report may tell of some tests only; the baseline file tells of all that there are.
    current = options.reports is None
    found = tracks(
        snapshots, HistoryQuery(parse_percent(options.threshold), metrics, _anchor(options, wanted), current)
    )
    if not found:
        raise CommandError(f"no test matches, or none has the metric {options.metrics}; see: perfguard show")
    return found, remarks


def _run(options: argparse.Namespace) -> int:
    found, remarks = read_trends(options)
    print_lines(*(f"perfguard: {remark}" for remark in remarks), error=True)
    if options.json:
        print_json({"tests": [trend_data(track) for track in found]})
    else:
        print_lines(*lines(found, unicode="utf" in (sys.stdout.encoding or "").lower()))
    if not options.fail_on_drift:
        return 0
    if not any(track.drift is not None or track.worse for track in found):
        print_lines("perfguard: no test has enough recordings to tell (6 at least): nothing was judged", error=True)
        return 5
    return 1 if any(track.worse for track in found) else 0


def lines(found: Sequence[Trend], *, unicode: bool) -> Iterator[str]:
    """One line per series, what got worse first, and a count."""
    machine = ""
    for track in sorted(found, key=lambda track: (track.machine, not track.worse, track.nodeid)):
        if track.machine != machine:
            machine = track.machine
            yield machine
        bar = f"{sparkline([point.value for point in track.points]):<{_WIDEST}}  " if unicode else ""
        yield f"  {bar}{track.nodeid}: {describe(track)}"
    worse = sum(track.worse for track in found)
    yield f"{len(found)} series, {worse} worse than at the anchor"


def describe(track: Trend) -> str:
    """`time 12.3 us -> 14.1 us (+14.6 %), 20 recordings; step +8.0 % at 1a2b3c4; drifted +14.6 % (at least +9.1 %)`."""
    first, last = track.anchor or track.points[0].value, track.points[-1].value
    change = f" ({_change(track)})" if track.ratio is not None or last > 0 else ""
    parts = [
        f"{track.metric} {format_amount(first, track.unit)} -> {format_amount(last, track.unit)}{change}, "
        f"{plural(len(track.points), 'recording')}"
    ]
    for step in track.steps:
        point = track.points[step.index]
        when = f" ({point.at[:10]})" if point.at else ""
        parts.append(f"step {format_change(step.ratio)} at {point.label}{when}")
    if track.worse and track.ratio is None:
        parts.append("GREW from nothing")
    if track.drift is not None and track.drift.drifted:
        ratio, least = track.drift.ratio, track.drift.least
        parts.append(f"DRIFTED {format_change(ratio)} (at least {format_change(least, like=ratio)})")
    return "; ".join(parts)


def _change(track: Trend) -> str:
    return format_change(math.inf if track.ratio is None else track.ratio)


def sparkline(values: Sequence[float]) -> str:
    """The last values as a row of bars, the smallest one eighth high."""
    shown = values[-_WIDEST:]
    low, high = min(shown), max(shown)
    if high <= low * 1.02:  # noise would look like mountains
        return _BARS[3] * len(shown)
    return "".join(_BARS[round((value - low) / (high - low) * (len(_BARS) - 1))] for value in shown)


def trend_data(track: Trend) -> dict[str, object]:
    """One series as plain data."""
    drift = track.drift
    return {
        "nodeid": track.nodeid,
        "machine": track.machine,
        "metric": track.metric,
        "unit": track.unit,
        "points": [{"label": point.label, "at": point.at, "value": point.value} for point in track.points],
        "steps": [{"at": track.points[step.index].label, "ratio": step.ratio} for step in track.steps],
        "anchor": track.anchor,
        "drift": None if drift is None else {"ratio": drift.ratio, "at_least": drift.least, "drifted": drift.drifted},
        "worse": track.worse,
    }


def _snapshots(options: argparse.Namespace, wanted: Wanted) -> tuple[list[Snapshot], list[str]]:
    if options.reports is None:
        return from_git(Path(options.file), options.most, wanted)
    folder = Path(options.reports)
    if not folder.is_dir():
        raise CommandError(f"--reports: {folder} is no folder")
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
