"""Estimates with known answers."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.core.stats.robust import bootstrap_minimum, count_near_minimum, ratio_interval

amounts = st.lists(st.floats(1e-9, 1e3), min_size=1, max_size=40)


@pytest.mark.parametrize(("count", "missed"), [(20, 5), (10, 4), (6, 4), (2, 1), (1, 0)])
def test_the_interval_of_a_minimum_ends_where_few_resamples_go(count, missed):
    """((n-k)/n)^n <= 1 %: n = 20 -> k = 5, n = 10 -> k = 4."""
    low, high = bootstrap_minimum([float(value) for value in range(count)])
    assert (low, high) == (0.0, float(min(missed, count - 1)))


def test_the_closed_form_agrees_with_resampling():
    dice = random.Random(1)
    values = [dice.lognormvariate(0, 0.1) for _ in range(15)]
    resampled = sorted(min(dice.choices(values, k=15)) for _ in range(4000))
    low, high = bootstrap_minimum(values)
    assert low == resampled[0]
    assert sum(value > high for value in resampled) / 4000 <= 0.012


@given(amounts, amounts)
def test_the_interval_holds_the_ratio_of_the_minima(baseline, candidate):
    low, high = ratio_interval(baseline, candidate)
    assert low <= min(candidate) / min(baseline) <= high


@given(amounts, amounts, st.floats(0.1, 10))
def test_the_interval_scales_with_the_candidate(baseline, candidate, factor):
    low, high = ratio_interval(baseline, candidate)
    scaled = ratio_interval(baseline, [value * factor for value in candidate])
    assert scaled == pytest.approx((low * factor, high * factor))


def test_a_ratio_to_zero_has_no_interval():
    assert ratio_interval([0.0, 1.0], [1.0]) is None


def test_agreeing_counts_the_values_near_the_smallest():
    assert count_near_minimum([1.0, 1.009, 1.02, 5.0], 0.01) == 2
    assert count_near_minimum([0.0, 0.0, 1.0], 0.01) == 2
