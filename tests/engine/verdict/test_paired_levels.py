"""Rates of false alarms and of found slowdowns with pairs: simulations with fixed seeds."""

from __future__ import annotations

import math
import random

import pytest
from scipy.stats import binom

from pytest_perfguard.core.model import Verdict
from pytest_perfguard.core.stats.moderated import VarianceEstimate, fitted_prior
from pytest_perfguard.engine.verdict.looks import TEST_ALPHA
from pytest_perfguard.engine.verdict.paired import PAIR_PRIOR
from tests.engine.verdict.sequences import SETTINGS, drawn, verdict_of

#: Spreads of pairs, from a quiet machine to a crowded one.
SPREADS = (0.005, 0.01, 0.02, 0.05, 0.10)


def allowed(count, family):
    """A test at its level has so many alarms in one direction, or more, with a chance of 0.1 %."""
    return binom.ppf(0.999, count, min(TEST_ALPHA, SETTINGS.alpha / family))


def told(count, *, noise, spread, family=20, change=0.0, seed=1, prior=PAIR_PRIOR):
    """The verdicts on so many sequences, and the pairs that they took."""
    dice = random.Random(seed)
    found = [verdict_of(drawn(dice, noise, spread, change), family, prior) for _ in range(count)]
    return [verdict for verdict, _pairs in found], [pairs for _verdict, pairs in found]


@pytest.mark.parametrize("family", [1, 8, 50])
@pytest.mark.parametrize("noise", ["normal", "student", "outliers"])
def test_identical_code_is_accused_no_oftener_than_the_level_says(noise, family):
    """500 sequences, 100 of each spread."""
    found = [verdict for spread in SPREADS for verdict in told(100, noise=noise, spread=spread, family=family)[0]]
    assert found.count(Verdict.REGRESSION) <= allowed(500, family)
    assert found.count(Verdict.IMPROVEMENT) <= allowed(500, family)


@pytest.mark.parametrize("noise", ["normal", "outliers"])
def test_a_run_whose_tests_are_all_noisy_knows_it(noise):
    """The prior is fitted to 49 other tests whose four pairs differ by 10 %."""
    dice = random.Random(2)
    spreads = []
    for _ in range(49):
        first = drawn(dice, noise, 0.10)[:4]
        mean = sum(first) / 4
        spreads.append((sum((value - mean) ** 2 for value in first) / 3, 3))
    prior = fitted_prior(spreads, PAIR_PRIOR)
    found, _pairs = told(500, noise=noise, spread=0.10, family=50, prior=prior, seed=3)
    assert found.count(Verdict.REGRESSION) <= allowed(500, 50)


@pytest.mark.parametrize("noise", ["normal", "student", "outliers"])
def test_one_test_noisier_than_the_run_is_accused_no_oftener(noise):
    """The other tests differ by 2 % and are much alike, so that the prior counts as much as it may."""
    found, _pairs = told(500, noise=noise, spread=0.10, family=50, prior=VarianceEstimate(0.02**2, 6), seed=4)
    assert found.count(Verdict.REGRESSION) <= allowed(500, 50)


@pytest.mark.parametrize(
    ("percent", "noise", "spread", "least"),
    [
        (5, "normal", 0.01, 199),
        (5, "student", 0.02, 195),
        (10, "normal", 0.02, 200),
        (10, "outliers", 0.03, 195),
        (50, "student", 0.10, 200),
        (50, "outliers", 0.10, 200),
    ],
)
def test_a_slowdown_is_found(percent, noise, spread, least):
    found, _pairs = told(200, noise=noise, spread=spread, change=math.log1p(percent / 100), seed=5)
    assert found.count(Verdict.REGRESSION) >= least


@pytest.mark.parametrize(("percent", "least"), [(5, 198), (10, 200), (50, 200)])
def test_a_speedup_is_found_as_often(percent, least):
    found, _pairs = told(200, noise="normal", spread=0.01, change=-math.log1p(percent / 100), seed=6)
    assert found.count(Verdict.IMPROVEMENT) >= least


def test_unchanged_tests_are_settled_soon():
    _found, pairs = told(200, noise="normal", spread=0.01, seed=7)
    assert sum(pairs) / 200 < 4.5


def test_a_slowdown_by_half_takes_few_pairs():
    _found, pairs = told(200, noise="normal", spread=0.10, change=math.log(1.5), seed=8)
    assert sum(pairs) / 200 < 6
