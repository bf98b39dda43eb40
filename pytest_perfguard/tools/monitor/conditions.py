"""Conditions of alerts, such as `db.query{table="users"}.p95 > 200ms`: parse them and evaluate values. Pure."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from pytest_perfguard.core.errors import ExpressionError, SeriesError
from pytest_perfguard.core.labels import Series, read_series
from pytest_perfguard.core.units import DURATIONS, SIZES, format_duration, format_size

#: Fields of counters and gauges, and of timers and histograms.
FIELDS: Final = ("value", "rate", "count", "sum", "mean", "min", "max", "p50", "p90", "p95", "p99")
RATE: Final = "rate"

_OPERATORS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge, "<=": operator.le, "==": operator.eq, "!=": operator.ne, ">": operator.gt, "<": operator.lt,
}  # fmt: skip
_UNITS: Final[Mapping[str, float]] = {**DURATIONS, **SIZES, "%": 0.01, "/s": 1.0, "/min": 1 / 60, "": 1.0}
_SERIES: Final = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_.]*)(\{(?:"(?:[^"\\]|\\.)*"|[^}"])*\})?((?:\.[a-z0-9]+)?)\s*')
_OPERATOR: Final = re.compile(r"(>=|<=|==|!=|>|<)\s*")
_NUMBER: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*")


@dataclass(frozen=True)
class Condition:
    """One comparison, which is true for unwanted values."""

    text: str
    path: str
    """The name of a series, which may include a field behind its last dot."""
    labels: tuple[tuple[str, str], ...]
    """A series must have these labels, and may have others."""
    field: str
    """The field behind the labels; "" if there are no labels, or for `value`."""
    compare: str
    limit: float
    unit: str
    """As in the expression."""

    def field_of(self, series: Series) -> str | None:
        """Return the field that the condition compares of this series; None: it concerns another series."""
        if series.matches(self.path, self.labels):
            return self.field or "value"
        name, _dot, last = self.path.rpartition(".")
        if not self.field and last in FIELDS and series.matches(name, self.labels):
            return last
        return None

    def holds(self, value: float) -> bool:
        """Return whether the comparison is true for this value."""
        return _OPERATORS[self.compare](value, self.limit)

    def describe(self, series: Series, field: str, value: float) -> str:
        """Return a breach in words: `db.query{table="users"}.p95 is 231 ms: alert "db.query.p95 > 200ms"`."""
        return f'{series}.{field} is {self.amount(value)}: alert "{self.text.strip()}"'

    def amount(self, value: float) -> str:
        """Return a value as text in the unit of the limit."""
        if self.unit in DURATIONS:
            return format_duration(value)
        if self.unit in SIZES:
            return format_size(value)
        return f"{value / _UNITS[self.unit]:.6g}{self.unit}"


def read_condition(text: str) -> Condition:
    """Parse a condition.

    Raises
    ------
    ExpressionError
        with the column of the first mistake.
    """
    series = _SERIES.match(text)
    if series is None:
        column = len(text) - len(text.lstrip()) + 1
        raise ExpressionError(text, column, "expected the name of a series and a field, such as db.query.p95")
    if series[2] and series[3] and series[3][1:] not in FIELDS:
        raise ExpressionError(
            text, series.start(3) + 2, f"unknown field {series[3][1:]!r} (valid: {', '.join(FIELDS)})"
        )
    compare = _OPERATOR.match(text, series.end())
    if compare is None:
        raise ExpressionError(text, series.end() + 1, f"expected one of {' '.join(_OPERATORS)}")
    number = _NUMBER.match(text, compare.end())
    if number is None:
        raise ExpressionError(text, compare.end() + 1, "expected a number, with a unit where it has one, such as 200ms")
    unit = text[number.end() :].strip()
    if unit not in _UNITS:
        valid = ", ".join(name for name in _UNITS if name)
        raise ExpressionError(text, number.end() + 1, f"unknown unit {unit!r} (valid: {valid}, or none)")
    try:
        found = read_series(series[1] + (series[2] or ""))
    except SeriesError as error:
        raise ExpressionError(text, series.start(1) + 1, str(error)) from None
    limit = float(number[1]) * _UNITS[unit]
    return Condition(text, found.name, found.labels, series[3].removeprefix("."), compare[1], limit, unit)
