"""`perfguard import` and `perfguard export`: exchange baselines with pytest-benchmark's files, and write tables."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pytest_perfguard.cli.common import (
    Verbs,
    add_verb,
    load_baseline,
    matcher,
    print_json,
    print_lines,
    read_text,
    report_unmatched,
)
from pytest_perfguard.compat.exchange import (
    benchmark_json_from_records,
    csv_from_records,
    machine_of_benchmark_json,
    records_from_benchmark_json,
    to_text,
)
from pytest_perfguard.core.atomic_files import atomic_write
from pytest_perfguard.core.errors import CommandError
from pytest_perfguard.core.model import Machine, Record
from pytest_perfguard.core.text import plural
from pytest_perfguard.engine.baseline.store import Store, with_records
from pytest_perfguard.engine.measure.machine import current_machine

#: Names of facts about a machine in pytest-benchmark's files, and in perfguard's fingerprint.
_FACTS: Final = {"system": "system", "machine": "architecture"}


def add(verbs: Verbs) -> None:
    importing = add_verb(
        verbs, "import", _import, "import a JSON file of pytest-benchmark into the baseline",
        description="Import the benchmarks of a JSON file of pytest-benchmark into the baseline file. The file contains one process for "
        "each test and no speed of the machine, so small slowdowns stay inconclusive until the test is recorded again.",
    )  # fmt: skip
    importing.add_argument("path", metavar="FILE", help="written by --benchmark-json or --benchmark-save")
    importing.add_argument(
        "--machine",
        metavar="CLASS",
        help="machine class of the file (default: this machine's, if the file may be from it)",
    )
    exporting = add_verb(
        verbs, "export", _export, "write a baseline or a report as pytest-benchmark's JSON, or as a CSV table"
    )
    exporting.add_argument("patterns", nargs="*", metavar="PATTERN", help="node ids, * and ? allowed; none: all tests")
    exporting.add_argument("--format", choices=("benchmark-json", "csv"), default="csv", help="default: %(default)s")
    exporting.add_argument(
        "--machine", metavar="CLASS", help="machine class to export (default: the only one, or this machine's)"
    )
    exporting.add_argument("--output", "-o", metavar="PATH", help="file to write (default: standard output)")


def _import(options: argparse.Namespace) -> int:
    text = read_text(Path(options.path))
    records = records_from_benchmark_json(text, options.path)
    if not records:
        raise CommandError(f"{options.path} contains no benchmark")
    described = machine_of_benchmark_json(text, options.path)
    machine = Machine(options.machine, described) if options.machine else _this_machine(described, options.path)
    store = Store(Path(options.file))
    store.check_writable()
    store.update(
        lambda before: with_records(before, machine, records, {"at": str(described.get("datetime", ""))}, None)
    )
    if options.json:
        print_json({"imported": sorted(records), "class": machine.name, "file": str(store.path)})
    else:
        print_lines(
            f"{plural(len(records), 'test')} imported from {options.path} into {store.path}, class {machine.name}"
        )
        print_lines(
            "each has one process and no speed of the machine: for a reliable baseline, record with pytest --perf-baseline"
        )
    return 0


def _this_machine(described: Mapping[str, object], path: str) -> Machine:
    """Return this machine if the file may be from a machine of its class.

    Raises
    ------
    CommandError
        if it is not.
    """
    machine = current_machine()
    facts = {theirs: machine.facts[ours] for theirs, ours in _FACTS.items()}
    facts["python"] = machine.facts["python"]
    found = {name: described.get(name) for name in _FACTS}
    found["python"] = ".".join(str(described.get("python_version", "")).split(".")[:2])
    for name, value in facts.items():
        if found[name] and found[name] != value:
            raise CommandError(
                f"{path} was written on another kind of machine: {name} is {found[name]}, here {value}; name its "
                "class: --machine=CLASS"
            )
    return machine


def _export(options: argparse.Namespace) -> int:
    baseline = load_baseline(options.file).baseline
    machine = options.machine or _only_class(sorted(baseline.classes))
    if machine not in baseline.classes:
        raise CommandError(
            f"{options.file} has no class {machine} (it has: {', '.join(sorted(baseline.classes)) or 'none'})"
        )
    wanted = matcher(options.patterns)
    records = {nodeid: record for nodeid, record in sorted(baseline.tests_of(machine).items()) if wanted(nodeid)}
    status = report_unmatched(options.patterns, records, options.file)
    text = _exported(records, options.format, baseline.classes[machine].machine)
    if options.output:
        atomic_write(Path(options.output), text)
    if options.json:
        print_json(
            {
                "exported": list(records),
                "class": machine,
                "file": options.output,
                "text": None if options.output else text,
            }
        )
    elif options.output:
        print_lines(f"{plural(len(records), 'test')} written to {options.output}", error=True)
    else:
        print(text, end="")
    return status


def _exported(records: Mapping[str, Record], form: str, machine: Mapping[str, object]) -> str:
    if form == "csv":
        return csv_from_records(records)
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    commits = {record.commit for record in records.values()}
    commit = {"id": commits.pop()} if len(commits) == 1 else {}
    return to_text(benchmark_json_from_records(records, machine_info=machine, commit_info=commit, at=now))


def _only_class(names: list[str]) -> str:
    """Return the machine class to use if none was named.

    Raises
    ------
    CommandError
        if it is ambiguous.
    """
    if len(names) == 1:
        return names[0]
    here = current_machine().name
    if here in names:
        return here
    raise CommandError(
        f"there are several machine classes or none; select one with --machine: {', '.join(names) or 'there is none'}"
    )
