"""Conversions of parsed JSON."""

from __future__ import annotations

import pytest

from pytest_perfguard.core.json_values import as_list, as_number, as_object


@pytest.mark.parametrize("convert", [as_object, as_list, as_number])
@pytest.mark.parametrize("value", [None, "text"])
def test_a_value_of_another_type_is_refused(convert, value):
    with pytest.raises(TypeError, match="is not a"):
        convert(value)


def test_an_object_is_no_list_and_a_list_no_object():
    with pytest.raises(TypeError, match="is not a list"):
        as_list({"a": 1})
    with pytest.raises(TypeError, match="is not an object"):
        as_object([1])


def test_values_of_the_type_are_returned():
    assert as_object({"a": 1}) == {"a": 1}
    assert (as_list([1, "a"]), as_list((1, "a"))) == ([1, "a"], [1, "a"])
    assert as_number(3) == 3.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, -1e300])
def test_a_number_must_stay_finite(value):
    with pytest.raises(ValueError, match="out of range"):
        as_number(value)
