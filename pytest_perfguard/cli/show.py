"""`perfguard show`: list the tests in a baseline or a report."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping

from pytest_perfguard.cli.common import (
    Verbs,
    add_verb,
    load_baseline,
    matcher,
    print_json,
    print_lines,
    report_unmatched,
)
from pytest_perfguard.core.errors import CommandError
from pytest_perfguard.core.metric_names import metric_order
from pytest_perfguard.core.model import Record
from pytest_perfguard.core.text import plural
from pytest_perfguard.core.units import format_amount
from pytest_perfguard.engine.baseline.schema import MachineClass, record_data


def add(verbs: Verbs) -> None:
    parser = add_verb(verbs, "show", _run, "list the tests in a baseline or a JSON report")
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="node ids, * and ? allowed; none: all tests")
    parser.add_argument(
        "--sort", default="name", help="name (default), or a metric such as time or memory, largest first"
    )
    parser.add_argument("--machine", default="*", metavar="PATTERN", help="machine classes, * and ? allowed")


def _run(options: argparse.Namespace) -> int:
    loaded = load_baseline(options.file)
    wanted, machine = matcher(options.patterns), matcher([options.machine])
    classes = {
        name: _chosen(part, wanted, options.sort) for name, part in loaded.baseline.classes.items() if machine(name)
    }
    if options.json:
        print_json({name: _data(loaded.baseline.classes[name], tests) for name, tests in sorted(classes.items())})
    else:
        for name, tests in sorted(classes.items()):
            if not tests and options.patterns:
                continue
            print_lines(*_lines(name, loaded.baseline.classes[name], tests))
    if not any(part.tests for part in loaded.baseline.classes.values()):
        print_lines(f"perfguard: {options.file} contains no measurement of a test", error=True)
    if not classes and options.machine != "*":
        return report_unmatched([options.machine], loaded.baseline.classes, options.file, kind="machine class")
    return report_unmatched(options.patterns, (nodeid for tests in classes.values() for nodeid in tests), options.file)


def _chosen(part: MachineClass, wanted: Callable[[str], bool], sort: str) -> dict[str, Record]:
    chosen = {nodeid: record for nodeid, record in sorted(part.tests.items()) if wanted(nodeid)}
    if sort == "name":
        return chosen

    if chosen and not any(sort in record.metrics for record in chosen.values()):
        known = sorted({name for record in chosen.values() for name in record.metrics})
        raise CommandError(f"--sort={sort}: no test has this metric (valid: name, {', '.join(known)})")

    def amount(nodeid: str) -> float:
        kept = chosen[nodeid].metrics.get(sort)
        return kept.estimate if kept is not None else -1.0

    return {nodeid: chosen[nodeid] for nodeid in sorted(chosen, key=amount, reverse=True)}


def _data(part: MachineClass, tests: Mapping[str, Record]) -> dict[str, object]:
    return {
        "machine": dict(part.machine),
        "stamp": dict(part.stamp),
        "tests": {nodeid: record_data(record) for nodeid, record in tests.items()},
    }


def _lines(name: str, part: MachineClass, tests: Mapping[str, Record]) -> Iterator[str]:
    yield f"{name} ({plural(len(tests), 'test')}, {part.stamp.get('at', 'time unknown')})"
    for nodeid, record in tests.items():
        amounts = [
            f"{metric} {format_amount(record.metrics[metric].estimate, record.metrics[metric].unit)}"
            for metric in sorted(record.metrics, key=metric_order)
        ]
        yield f"  {nodeid}: {', '.join(amounts)}"
