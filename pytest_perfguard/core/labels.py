"""Names and labels of series: what is allowed, how a series is written and read back, what Prometheus calls it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from pytest_perfguard.core.errors import SeriesError

#: What a caller may give as the value of a label.
Label = str | int

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*")
_LABEL: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: Labels that the exposition formats use themselves.
_RESERVED: Final = frozenset({"le", "quantile"})
_PAIR: Final = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*(,|$)')
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}
_ESCAPED: Final = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


class Series(NamedTuple):
    """What identifies a series."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()
    """Sorted by name."""

    def __str__(self) -> str:
        """`db.query{table="users"}`."""
        if not self.labels:
            return self.name
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in self.labels)
        return f"{self.name}{{{labels}}}"

    def matches(self, name: str, labels: tuple[tuple[str, str], ...]) -> bool:
        """Is it of this name, with at least these labels?"""
        return self.name == name and set(labels) <= set(self.labels)


def series_of(name: str, labels: Mapping[str, object]) -> Series:
    """The series of these words.

    Raises
    ------
    SeriesError
        naming what is not allowed.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise SeriesError(
            f"{name!r} cannot be the name of a series: give words of letters, digits and _ joined by dots"
        )
    for label, value in labels.items():
        if not _LABEL.fullmatch(label) or label.startswith("__") or label in _RESERVED:
            raise SeriesError(
                f"{name}: {label!r} cannot be a label: give letters, digits and _, neither le nor quantile, nor __ first"
            )
        if not isinstance(value, str | int):
            raise SeriesError(f"{name}: the label {label} is {value!r}, expected text or a whole number")
    return Series(name, tuple(sorted((label, str(value)) for label, value in labels.items())))


def read_series(text: str) -> Series:
    """The series that `str()` of one has written.

    Raises
    ------
    SeriesError
        where the text is none.
    """
    name, brace, rest = text.partition("{")
    if not brace:
        return series_of(text.strip(), {})
    if not rest.rstrip().endswith("}"):
        raise SeriesError(
            f'{text!r} is no series: the labels end with a closing brace, as in db.query{{table="users"}}'
        )
    return series_of(name.strip(), dict(_pairs(text, rest.rstrip()[:-1])))


def exposed_name(name: str, kind: str) -> str:
    """What Prometheus calls it: no dots, and the endings that its conventions ask for."""
    ending = {"timer": "_seconds", "counter": "_total"}.get(kind, "")
    return f"{name.replace('.', '_').removesuffix(ending)}{ending}"


def _pairs(text: str, inside: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(inside):
        match = _PAIR.match(inside, at)
        if match is None:
            raise SeriesError(f'{text!r} is no series: expected label="value", got {inside[at:]!r}')
        yield match[1], re.sub(r"\\.", lambda escape: _ESCAPED.get(escape[0], escape[0]), match[2])
        at = match.end()


def _escaped(value: str) -> str:
    return "".join(_ESCAPES.get(char, char) for char in value)
