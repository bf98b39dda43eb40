"""The `perfguard` command."""

from __future__ import annotations

import argparse
import fnmatch
import sys
from collections.abc import Sequence
from pathlib import Path

from pytest_perfguard.baseline.store import Store, pruned
from pytest_perfguard.errors import BaselineError
from pytest_perfguard.knobs import KNOBS
from pytest_perfguard.units import format_amount


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 done, 2 wrong usage, 4 unusable baseline."""
    parser = argparse.ArgumentParser(prog="perfguard", description="Look after a perfguard baseline file.")
    default = next(knob.default for knob in KNOBS if knob.name == "file")
    parser.add_argument("--file", default=default, help="the baseline file (default: %(default)s)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("show", help="list what the baseline holds")
    prune = verbs.add_parser("prune", help="drop tests from the baseline, in every machine class")
    prune.add_argument("--rootdir", default=".", help="pytest's rootdir, where node ids start (default: this folder)")
    prune.add_argument("patterns", nargs="*", help="node ids, * and ? allowed; none: the tests whose file is gone")
    options = parser.parse_args(arguments)
    store = Store(Path(options.file))
    try:
        return _show(store) if options.verb == "show" else _prune(store, options.patterns, Path(options.rootdir))
    except BaselineError as error:
        print(f"perfguard: {error}", file=sys.stderr)
        return 4


def _show(store: Store) -> int:
    for name, part in sorted(store.read().classes.items()):
        print(f"{name} ({len(part.tests)} tests, {part.stamp.get('at', 'time unknown')})")
        for nodeid, record in sorted(part.tests.items()):
            amounts = [f"{metric} {format_amount(kept.estimate, kept.unit)}" for metric, kept in record.metrics.items()]
            print(f"  {nodeid}: {', '.join(amounts)}")
    return 0


def _prune(store: Store, patterns: Sequence[str], rootdir: Path) -> int:
    def gone(nodeid: str) -> bool:
        if patterns:
            return any(nodeid == pattern or fnmatch.fnmatchcase(nodeid, pattern) for pattern in patterns)
        return not (rootdir / nodeid.partition("::")[0]).exists()

    before = store.read()
    after, names = pruned(before, gone)
    if before.classes and not after.classes and not patterns:
        print(
            f"perfguard: no test's file is below {rootdir.resolve()}; is this pytest's rootdir? Say --rootdir=PATH",
            file=sys.stderr,
        )
        return 2
    if names:
        store.update(lambda current: pruned(current, gone)[0])
    for name in names:
        print(f"dropped {name}")
    print(f"{len(names)} tests dropped from {store.path}")
    return 0
