"""Tables of benchmarks for the terminal and as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pytest_perfguard.compat.grouping import NAME_FORMS, Group, Row, extremes, params_of, sort_key
from pytest_perfguard.core.json_values import as_number
from pytest_perfguard.core.text import csv_cell, plural, printable

#: pytest-benchmark's hook `scale_unit`: (unit, rows, best, worst, sort) -> (prefix of the unit, factor).
Scale = Callable[..., tuple[str, float]]

_TIMES: Final = ("min", "max", "mean", "stddev", "median", "iqr")
_TITLES: Final = {
    "min": "Min", "max": "Max", "mean": "Mean", "stddev": "StdDev", "median": "Median", "iqr": "IQR",
    "outliers": "Outliers", "ops": "OPS", "rounds": "Rounds", "iterations": "Iterations",
}  # fmt: skip
LEGEND: Final = (
    "Outliers: rounds beyond one standard deviation from the mean; beyond 1.5 interquartile ranges from the quartiles. "
    "OPS: operations per second, 1 / mean."
)


def table_lines(
    groups: Sequence[Group], *, columns: Sequence[str], sort: str, name: str, scale: Scale
) -> Iterator[str]:
    """Yield a table for each group, with the ratio to the group's best value in brackets."""
    from tabulate import tabulate

    for title, rows in groups:
        ordered = sorted(rows, key=lambda row: sort_key(row, sort))
        best, worst = {}, {}
        for column, low, high in extremes(ordered, (*_TIMES, "ops")):
            best[column], worst[column] = low, high
        prefix, factor = scale(unit="seconds", benchmarks=ordered, best=best, worst=worst, sort=sort)
        rate, rate_factor = scale(unit="operations", benchmarks=ordered, best=best, worst=worst, sort=sort)
        factors = {**dict.fromkeys(_TIMES, factor), "ops": rate_factor}
        titles = [_TITLES[column] + (f" ({rate}ops/s)" if column == "ops" and rate else "") for column in columns]
        cells = [
            [_name(row, name), *(_cell(row, column, factors, best if len(rows) > 1 else {}) for column in columns)]
            for row in ordered
        ]
        count = plural(len(rows), "test")
        yield f"benchmark{f' {title!r}' if title is not None else ''}: {count}"
        headers = [f"Name (time in {prefix}s)", *titles]
        align = ["left", *["right"] * len(columns)]
        yield from tabulate(cells, headers, tablefmt="simple", colalign=align, disable_numparse=True).splitlines()
        yield ""
    yield LEGEND


def csv_text(groups: Sequence[Group], *, columns: Sequence[str], sort: str) -> str:
    """Return one line for each benchmark: its node id, its parameters, the columns in seconds."""
    names = sorted({name for _title, rows in groups for row in rows for name in params_of(row)})
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["name", *(csv_cell(f"param:{name}") for name in names), *columns])
    for _title, rows in groups:
        for row in sorted(rows, key=lambda row: sort_key(row, sort)):
            params = params_of(row)
            cells = [row["fullname"], *(params.get(name, "") for name in names), *(row[name] for name in columns)]
            writer.writerow(map(csv_cell, cells))
    return text.getvalue()


def _name(row: Row, form: str) -> str:
    name = NAME_FORMS[form](row)
    return printable(f"{name} (failed)" if row.get("has_error") else name)


def _cell(row: Row, column: str, factors: dict[str, float], best: dict[str, float]) -> str:
    if column not in factors:
        return str(row[column])
    value = as_number(row[column])
    shown = f"{value * factors[column]:,.4f}"
    return f"{shown} ({_times(value, best[column])})" if column in best else shown


def _times(value: float, best: float) -> str:
    if value == best:
        return "1.00"
    times = value / best if best else math.inf
    return f"{times:.2f}" if times <= 1000 else "inf" if math.isinf(times) else ">1000"
