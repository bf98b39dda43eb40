"""Trend statistics, compared with scipy's implementations."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.core.stats.trend import mann_kendall, theil_sen

SERIES = st.lists(st.integers(-1000, 1000), min_size=3, max_size=25)


@given(SERIES)
def test_the_slope_is_scipys(values):
    from scipy.stats import theilslopes

    assert theil_sen(values) == pytest.approx(theilslopes(values).slope)


@given(SERIES)
def test_the_p_value_is_that_of_kendalls_tau_with_the_continuity_correction(values):
    from scipy.stats import kendalltau, norm

    score = sum((later > earlier) - (later < earlier) for earlier, later in itertools.combinations(values, 2))
    if score <= 0:
        assert mann_kendall(values) == 1.0
        return
    two_sided = kendalltau(range(len(values)), values, method="asymptotic").pvalue
    deviation = score / norm.isf(two_sided / 2)
    assert mann_kendall(values) == pytest.approx(norm.sf((score - 1) / deviation), rel=1e-6)


@given(SERIES)
def test_a_series_and_its_mirror_image_do_not_both_rise(values):
    assert max(mann_kendall(values), mann_kendall(values[::-1])) >= 0.5


def test_a_constant_series_has_no_trend():
    assert mann_kendall([5] * 20) == 1.0
    assert theil_sen([5] * 20) == 0
