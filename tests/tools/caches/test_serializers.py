"""JSON as the format of stored values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.tools.caches.serializers import JSON

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@given(values)
def test_a_value_comes_back(value):
    assert JSON.loads(JSON.dumps(value)) == value


@pytest.mark.parametrize("text", [' {"a": 1}', '{"a": 1} ', '\n{"a":1}\n', '{"a":1}'])
def test_white_space_around_the_text_of_others_is_allowed(text):
    assert JSON.loads(text.encode()) == {"a": 1}


@pytest.mark.parametrize("text", ["", "{", "1 2", '{"a": 1}x', "\ufeff1"])
def test_what_is_not_json_is_refused(text):
    with pytest.raises(ValueError):
        JSON.loads(text.encode())
