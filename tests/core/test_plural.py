"""Plurals in messages."""

from __future__ import annotations

import pytest

from pytest_perfguard.core.text import plural


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (1, "test", "1 test"),
        (0, "test", "0 tests"),
        (2, "process", "2 processes"),
        (3, "copy", "3 copies"),
        (2, "day", "2 days"),
        (1, "call", "1 call"),
    ],
)
def test_only_one_is_singular(count, noun, text):
    assert plural(count, noun) == text
