"""`perfguard accept`: copy a run's measurements of selected tests to the baseline, without measuring again."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from pytest_perfguard.cli.common import (
    Verbs,
    add_verb,
    load_report,
    matcher,
    print_json,
    print_lines,
)
from pytest_perfguard.core.errors import CommandError
from pytest_perfguard.core.metric_names import are_counts
from pytest_perfguard.core.model import Record
from pytest_perfguard.core.text import plural
from pytest_perfguard.engine.baseline.store import Store, with_records
from pytest_perfguard.engine.verdict.stopping import RECORDED_PROCESSES


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "accept", _run, "copy a run's measurements of selected tests to the baseline",
        description="Copy the measurements of these tests by --perf-compare or --perf-baseline to the baseline file. A test that was "
        "only measured side by side has no measurement that can be stored: record it with pytest --perf-baseline.",
    )  # fmt: skip
    parser.add_argument("report", metavar="REPORT", help="a JSON report of the run (--perf-report=x.json)")
    parser.add_argument("patterns", nargs="+", metavar="PATTERN", help="node ids, * and ? allowed")


def _run(options: argparse.Namespace) -> int:
    report, wanted = load_report(Path(options.report)), matcher(options.patterns)
    records = {
        entry.nodeid: entry.record for entry in report.entries if entry.record is not None and wanted(entry.nodeid)
    }
    unmatched = [pattern for pattern in options.patterns if not any(map(matcher([pattern]), records))]
    if unmatched:
        raise CommandError(
            f"{options.report} has no measurement of {unmatched[0]}; list its tests with: perfguard show --file={options.report}"
        )
    without = [nodeid for nodeid, record in records.items() if record.kernel <= 0]
    if without:
        raise CommandError(
            f"{without[0]} was only measured side by side, without the machine's speed, so its measurement cannot be "
            "stored; record it with: pytest --perf-baseline"
        )
    store = Store(Path(options.file))
    store.update(lambda before: with_records(before, report.machine, records, {"at": report.at}, None))
    doubts = _doubts(records)
    if options.json:
        print_json({"accepted": sorted(records), "doubts": doubts, "file": str(store.path)})
        return 0
    for nodeid in sorted(records):
        print_lines(f"accepted {nodeid}{': ' * (nodeid in doubts)}{doubts.get(nodeid, '')}")
    print_lines(f"{plural(len(records), 'test')} copied to {store.path}")
    return 0


def _doubts(records: Mapping[str, Record]) -> dict[str, str]:
    """Return, by node id, why a record detects less than one of `--perf-baseline`."""
    return {
        nodeid: f"from {plural(len(record.paces), 'process')} instead of {RECORDED_PROCESSES}, so it will detect less"
        for nodeid, record in records.items()
        if len(record.paces) < RECORDED_PROCESSES and not are_counts(record.metrics)
    }
