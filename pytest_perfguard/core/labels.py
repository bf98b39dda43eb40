"""Names and labels of series: validation, conversion to text and back, and the name in Prometheus."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from pytest_perfguard.core.errors import SeriesError

#: Types of the value of a label.
Label = str | int

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*")
_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Labels that the exposition formats reserve.
_RESERVED: Final = frozenset({"le", "quantile"})
_PAIR: Final = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|$)')
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}
_ESCAPED: Final = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


class Series(NamedTuple):
    """The identity of a series: its name and labels."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()
    """Sorted by name."""

    def __str__(self) -> str:
        """Return the series as text: `db.query{table="users"}`."""
        if not self.labels:
            return self.name
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in self.labels)
        return f"{self.name}{{{labels}}}"

    def matches(self, name: str, labels: tuple[tuple[str, str], ...]) -> bool:
        """Return whether the series has this name and at least these labels."""
        return self.name == name and set(labels) <= set(self.labels)


def series_of(name: str, labels: Mapping[str, object]) -> Series:
    """Return the series of a name and labels.

    Raises
    ------
    SeriesError
        if the name or a label is invalid.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SeriesError(
            f"{name!r} is not a valid name of a series: give words of letters, digits and _ joined by dots"
        )
    for label, value in labels.items():
        if not _LABEL.fullmatch(label) or label.startswith("__") or label in _RESERVED:
            raise SeriesError(
                f"{name}: {label!r} is not a valid label: give letters, digits and _, not le, quantile or a name that begins with __"
            )
        if not isinstance(value, str | int):
            raise SeriesError(f"{name}: the label {label} is {value!r}, expected text or a whole number")
    return Series(name, tuple(sorted((label, str(value)) for label, value in labels.items())))


def read_series(text: str) -> Series:
    """Return the series that `str()` has converted to this text.

    Raises
    ------
    SeriesError
        if the text is not a series.
    """
    name, brace, rest = text.partition("{")
    if not brace:
        return series_of(text.strip(), {})
    if not rest.rstrip().endswith("}"):
        raise SeriesError(f'{text!r} is not a series: labels end with a closing brace, as in db.query{{table="users"}}')
    return series_of(name.strip(), dict(_pairs(text, rest.rstrip()[:-1])))


def exposed_name(name: str, kind: str) -> str:
    """Return the name in Prometheus: without dots, and with the endings of its conventions."""
    ending = {"timer": "_seconds", "counter": "_total"}.get(kind, "")
    return f"{name.replace('.', '_').removesuffix(ending)}{ending}"


def _pairs(text: str, inside: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(inside):
        match = _PAIR.match(inside, at)
        if match is None:
            raise SeriesError(f'{text!r} is not a series: expected label="value", got {inside[at:]!r}')
        yield match[1], re.sub(r"\\.", lambda escape: _ESCAPED.get(escape[0], escape[0]), match[2])
        at = match.end()


def _escaped(value: str) -> str:
    return "".join(_ESCAPES.get(char, char) for char in value)
