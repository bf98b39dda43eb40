"""Drift: slow creep in series with known answers."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.engine.history.drift import drift_of


def series(count: int, seed: int, creep: float = 0.0, deviation: float = 0.015) -> list[float]:
    generator = random.Random(seed)
    return [math.exp(index * math.log1p(creep) + generator.gauss(0.0, deviation)) for index in range(count)]


def drifted(values: list[float], **more: float) -> bool:
    found = drift_of(values, threshold=0.05, alpha=0.001, **more)
    assert found is not None
    return found.drifted


@pytest.mark.parametrize("seed", range(20))
def test_steps_that_no_comparison_tells_add_up(seed):
    """One percent with every recording: never 5 % in one step, 22 % in twenty."""
    assert drifted(series(30, seed, creep=0.01))


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("count", [6, 12, 40, 120])
def test_noise_does_not_drift(seed, count):
    assert not drifted(series(count, seed))


def test_a_machine_with_a_slower_mode_does_not_drift():
    """Three in ten recordings meet it 8 % slower."""

    def modal(seed):
        generator = random.Random(seed)
        values = series(30, seed, deviation=0.01)
        return [value * (1.08 if generator.random() < 0.3 else 1.0) for value in values]

    assert sum(drifted(modal(seed)) for seed in range(200)) <= 3


def test_getting_faster_is_no_drift():
    values = series(40, 1, creep=-0.01)
    assert not drifted(values)
    assert drift_of(values, threshold=0.05, alpha=0.001).ratio < 0.8


def test_creep_within_the_threshold_is_none():
    assert not drifted(series(40, 2, creep=0.0005, deviation=0.001))


def test_the_anchor_stays_where_it_is():
    """History that begins after the creep shows none; the anchor of a release does."""
    later = series(20, 3, deviation=0.003)
    assert not drifted(later)
    assert drifted(later, anchor=0.85)


def test_a_short_series_or_one_with_a_zero_says_nothing():
    assert drift_of([1.0] * 5, threshold=0.05, alpha=0.001) is None
    assert drift_of([0.0, *[1.0] * 10], threshold=0.05, alpha=0.001) is None


@given(st.lists(st.floats(1e-9, 1e9), min_size=6, max_size=30), st.floats(1e-3, 1e3))
def test_the_unit_does_not_matter(values, scale):
    first = drift_of(values, threshold=0.05, alpha=0.001)
    second = drift_of([value * scale for value in values], threshold=0.05, alpha=0.001)
    assert second.ratio == pytest.approx(first.ratio, rel=1e-6)
    assert first.lower_bound <= first.ratio
