"""`perfguard merge`: merge the baselines or the reports of several CI jobs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

from pytest_perfguard.cli.common import Loaded, Verbs, add_verb, load, print_json, print_lines
from pytest_perfguard.core.atomic_files import atomic_write
from pytest_perfguard.core.errors import CommandError, PerfguardError
from pytest_perfguard.core.parsers import REPORT_SUFFIXES, parse_reports
from pytest_perfguard.core.text import plural
from pytest_perfguard.engine.baseline.schema import Baseline
from pytest_perfguard.engine.baseline.shards import merge_shards, unreported
from pytest_perfguard.engine.baseline.store import Store
from pytest_perfguard.engine.report.document import Report
from pytest_perfguard.engine.report.merge import merge_reports
from pytest_perfguard.engine.report.render import rendered


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "merge", _run, "merge the baselines or reports of several CI jobs",
        description="Merge the baselines, or the JSON reports, of the jobs of a CI matrix into one file. With --before, the committed "
        "baseline, a missing shard is detected: exit status 1, and no baseline is written. For reports, the exit status is also "
        "1 if a test failed.",
    )  # fmt: skip
    parser.add_argument("files", nargs="+", metavar="FILE", help="baselines, or JSON reports")
    parser.add_argument(
        "--output", "-o", required=True, metavar="PATH", help="baseline to write, or report (.json .md .html .csv)"
    )
    parser.add_argument("--before", metavar="FILE", help="baseline with which every job started")
    parser.add_argument("--partial", action="store_true", help="accept that tests of --before are in no shard")


def _run(options: argparse.Namespace) -> int:
    loaded = {name: load(Path(name)) for name in options.files}
    reports = {name: found.report for name, found in loaded.items() if found.report is not None}
    before = load(Path(options.before)).baseline if options.before else None
    if not reports:
        return _merge_baselines(loaded, before, options)
    if len(reports) < len(loaded):
        other = next(name for name in loaded if name not in reports)
        raise CommandError(f"{other} is a baseline and {next(iter(reports))} is a report: merge files of one kind")
    return _merge_reports(reports, before, options)


def _merge_baselines(loaded: Mapping[str, Loaded], before: Baseline | None, options: argparse.Namespace) -> int:
    if options.output.endswith(tuple({*REPORT_SUFFIXES} - {".json"})):
        raise CommandError(
            f"--output: baselines are merged into a baseline, not into {options.output}; for a page, merge JSON reports"
        )
    joined = merge_shards({name: found.baseline for name, found in loaded.items()}, before)
    if joined.conflicts:
        hint = "" if before is not None else "; if each job started with the committed baseline, name it: --before=FILE"
        raise CommandError("\n".join(map(str, joined.conflicts[:10])) + hint)
    lacking = sorted({nodeid for nodeids in joined.unrecorded.values() for nodeid in nodeids})
    refused = bool(lacking) and not options.partial
    if not refused:
        store = Store(Path(options.output))
        store.check_writable()
        store.update(lambda _current: joined.baseline)
    tests = sum(len(part.tests) for part in joined.baseline.classes.values())
    result = {
        "tests": tests,
        "lacking": lacking,
        "silent": list(joined.silent),
        "written": None if refused else options.output,
    }
    for name in joined.silent:
        print_lines(f"perfguard: {name} contains nothing new: its job recorded nothing", error=True)
    _print(result, lacking, refused, as_json=options.json)
    return 1 if refused else 0


def _merge_reports(reports: Mapping[str, Report], before: Baseline | None, options: argparse.Namespace) -> int:
    (name,) = parse_reports(options.output)
    if _is_baseline(Path(name)):
        raise CommandError(f"--output: {name} is a baseline, which a report would replace; name another file")
    report = merge_reports(reports)
    atomic_write(Path(name), rendered(report, name))
    reported = [entry.nodeid for entry in report.entries]
    lacking = list(unreported(before, report.machine.name, reported)) if before is not None else []
    refused = bool(lacking) and not options.partial
    result = {"tests": len(reported), "lacking": lacking, "summary": report.summary, "written": name}
    _print(result, lacking, refused, as_json=options.json)
    return 1 if refused or report.failed else 0


def _is_baseline(path: Path) -> bool:
    try:
        return load(path).report is None
    except PerfguardError:  # no file, or another one
        return False


def _print(result: Mapping[str, object], lacking: Sequence[str], refused: bool, *, as_json: bool) -> None:
    if as_json:
        print_json(result)
    else:
        written = f"written to {result['written']}" if result["written"] else "nothing was written"
        print_lines(f"{plural(int(str(result['tests'])), 'test')}; {written}")
    if refused:
        names = ", ".join(lacking[:5]) + ", ..." * (len(lacking) > 5)
        print_lines(
            f"perfguard: no shard contains {plural(len(lacking), 'test')} ({names}): a shard may be missing. If these tests no "
            "longer exist, use perfguard prune; if no shard is missing, use --partial",
            error=True,
        )
