"""The rule: which series of levels leak."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.engine.leaks.growth import (
    MAX_WINDOWS,
    WINDOWS,
    Growth,
    growth_rate,
    judge_long_series,
    judge_short_series,
    still_growing,
)

FLOOR = 80.0


def levels(steps):
    return list(itertools.accumulate(steps, initial=1000))


@pytest.mark.parametrize(
    ("steps", "trend"),
    [
        ([100] * 5, Growth.LEAKING),
        ([2000, 2100, 1900, 2000, 2050], Growth.LEAKING),
        ([0] * 5, Growth.SETTLED),
        ([500, 0, 0, 0, -500], Growth.SETTLED),
        ([-100, 50, 0, 0, 0], Growth.SETTLED),
        ([500, 0, 0, 0, 0], Growth.OPEN),  # one event
        ([1000, 300, 100, 30, 10], Growth.OPEN),  # settling down
        ([20] * 5, Growth.OPEN),  # less than the floor
    ],
)
def test_first_look(steps, trend):
    assert judge_short_series(levels(steps), FLOOR) is trend


def test_what_is_counted_needs_no_floor():
    assert judge_short_series(levels([1] * 5), 0.0) is Growth.LEAKING


@pytest.mark.parametrize(
    ("steps", "trend"),
    [
        ([100] * 20, Growth.LEAKING),
        ([0, 0, 0, 0, 5000] * 4, Growth.LEAKING),  # one in 100 calls
        ([56_000 + 330_000] + [56_000] * 19, Growth.LEAKING),  # a leak, and a container that was enlarged
        ([56_000] * 3 + [386_000, 56_000, 200_000] + [56_000] * 14, Growth.LEAKING),  # two of them
        ([0] * 20, Growth.SETTLED),
        ([0] * 10 + [50_000] + [0] * 9, Growth.SETTLED),  # one table that was enlarged
        ([0] * 15 + [50_000] + [0] * 3 + [90_000], Growth.SETTLED),  # two of them
        ([1000] * 10 + [100] * 10, Growth.SETTLED),  # settling down
        ([20] * 20, Growth.SETTLED),  # less than the floor
    ],
)
def test_last_look(steps, trend):
    assert judge_long_series(levels(steps), FLOOR) is trend


def test_a_leak_is_seen_under_jitter_that_is_larger():
    chance = random.Random(1)
    drift = [index * 1280 for index in range(MAX_WINDOWS + 1)]
    assert judge_long_series([level + chance.randrange(5000) for level in drift], FLOOR) is Growth.LEAKING


def test_jitter_alone_is_no_leak():
    """With 2,000 series of noise without a trend, at the level of one in a thousand and with three more conditions."""
    chance = random.Random(2)
    series = [[chance.randrange(5000) for _ in range(MAX_WINDOWS + 1)] for _ in range(2000)]
    assert sum(judge_long_series(one, FLOOR) is Growth.LEAKING for one in series) <= 4


@given(st.lists(st.integers(0, 10**6), min_size=WINDOWS + 1, max_size=WINDOWS + 1))
def test_what_does_not_end_higher_than_it_began_never_leaks(series):
    series[-1] = min(series[-1], series[0])
    assert judge_short_series(series, 0.0) is Growth.SETTLED


@given(st.integers(4, 10**6))
def test_a_steady_leak_is_always_found(per_window):
    steady = levels([per_window] * WINDOWS)
    assert judge_short_series(steady, 4.0) is Growth.LEAKING
    assert growth_rate(steady) == per_window
    assert still_growing(steady, per_window)


def test_the_rate_is_unmoved_by_a_list_that_was_enlarged():
    assert growth_rate(levels([1940, 1940, 1940, 220_948, 1940])) == 1940


def test_the_rate_of_what_grows_now_and_then_is_the_mean():
    assert growth_rate(levels([0, 0, 10, 0, 0])) == 2


def test_a_cache_that_filled_up_does_not_hold_on():
    assert not still_growing(levels([4000, 4000, 1500, 0, 0]), 4000)
    assert not still_growing(levels([4000, 4000, 4000, 4000, -16_000]), 4000)
    assert still_growing(levels([4000, 4100, 3900, 4000, 4200]), 4000)
