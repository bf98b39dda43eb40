"""Bounds of the changes that another speed of the machine explains."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.engine.verdict.machine_speed import at_full_speed, expected_range, near_full_speed

ratios, shares = st.floats(0.1, 10), st.floats(0, 1)


@given(shares)
def test_at_the_same_speed_identical_code_takes_the_same_time(busy):
    assert expected_range(1.0, busy) == (1.0, 1.0)


@given(ratios, shares)
def test_the_range_is_ordered_and_holds_the_square_root(ratio, busy):
    low, high = expected_range(ratio, busy)
    assert low <= 1 - busy + busy * ratio**0.5 <= high + 1e-12
    assert (high <= 1 + 1e-12) if ratio < 1 else (low >= 1 - 1e-12)


@given(ratios, ratios, shares)
def test_a_slower_kernel_explains_more(one, other, busy):
    slow, fast = max(one, other), min(one, other)
    assert all(a >= b - 1e-12 for a, b in zip(expected_range(slow, busy), expected_range(fast, busy), strict=True))


def test_a_wait_does_not_follow():
    assert expected_range(2.0, 0.0) == (1.0, 1.0)
    assert expected_range(4.0, 0.5) == (1.5, 2.5)
    assert expected_range(0.25, 1.0) == (0.25, 0.5)


def test_the_time_at_full_speed_is_a_lower_bound():
    assert at_full_speed([1.0, 3.0, 2.0], [1.0, 1.5, 0.0], 1.0, 1.0) == [1.0, 2.0, 2.0]
    assert at_full_speed([3.0], [1.5], 0.0, 1.0) == [3.0]


@pytest.mark.parametrize(("pace", "is_near"), [(0.0, False), (0.9, True), (1.1, True), (1.11, False)])
def test_a_process_is_near_full_speed_within_a_tenth(pace, is_near):
    assert near_full_speed([5.0], [pace], 1.0) == ([5.0] if is_near else [])
