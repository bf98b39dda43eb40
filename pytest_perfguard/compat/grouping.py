"""Layout of the tables: groups, order, names and units of benchmarks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from pytest_perfguard.core.errors import SettingError
from pytest_perfguard.core.json_values import as_number

#: One benchmark: `BenchmarkResult.as_dict(flat=True)`, and the run in which it was saved.
Row = dict[str, object]
Group = tuple[str | None, list[Row]]

COLUMNS: Final = ("min", "max", "mean", "stddev", "median", "iqr", "outliers", "ops", "rounds", "iterations")
SORTS: Final = ("min", "max", "mean", "stddev", "name", "fullname")
GROUPINGS: Final = ("group", "name", "fullname", "func", "fullfunc", "param")
TIME_UNITS: Final[Mapping[str, tuple[str, float]]] = {
    "ns": ("n", 1e9), "us": ("u", 1e6), "ms": ("m", 1e3), "s": ("", 1.0),
}  # fmt: skip


def parse_columns(text: object) -> tuple[str, ...]:
    """Parse a list of columns, such as `min,max`."""
    names = tuple(name.strip().lower() for name in str(text).split(","))
    return tuple(_chosen(name, COLUMNS, "column") for name in names)


def parse_sort(text: object) -> str:
    """Parse the column to sort by."""
    return _chosen(str(text).strip().lower(), SORTS, "column to sort by")


def parse_grouping(text: object) -> str:
    """Check a grouping, such as `group`, `func`, `param:NAME` or `group,func`."""
    for name in str(text).split(","):
        if not name.startswith("param:"):
            _chosen(name, (*GROUPINGS, "param:NAME"), "grouping")
    return str(text)


def parse_name(text: object) -> str:
    """Parse the form of names."""
    return _chosen(str(text).strip().lower(), tuple(NAME_FORMS), "form of names")


def parse_time_unit(text: object) -> str | None:
    """Parse a fixed unit; None: chosen by the values."""
    unit = _chosen(str(text).strip().lower(), (*TIME_UNITS, "auto"), "unit of time")
    return None if unit == "auto" else unit


def grouped(rows: Iterable[Row], group_by: str) -> list[Group]:
    """Group the rows: groups ordered by name, the group without a name first; within a group ordered by test."""
    groups: dict[str | None, list[Row]] = {}
    for row in rows:
        parts = [_part(row, grouping) for grouping in group_by.split(",")]
        groups.setdefault(" ".join(str(part) for part in parts if part) or None, []).append(row)
    by = "fullname" if "full" in group_by else "name"
    for members in groups.values():
        members.sort(key=lambda row: str(row[by]))
    return sorted(groups.items(), key=lambda group: group[0] or "")


def time_scale(seconds: float) -> tuple[str, float]:
    """Return prefix and factor of the unit that suits a duration."""
    return next(
        (TIME_UNITS[unit] for unit, minimum in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)) if seconds >= minimum),
        TIME_UNITS["ns"],
    )


def rate_scale(operations: float) -> tuple[str, float]:
    """Return prefix and factor of the unit that suits a number of operations per second."""
    return ("M", 1e-6) if operations > 1e6 else ("K", 1e-3) if operations > 1e3 else ("", 1.0)


def scale_of(
    unit: str, best: Mapping[str, float], worst: Mapping[str, float], sort: str, fixed: str | None
) -> tuple[str, float]:
    """Return prefix and factor for a table's `seconds` or `operations`, by the best value of the column it is sorted by."""
    if fixed is not None and unit == "seconds":
        return TIME_UNITS[fixed]
    if unit == "operations":
        return rate_scale(worst["ops"])
    return time_scale(best.get(sort, best["min"]))


def params_of(row: Row) -> Mapping[str, object]:
    """Return the parameters of a test; empty if it has none."""
    params = row["params"]
    return params if isinstance(params, Mapping) else {}


def sort_key(row: Row, column: str) -> tuple[float, str]:
    """Return the key by which rows are sorted: names as text, other columns as numbers."""
    value = row[column]
    return (0.0, value) if isinstance(value, str) else (as_number(value), "")


def _part(row: Row, grouping: str) -> object:
    if grouping.startswith("param:"):
        name = grouping.removeprefix("param:")
        params = params_of(row)
        return f"{name}={params[name]}" if name in params else None
    if grouping in ("func", "fullfunc"):
        return str(row["name" if grouping == "func" else "fullname"]).partition("[")[0]
    return row[grouping]


def _short(row: Row) -> str:
    name = str(row["name"]).removeprefix("test_")
    return f"{name} ({_last(row)[:4]})" if row["source"] else name


def _normal(row: Row) -> str:
    folder, slash, _file = str(row["source"] or "").rpartition("/")
    return f"{row['name']} ({folder}{slash}{_last(row)[:12]})" if row["source"] else str(row["name"])


def _long(row: Row) -> str:
    return f"{row['fullname']} ({row['source']})" if row["source"] else str(row["fullname"])


def _trial(row: Row) -> str:
    return _last(row)[:4] if row["source"] else "????"


def _last(row: Row) -> str:
    return str(row["source"]).rpartition("/")[2]


NAME_FORMS: Final[Mapping[str, Callable[[Row], str]]] = {
    "short": _short,
    "normal": _normal,
    "long": _long,
    "trial": _trial,
}


def extremes(rows: Sequence[Row], names: Iterable[str]) -> Iterator[tuple[str, float, float]]:
    """Yield each column with its best and worst value. Only for `ops` the largest is the best."""
    for name in names:
        values = [as_number(row[name]) for row in rows]
        low, high = min(values), max(values)
        yield (name, high, low) if name == "ops" else (name, low, high)


def _chosen(word: str, valid: Sequence[str], what: str) -> str:
    if word not in valid:
        raise SettingError(f"{word!r} is not a valid {what} (valid: {', '.join(valid)})")
    return word
