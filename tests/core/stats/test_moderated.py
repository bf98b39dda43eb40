"""Moderated variances, against limma's formulas computed in other ways."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special, stats

from pytest_perfguard.core.stats.moderated import (
    MAX_PRIOR_FREEDOM,
    MIN_PRIOR_FREEDOM,
    MIN_VARIANCES,
    WILD,
    VarianceEstimate,
    fitted_prior,
    moderated,
)

groups = st.lists(st.lists(st.floats(-10, 10), max_size=8), max_size=4)
priors = st.builds(VarianceEstimate, st.floats(1e-6, 10), st.floats(0.5, 20))
DEFAULT = VarianceEstimate(1e-9, 3.0)


def test_the_posterior_is_smyths():
    """s2 = (4 * 9 + 2 * 1 + 1 * 0.5) / (4 + 2 + 1)."""
    found = moderated([[1.0, 2.0, 3.0], [5.0, 6.0], [7.0], []], VarianceEstimate(9.0, 4.0))
    assert (found.variance, found.freedom) == (pytest.approx(38.5 / 7), 7.0)


@given(groups, priors)
def test_it_lies_between_the_prior_and_the_pooled_variance(values, prior):
    freedom = sum(max(0, len(group) - 1) for group in values)
    squares = sum(math.fsum((x - sum(group) / len(group)) ** 2 for x in group) for group in values if group)
    pooled = squares / freedom if freedom else prior.variance
    found = moderated(values, prior)
    assert freedom < found.freedom <= prior.freedom + freedom
    if pooled <= WILD * prior.variance:
        assert found.freedom == pytest.approx(prior.freedom + freedom)
    assert min(pooled, prior.variance) * (1 - 1e-9) - 1e-9 <= found.variance
    assert found.variance <= max(pooled, prior.variance) * (1 + 1e-9) + 1e-9


def made_up(count, freedom, prior, seed=1):
    """Variances of tests whose true variances follow the prior."""
    dice = stats.norm, stats.chi2
    true = prior.variance * prior.freedom / dice[1].rvs(prior.freedom, size=count, random_state=seed)
    return [(float(s2), freedom) for s2 in true * dice[1].rvs(freedom, size=count, random_state=seed + 1) / freedom]


@pytest.mark.parametrize("seed", range(1, 12, 2))
def test_the_fit_is_limmas(seed):
    """`fitFDist`: log variances are centred by digamma; the excess of their spread over trigamma is the prior's own."""
    variances = made_up(40, 5, VarianceEstimate(0.04, 3.0), seed)
    centred = [math.log(s2) - special.digamma(d / 2) + math.log(d / 2) for s2, d in variances]
    mean = sum(centred) / len(centred)
    excess = sum((e - mean) ** 2 for e in centred) / (len(centred) - 1) - special.polygamma(1, 2.5)
    freedom = 2 * optimize.brentq(lambda y: special.polygamma(1, y) - excess, 1e-6, 1e9)
    variance = math.exp(mean + special.digamma(freedom / 2) - math.log(freedom / 2))
    found = fitted_prior(variances, DEFAULT)
    assert found.freedom == pytest.approx(min(MAX_PRIOR_FREEDOM, max(MIN_PRIOR_FREEDOM, freedom)), rel=1e-6)
    assert found.variance == pytest.approx(variance, rel=1e-6)


def test_the_fit_finds_what_the_variances_were_drawn_from():
    found = fitted_prior(made_up(4000, 6, VarianceEstimate(0.04, 4.0)), DEFAULT)
    assert found.variance == pytest.approx(0.04, rel=0.05)
    assert found.freedom == pytest.approx(4.0, rel=0.1)


def test_tests_that_are_all_alike_are_known_well_but_not_better_than_the_bound():
    found = fitted_prior([(0.01, 4)] * 20, DEFAULT)
    assert found.freedom == MAX_PRIOR_FREEDOM
    # The mean of a logarithm lies below the logarithm of the mean: limma takes that off.
    assert found.variance == pytest.approx(0.01 * math.exp(math.log(2) - float(special.digamma(2))))


def test_few_tests_say_nothing_of_the_others():
    assert fitted_prior([(0.04, 3)] * (MIN_VARIANCES - 1), DEFAULT) is DEFAULT
    assert fitted_prior([(0.04, 0)] * 50, DEFAULT) is DEFAULT


@given(st.lists(st.tuples(st.floats(0, 1e3), st.integers(0, 30)), max_size=60), priors)
def test_the_fit_stays_within_its_bounds(variances, default):
    found = fitted_prior(variances, default)
    assert found is default or MIN_PRIOR_FREEDOM <= found.freedom <= MAX_PRIOR_FREEDOM
    assert default.variance <= found.variance < math.inf


@given(st.floats(0.01, 100), st.integers(0, 100))
def test_the_fit_scales_with_the_variances(scale, seed):
    variances = made_up(10, 4, VarianceEstimate(0.04, 3.0), seed)
    found, scaled = (fitted_prior([(k * s2, d) for s2, d in variances], VarianceEstimate(0, 3)) for k in (1, scale))
    if min(s2 for s2, _d in variances) * min(1, scale) > 1e-6:
        assert scaled.variance == pytest.approx(scale * found.variance)
        assert scaled.freedom == pytest.approx(found.freedom, rel=1e-4)


def test_moderated_t_tests_hold_their_level_where_the_prior_is_true():
    dice, prior, missed = random.Random(3), VarianceEstimate(0.04, 4.0), 0
    for _ in range(4000):
        chi2 = sum(dice.gauss(0, 1) ** 2 for _ in range(4))
        sigma = math.sqrt(prior.variance * prior.freedom / chi2)
        values = [dice.gauss(0, sigma) for _ in range(4)]
        found = moderated([values], prior)
        missed += sum(values) / 4 > stats.t.ppf(0.99, found.freedom) * math.sqrt(found.variance / 4)
    assert missed <= stats.binom.ppf(0.999, 4000, 0.01)
    assert missed >= stats.binom.ppf(0.001, 4000, 0.01)
