"""Changes of level in series with known answers."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from pytest_perfguard.core.stats.change_points import MIN_LEVEL_LENGTH, change_points, energy_split, welch_test

STEP = math.log(1.05)


def noise(count: int, seed: int, deviation: float = 0.015) -> list[float]:
    generator = random.Random(seed)
    return [generator.gauss(0.0, deviation) for _ in range(count)]


def found_in(values: list[float]) -> list[int]:
    return [change.index for change in change_points(values, alpha=0.001, min_step=STEP)]


def test_one_step_is_found_where_it_is():
    values = [value + (0.1 if index >= 12 else 0.0) for index, value in enumerate(noise(25, 1))]
    (change,) = change_points(values, alpha=0.001, min_step=STEP)
    assert change.index == 12
    assert change.after - change.before == pytest.approx(0.1, abs=0.02)
    assert change.p < 0.001


def test_a_hump_has_two_sides():
    values = [value + (0.2 if 10 <= index < 20 else 0.0) for index, value in enumerate(noise(30, 2))]
    assert found_in(values) == [10, 20]


def test_stairs_have_each_their_step():
    values = [value + 0.1 * (index // 10) for index, value in enumerate(noise(40, 3))]
    assert found_in(values) == [10, 20, 30]


@pytest.mark.parametrize("seed", range(30))
def test_noise_has_no_steps(seed):
    assert found_in(noise(40, seed)) == []


def test_the_chance_of_error_is_kept_also_where_any_step_counts():
    """Three false alarms in 300 series of noise are what 1 % allows; it was 10 before the correction for the whole series."""
    alarms = sum(bool(change_points(noise(40, seed), alpha=0.01)) for seed in range(300))
    assert alarms <= 7


def test_a_step_that_nobody_cares_about_is_not_told():
    values = [value + (0.03 if index >= 20 else 0.0) for index, value in enumerate(noise(40, 4, 0.001))]
    assert found_in(values) == []
    assert [change.index for change in change_points(values, alpha=0.001)] == [20]


def test_a_single_wild_value_is_no_level():
    values = noise(20, 5)
    values[10] += 0.5
    assert found_in(values) == []


def test_a_series_that_stands_still_has_no_steps_and_one_that_jumps_has_one():
    assert found_in([1.0] * 10) == []
    assert found_in([1.0] * 5 + [2.0] * 5) == [5]


@pytest.mark.parametrize("size", [1e-320, 1e-109, 1e-30, 1e30, 1e300])
def test_the_answer_does_not_hang_on_the_unit(size):
    values = [1.0, 1.01, 0.99, 1.0, 1.3, 1.31, 1.29, 1.3]
    (change,) = change_points([value * size for value in values], alpha=0.001)
    assert (change.index, change.p) == (4, pytest.approx(change_points(values, alpha=0.001)[0].p, rel=0.1))


def test_one_value_beside_nothing_is_no_level():
    assert change_points([0.0] * 5 + [1.7e-109], alpha=0.01) == []


def test_too_short_a_series_says_nothing():
    assert energy_split([0.0] * (2 * MIN_LEVEL_LENGTH - 1)) is None
    assert found_in([0.0, 0.0, 9.0, 9.0, 9.0]) == []


@given(st.lists(st.floats(-1, 1), min_size=2 * MIN_LEVEL_LENGTH, max_size=14))
def test_the_split_maximises_the_energy_statistic(values):
    """Against the definition, written out."""

    def mean_distance(xs, ys):
        return float(np.mean([abs(x - y) for x in xs for y in ys]))

    def inner(xs):
        return float(np.mean([abs(xs[i] - xs[j]) for i in range(len(xs)) for j in range(len(xs)) if i != j]))

    def statistic(split, end):
        left, right = values[:split], values[split:end]
        apart = 2 * mean_distance(left, right) - inner(left) - inner(right)
        return split * (end - split) / end * apart

    places = [
        (s, e)
        for e in range(2 * MIN_LEVEL_LENGTH, len(values) + 1)
        for s in range(MIN_LEVEL_LENGTH, e - MIN_LEVEL_LENGTH + 1)
    ]
    best = max(statistic(*place) for place in places)
    split = energy_split(values)
    ours = max(statistic(s, e) for s, e in places if s == split)
    assert ours == pytest.approx(best, abs=1e-9)


@given(st.lists(st.floats(-10, 10), min_size=2, max_size=8), st.lists(st.floats(-10, 10), min_size=2, max_size=8))
def test_welch_agrees_with_scipy(left, right):
    assume(min(np.ptp(left), np.ptp(right)) > 1e-3)
    expected = stats.ttest_ind(left, right, equal_var=False).pvalue
    assert welch_test(left, right) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(st.lists(st.floats(-1, 1), max_size=40))
def test_levels_are_long_enough_and_their_means_are_told(values):
    changes = change_points(values, alpha=0.01)
    bounds = [0, *(change.index for change in changes), len(values)]
    assert all(later - earlier >= MIN_LEVEL_LENGTH for earlier, later in itertools.pairwise(bounds)) or not changes
    for change, begin, end in zip(changes, bounds, bounds[2:], strict=False):
        assert change.before == pytest.approx(np.mean(values[begin : change.index]))
        assert change.after == pytest.approx(np.mean(values[change.index : end]))
