"""Reading checked values out of the baseline's JSON, with the line at fault in every error."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from pytest_perfguard.errors import BaselineUnreadable

_CONFLICT_MARKERS = ("<<<<<<<", "=======", ">>>>>>>", "|||||||")


def load(text: str, path: str) -> dict[str, Any]:
    """The JSON object of a file: no conflict markers, no key twice, no NaN."""
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith(_CONFLICT_MARKERS):
            raise BaselineUnreadable(path, "an unresolved merge conflict", number, "resolve it, or record anew")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        content = dict(pairs)
        if len(content) != len(pairs):
            keys = [key for key, _value in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            line = _line_of(text, json.dumps(twice), last=True)
            raise BaselineUnreadable(path, f"the key {twice!r} occurs twice, as after a wrong merge", line)
        return content

    def refuse(constant: str) -> float:
        raise BaselineUnreadable(path, f"{constant} is not a number of JSON", _line_of(text, constant))

    try:
        content = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise BaselineUnreadable(path, f"not JSON: {error.msg} at column {error.colno}", error.lineno) from None
    except (RecursionError, ValueError) as error:  # nested without end; an integer of thousands of digits
        raise BaselineUnreadable(path, f"not a baseline: {error}") from None
    if not isinstance(content, dict):
        raise BaselineUnreadable(path, f"a JSON object is expected, not {type(content).__name__}", 1)
    return content


class Reader:
    """Takes values out of parsed JSON; `key` is the quoted key whose line an error names."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text

    def expect(self, condition: bool, key: str, problem: str) -> None:
        if not condition:
            raise BaselineUnreadable(self._path, problem, _line_of(self._text, key))

    def mapping(self, data: Mapping[str, Any], name: str, key: str) -> dict[str, Any]:
        value = data.get(name)
        self.expect(isinstance(value, dict), key, f"{name} is {value!r:.60}, expected an object")
        return value  # type: ignore[return-value]  # checked above

    def texts(self, data: Mapping[str, Any], name: str, key: str) -> tuple[str, ...]:
        """A list that may be left out."""
        value = data.get(name, [])
        right = isinstance(value, list) and all(isinstance(item, str) for item in value)
        self.expect(right, key, f"{name} is {value!r:.60}, expected a list of texts")
        return tuple(value)

    def text(self, data: Mapping[str, Any], name: str, key: str) -> str:
        value = data.get(name)
        self.expect(isinstance(value, str), key, f"{name} is {value!r:.60}, expected text")
        return str(value)

    def number(self, data: Mapping[str, Any], name: str, key: str) -> float:
        value = data.get(name)
        self.expect(_is_amount(value), key, f"{name} is {value!r:.60}, expected a number that is not negative")
        return float(value)  # type: ignore[arg-type]  # checked above

    def numbers(self, data: Mapping[str, Any], name: str, key: str, place: str) -> tuple[float, ...]:
        values = data.get(name)
        valid = isinstance(values, list) and bool(values) and all(map(_is_amount, values))
        self.expect(valid, key, f"{place}.{name} is {values!r:.60}, expected a list of numbers that are not negative")
        return tuple(float(value) for value in values or ())


def is_count(value: object) -> bool:
    """A whole number above 0."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_finite(value: object) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300 and math.isfinite(value)
    )


def _is_amount(value: object) -> bool:
    return _is_finite(value) and value >= 0  # type: ignore[operator]  # a number, then


def _line_of(text: str, token: str, *, last: bool = False) -> int | None:
    position = text.rfind(token) if last else text.find(token)
    return text.count("\n", 0, position) + 1 if position >= 0 else None
