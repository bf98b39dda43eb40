"""Groups and order of the tests in the table of the summary (`--perf-group-by`, `--perf-sort`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from pytest_perfguard.compat.grouping import Row, grouped
from pytest_perfguard.core.model import SEVERITY, Comparison
from pytest_perfguard.engine.report.summary_table import TableGroup
from pytest_perfguard.engine.report.text import leading_finding


def table_groups(
    comparisons: Sequence[Comparison],
    parameters: Mapping[str, Mapping[str, str]],
    *,
    group_by: str,
    sort: str | None,
    severity: bool,
) -> list[TableGroup]:
    """Return the groups of the table in their order.

    Parameters
    ----------
    parameters
        the parameters of each test, by node id.
    group_by, sort
        the settings of these names.
    severity
        the most severe come first, unless `sort` selects another order. Otherwise the order of the tests is kept.
    """
    rows: list[Row] = []
    for comparison in comparisons:
        file, _colons, name = comparison.nodeid.partition("::")
        rows.append(
            {
                "name": name, "fullname": comparison.nodeid, "file": file, "params": parameters.get(comparison.nodeid),
            }
        )  # fmt: skip
    by_nodeid = {comparison.nodeid: comparison for comparison in comparisons}
    places = {comparison.nodeid: place for place, comparison in enumerate(comparisons)}
    order = _order(sort, severity, places)
    others = f"without {group_by.removeprefix('param:')}" if group_by.startswith("param:") else ""
    groups = [
        TableGroup(
            title or others,
            sorted((by_nodeid[str(row["fullname"])] for row in members), key=order),
            compared=title is not None and group_by != "file",
        )
        for title, members in grouped(rows, group_by)
    ]
    return sorted(groups, key=lambda group: order(group.tests[0]))


def _order(
    sort: str | None, severity: bool, places: Mapping[str, int]
) -> Callable[[Comparison], tuple[float, Sequence[int | str]]]:
    """Return the sort key. Tests of the same time, or without a change, keep the order in which they ran."""

    def order(comparison: Comparison) -> tuple[float, Sequence[int | str]]:
        time = leading_finding(comparison, "time", "cpu")
        place = (places[comparison.nodeid],)
        if sort == "name":
            return 0.0, _natural(comparison.nodeid)
        if sort == "time":
            return time.candidate if time else float("inf"), place
        if sort == "change":
            change = time.change if time else None
            return -change if change is not None else float("inf"), place
        return (SEVERITY[comparison.outcome], _natural(comparison.nodeid)) if severity else (0.0, place)

    return order


def _natural(name: str) -> list[int | str]:
    """Return the key that sorts `t[100]` before `t[1000]`: texts and numbers in turn, beginning with a text."""
    parts = re.split(r"([0-9]{1,18})", name)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]
