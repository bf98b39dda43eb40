"""Read checked values from the JSON files of perfguard. Every error names the line that is wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Final, TypeGuard

from pytest_perfguard.core.errors import BaselineUnreadable, UnreadableFile
from pytest_perfguard.core.json_values import JsonObject, JsonValue

_NUMBERS: Final = frozenset({int, float})
#: Results calculated from larger numbers may not be finite. NaN cannot occur: `load` refuses it.
_MAX_NUMBER: Final = 1e300
_CONFLICT_MARKERS: Final = ("<<<<<<<", "=======", ">>>>>>>", "|||||||")


def load(text: str, path: str, error: type[UnreadableFile] = BaselineUnreadable) -> JsonObject:
    """Return the JSON object in the text of a file.

    Raises
    ------
    UnreadableFile
        of the type `error`, for conflict markers, duplicate keys, NaN and everything that is not JSON.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith(_CONFLICT_MARKERS):
            raise error(path, "an unresolved merge conflict", number, "resolve it, or record again")

    def unique(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
        content = dict(pairs)
        if len(content) != len(pairs):
            ((twice, _count),) = Counter(key for key, _value in pairs).most_common(1)
            line = _line_of(text, json.dumps(twice), last=True)
            raise error(path, f"the key {twice!r} occurs twice, as after a bad merge", line)
        return content

    def refuse(constant: str) -> float:
        raise error(path, f"{constant} is not a valid JSON number", _line_of(text, constant))

    try:
        content = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except json.JSONDecodeError as problem:
        raise error(path, f"not JSON: {problem.msg} at column {problem.colno}", problem.lineno) from None
    except (RecursionError, ValueError) as problem:  # nested too deeply; an integer of thousands of digits
        raise error(path, f"cannot be read: {problem}") from None
    if not isinstance(content, dict):
        raise error(path, f"a JSON object is expected, not {type(content).__name__}", 1)
    return content


def newer(path: str, schema: int, readable: int, error: type[UnreadableFile] = BaselineUnreadable) -> UnreadableFile:
    """Return the error to raise for a file of a later version of perfguard."""
    problem = f"schema {schema} is newer than this perfguard, which reads up to {readable}"
    return error(path, problem, 2, "upgrade perfguard")


class JsonReader:
    """Reader of values in parsed JSON. `key` is the key whose line appears in an error.

    Error messages are built only when they are raised: a file may hold a hundred thousand tests.
    """

    def __init__(self, path: str, text: str, error: type[UnreadableFile] = BaselineUnreadable) -> None:
        self._path = path
        self._text = text
        self._error = error

    def wrong(self, key: str, problem: str) -> UnreadableFile:
        """Return the error to raise."""
        return self._error(self._path, problem, _line_of(self._text, json.dumps(key)))

    def mapping(self, data: Mapping[str, JsonValue], name: str, key: str) -> JsonObject:
        value = data.get(name)
        if not isinstance(value, dict):
            raise self.wrong(key, f"{name} is {value!r:.60}, expected an object")
        return value

    def texts(self, data: Mapping[str, JsonValue], name: str, key: str) -> tuple[str, ...]:
        """Return a list of texts; an absent field is an empty list."""
        value = data.get(name, [])
        if not is_list_of_texts(value):
            raise self.wrong(key, f"{name} is {value!r:.60}, expected a list of texts")
        return tuple(value)

    def text(self, data: Mapping[str, JsonValue], name: str, key: str) -> str:
        value = data.get(name)
        if not isinstance(value, str):
            raise self.wrong(key, f"{name} is {value!r:.60}, expected text")
        return value

    def number(self, data: Mapping[str, JsonValue], name: str, key: str) -> float:
        value = data.get(name)
        if not is_finite(value) or value < 0:
            raise self.wrong(key, f"{name} is {value!r:.60}, expected a number that is not negative")
        return float(value)

    def numbers(self, data: Mapping[str, JsonValue], name: str, key: str, place: str) -> tuple[float, ...]:
        values = data.get(name)
        if not isinstance(values, list) or not _are_amounts(values):
            found = f"{place}.{name} is {values!r:.60}"
            raise self.wrong(key, f"{found}, expected a list of numbers that are not negative")
        return tuple(map(float, values))


def is_list_of_texts(value: object) -> TypeGuard[list[str]]:
    """Return whether the value is a list of texts; it may be empty."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def is_count(value: object) -> TypeGuard[int]:
    """Return whether the value is a whole number above 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def is_finite(value: object) -> TypeGuard[float]:
    """Return whether the value is a number whose arithmetic stays finite."""
    return isinstance(value, int | float) and type(value) in _NUMBERS and -_MAX_NUMBER < value < _MAX_NUMBER


def _are_amounts(values: list[JsonValue]) -> TypeGuard[list[float]]:
    """Return whether there are values, all of them finite and not negative. Fast: most of a file is checked here."""
    return bool(values) and _are_numbers(values) and min(values) >= 0 and max(values) < _MAX_NUMBER


def _are_numbers(values: list[JsonValue]) -> TypeGuard[list[float]]:
    return _NUMBERS.issuperset(map(type, values))


def _line_of(text: str, token: str, *, last: bool = False) -> int | None:
    position = text.rfind(token) if last else text.find(token)
    return text.count("\n", 0, position) + 1 if position >= 0 else None
