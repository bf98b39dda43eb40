"""Tell values apart that compare equal: 1, 1.0 and True, or 0.0 and -0.0, also inside of tuples."""

from __future__ import annotations

import math
from types import NoneType
from typing import Final

#: Types whose values differ if they compare unequal.
_DISTINCT: Final = frozenset({int, str, bytes, bool, NoneType})


def kinds_of(values: tuple[object, ...]) -> tuple[object, ...]:
    """Return the kind of each value. Values are the same if they and their kinds compare equal."""
    kinds = tuple(map(type, values))
    return kinds if _DISTINCT.issuperset(kinds) else tuple(map(kind_of, values))


def kind_of(value: object) -> object:
    """Return the type of a value with those of the values in it, if it is a tuple or a frozenset, and the sign of a zero."""
    kind = type(value)
    if isinstance(value, float):
        return kind, math.copysign(1, value)
    if isinstance(value, tuple):
        return kind, *map(kind_of, value)
    if isinstance(value, frozenset):
        return kind, frozenset((element, kind_of(element)) for element in value)
    if isinstance(value, complex):
        return kind, kind_of(value.real), kind_of(value.imag)
    return kind
