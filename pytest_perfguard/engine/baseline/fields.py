"""Reading checked values out of the JSON of our files, with the line at fault in every error."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pytest_perfguard.core.errors import BaselineUnreadable, UnreadableFile

_NUMBERS: Final = frozenset({int, float})
#: Above it, what is calculated from a number is no longer finite. There is no NaN: `load` refuses it.
_TOO_LARGE: Final = 1e300
_CONFLICT_MARKERS: Final = ("<<<<<<<", "=======", ">>>>>>>", "|||||||")


def load(text: str, path: str, error: type[UnreadableFile] = BaselineUnreadable) -> dict[str, Any]:
    """The JSON object of a file: no conflict markers, no key twice, no NaN.

    Raises
    ------
    UnreadableFile
        of the kind `error`.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith(_CONFLICT_MARKERS):
            raise error(path, "an unresolved merge conflict", number, "resolve it, or record anew")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) != len(pairs):
            keys = [key for key, _value in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            line = _line_of(text, json.dumps(twice), last=True)
            raise error(path, f"the key {twice!r} occurs twice, as after a wrong merge", line)
        return content

    def refuse(constant: str) -> float:
        raise error(path, f"{constant} is not a number of JSON", _line_of(text, constant))

    try:
        content = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except json.JSONDecodeError as problem:
        raise error(path, f"not JSON: {problem.msg} at column {problem.colno}", problem.lineno) from None
    except (RecursionError, ValueError) as problem:  # nested without end; an integer of thousands of digits
        raise error(path, f"cannot be read: {problem}") from None
    if not isinstance(content, dict):
        raise error(path, f"a JSON object is expected, not {type(content).__name__}", 1)
    return content


class Reader:
    """Takes values out of parsed JSON; `key` is the key whose line an error names.

    What an error says is put together where there is one: a file may hold a hundred thousand tests.
    """

    def __init__(self, path: str, text: str, error: type[UnreadableFile] = BaselineUnreadable) -> None:
        self._path = path
        self._text = text
        self._error = error

    def wrong(self, key: str, problem: str) -> UnreadableFile:
        """The error to raise."""
        return self._error(self._path, problem, _line_of(self._text, json.dumps(key)))

    def mapping(self, data: Mapping[str, Any], name: str, key: str) -> dict[str, Any]:
        value = data.get(name)
        if not isinstance(value, dict):
            raise self.wrong(key, f"{name} is {value!r:.60}, expected an object")
        return value

    def texts(self, data: Mapping[str, Any], name: str, key: str) -> tuple[str, ...]:
        """A list that may be left out."""
        value = data.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(key, f"{name} is {value!r:.60}, expected a list of texts")
        return tuple(value)

    def text(self, data: Mapping[str, Any], name: str, key: str) -> str:
        value = data.get(name)
        if not isinstance(value, str):
            raise self.wrong(key, f"{name} is {value!r:.60}, expected text")
        return value

    def number(self, data: Mapping[str, Any], name: str, key: str) -> float:
        value = data.get(name)
        if not _are_amounts([value]):
            raise self.wrong(key, f"{name} is {value!r:.60}, expected a number that is not negative")
        return float(value)  # type: ignore[arg-type]  # checked above

    def numbers(self, data: Mapping[str, Any], name: str, key: str, place: str) -> tuple[float, ...]:
        values = data.get(name)
        if not isinstance(values, list) or not _are_amounts(values):
            found = f"{place}.{name} is {values!r:.60}"
            raise self.wrong(key, f"{found}, expected a list of numbers that are not negative")
        return tuple(map(float, values))


def is_count(value: object) -> bool:
    """A whole number above 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def is_finite(value: object) -> bool:
    """A number that arithmetic can bear."""
    return type(value) in _NUMBERS and -_TOO_LARGE < value < _TOO_LARGE  # type: ignore[operator]  # a number, then


def _are_amounts(values: list[Any]) -> bool:
    """Are there any, and are all of them numbers that are finite and not negative? Nearly all of a file is asked this."""
    return bool(values) and _NUMBERS.issuperset(map(type, values)) and min(values) >= 0 and max(values) < _TOO_LARGE


def _line_of(text: str, token: str, *, last: bool = False) -> int | None:
    position = text.rfind(token) if last else text.find(token)
    return text.count("\n", 0, position) + 1 if position >= 0 else None
