"""Measure the import of well-known packages, each in fresh interpreters with compiled bytecode; the minimum of seven.

    python benchmarks/import_costs.py [PACKAGE ...]

Packages that are not installed are left out.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

from tabulate import tabulate

from pytest_perfguard.tools.startup.import_tree import Imported
from pytest_perfguard.tools.startup.imports import FreshImport

PACKAGES = (
    "json", "asyncio", "sqlite3", "pytest", "hypothesis", "redis", "sqlalchemy", "psycopg", "numpy", "scipy.stats",
    "prometheus_client", "anyio", "pytest_perfguard", "pytest_perfguard.plugin",
)  # fmt: skip
TIMES = 7


def heaviest_child(trees: tuple[Imported, ...]) -> str:
    """Return the branch with the largest part of its parent's time, as deep as that is more than half."""
    node = max(trees, key=lambda tree: tree.total)
    while node.children:
        largest = max(node.children, key=lambda child: child.total)
        if largest.total < node.total / 2:
            break
        node = largest
    return node.name


def main(packages: tuple[str, ...]) -> None:
    rows = []
    for name in packages:
        if find_spec(name.partition(".")[0]) is None:
            continue
        fresh = FreshImport(name)
        fresh()
        reports = [fresh() for _ in range(TIMES)]
        seconds, cpu = min(report.seconds for report in reports), min(report.cpu_seconds for report in reports)
        size = reports[0].code_bytes / 1e6
        branch = heaviest_child(fresh.with_trees().trees)
        rows.append([name, seconds * 1e3, cpu * 1e3, len(reports[0].modules), size, branch])
    head = ["import", "ms", "CPU ms", "modules", "code MB", "heaviest branch"]
    print(tabulate(rows, head, floatfmt=("", ".1f", ".1f", "d", ".2f", "")))


if __name__ == "__main__":
    main(tuple(sys.argv[1:]) or PACKAGES)
