"""`perfguard prune`: remove tests from the baseline."""

from __future__ import annotations

import argparse
from pathlib import Path

from pytest_perfguard.cli.common import (
    Verbs,
    add_verb,
    matcher,
    print_json,
    print_lines,
    report_unmatched,
)
from pytest_perfguard.core.text import plural
from pytest_perfguard.engine.baseline.store import Store, without_tests


def add(verbs: Verbs) -> None:
    parser = add_verb(verbs, "prune", _run, "remove tests from the baseline, in every machine class")
    parser.add_argument("--rootdir", default=".", help="pytest's rootdir, where node ids start (default: this folder)")
    parser.add_argument(
        "patterns",
        nargs="*",
        metavar="PATTERN",
        help="node ids, * and ? allowed; none: tests whose file no longer exists",
    )


def _run(options: argparse.Namespace) -> int:
    store, rootdir, named = Store(Path(options.file)), Path(options.rootdir), matcher(options.patterns)

    def gone(nodeid: str) -> bool:
        return named(nodeid) if options.patterns else not (rootdir / nodeid.partition("::")[0]).exists()

    before = store.read()
    after, names = without_tests(before, gone)
    if before.classes and not after.classes and not options.patterns:
        print_lines(
            f"perfguard: no file of any test exists below {rootdir.resolve()}; if this is not pytest's rootdir, use --rootdir=PATH",
            error=True,
        )
        return 2
    if names:
        store.update(lambda current: without_tests(current, gone)[0])
    if options.json:
        print_json({"dropped": names, "file": str(store.path)})
        return report_unmatched(options.patterns, names, str(store.path))
    for name in names:
        print_lines(f"dropped {name}")
    print_lines(f"{plural(len(names), 'test')} dropped from {store.path}")
    return report_unmatched(options.patterns, names, str(store.path))
