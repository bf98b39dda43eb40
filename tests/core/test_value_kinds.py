"""Values that compare equal and are not the same."""

from __future__ import annotations

from collections import namedtuple

import pytest

from pytest_perfguard.core.value_kinds import kind_of, kinds_of

Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        (0j, -0j),
        ((1, (1,)), (1, (True,))),
        (frozenset({1}), frozenset({1.0})),
        ((1, 2), Point(1, 2)),
    ],
)
def test_equal_values_of_different_kinds_differ(one, other):
    assert one == other
    assert kind_of(one) != kind_of(other)
    assert kinds_of((one, "x")) != kinds_of((other, "x"))


@pytest.mark.parametrize("value", [1, 1.5, -0.0, "x", None, (1, 2.0), Point(1, 2), frozenset({1, 2.0}), 1j])
def test_a_value_is_of_the_same_kind_as_itself(value):
    assert kind_of(value) == kind_of(value)
    assert hash(kinds_of((value,))) == hash(kinds_of((value,)))
