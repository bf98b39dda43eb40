"""Parsed JSON: the type of its values, and conversions that refuse values of another type."""

from __future__ import annotations

from typing import TypeAlias

JsonValue: TypeAlias = "dict[str, JsonValue] | list[JsonValue] | str | int | float | bool | None"
JsonObject: TypeAlias = "dict[str, JsonValue]"


def as_object(value: object) -> JsonObject:
    """Return the value if it is an object; raises TypeError otherwise."""
    if not isinstance(value, dict):
        raise TypeError(f"{value!r:.60} is not an object")
    return value


def as_list(value: object) -> list[JsonValue]:
    """Return the items of a list, or of the tuple that is written as one; raises TypeError for other values."""
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r:.60} is not a list")
    return list(value)


def as_number(value: object) -> float:
    """Return the value as a finite number.

    Raises
    ------
    TypeError
        for values that are no numbers.
    ValueError
        for numbers out of the range in which arithmetic stays finite.
    """
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r:.60} is not a number")
    if not abs(value) < 1e300:
        raise ValueError(f"{value!r:.60} is out of range")
    return float(value)
