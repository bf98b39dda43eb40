"""The sequential test on paired differences, against known values and invariants."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pytest_perfguard.core.stats.sequential import (
    binomial_tail,
    log_ratio,
    mean_margin,
    t_quantile,
    trimmed_error,
    trimmed_mean,
)

numbers = st.floats(-1e6, 1e6)
times = st.lists(st.floats(1e-9, 1e3), min_size=1, max_size=50)


@given(st.lists(numbers, min_size=1))
def test_a_trimmed_mean_lies_within_the_values(values):
    assert min(values) - 1e-6 <= trimmed_mean(values) <= max(values) + 1e-6


def test_a_fifth_at_each_end_does_not_count():
    assert trimmed_mean([-1e9, 1, 2, 3, 1e9]) == 2
    assert trimmed_mean([-1e9, 1, 2, 3, 1e9, 4], share=0) == pytest.approx((1 + 2 + 3 + 4) / 6)
    assert trimmed_mean([5, 7]) == 6


@given(times, st.floats(0.1, 10))
def test_a_slowdown_of_every_round_is_read_exactly(base, factor):
    assert log_ratio(base, [value * factor for value in base]) == pytest.approx(math.log(factor), abs=1e-9)


@given(times, times)
def test_the_arms_may_be_swapped(base, head):
    count = min(len(base), len(head))
    there, back = log_ratio(base[:count], head[:count]), log_ratio(head[:count], base[:count])
    assert there == pytest.approx(-back, abs=1e-9)


@pytest.mark.parametrize(("base", "readable"), [([0, 1, 1], True), ([0, 0, 1], False), ([0, 0], False)])
def test_rounds_that_the_clock_could_not_read_are_left_out_up_to_a_half(base, readable):
    assert log_ratio(base, [1] * len(base)) == (0 if readable else None)


@pytest.mark.parametrize(
    ("probability", "freedom", "quantile"),
    [(0.975, 4, 2.776445), (0.95, 3, 2.353363), (0.5, 7, 0), (0.9995, 19, 3.883406)],
)
def test_quantiles_are_those_of_the_tables(probability, freedom, quantile):
    assert t_quantile(probability, freedom) == pytest.approx(quantile, abs=1e-5)


def test_one_value_says_nothing_of_its_error():
    assert mean_margin([], 0.05) == mean_margin([1.0], 0.05) == math.inf
    assert mean_margin([1.0, 1.0, 1.0], 1e-6) == 0


def test_the_true_mean_is_missed_as_rarely_as_claimed():
    dice = random.Random(7)
    missed = 0
    for _ in range(4000):
        values = [dice.gauss(0, 1) for _ in range(6)]
        missed += sum(values) / 6 - mean_margin(values, 0.05) > 0
    assert 0.04 < missed / 4000 < 0.06


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0, 1))
def test_the_binomial_tail_is_that_of_scipy(hits, count, chance):
    assert binomial_tail(hits, count, chance) == pytest.approx(stats.binom.sf(hits - 1, count, chance), abs=1e-12)


def test_the_error_of_a_trimmed_mean_is_yuens():
    """[-9, 1, 2, 3, 9] winsorized is [1, 1, 2, 3, 3], of variance 1: 1 / (0.6^2 * 5)."""
    assert trimmed_error([-9, 1, 2, 3, 9]) == pytest.approx(1 / (0.36 * 5))
    assert trimmed_error([3.0, 1.0], share=0) == pytest.approx(1.0)
    assert trimmed_error([5.0]) == trimmed_error([]) == 0


@given(st.lists(numbers, min_size=2), st.floats(-1e3, 1e3))
def test_the_error_does_not_depend_on_where_the_values_lie(values, shift):
    moved = trimmed_error([value + shift for value in values])
    assert moved == pytest.approx(trimmed_error(values), rel=1e-3, abs=1e-3)


def test_the_error_is_about_the_variance_of_trimmed_means():
    dice = random.Random(8)
    samples = [[dice.gauss(0, 1) for _ in range(40)] for _ in range(2000)]
    means = [trimmed_mean(values) for values in samples]
    truth = sum(mean**2 for mean in means) / len(means)
    assert sum(map(trimmed_error, samples)) / len(samples) == pytest.approx(truth, rel=0.1)
