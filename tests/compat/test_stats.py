"""The statistics of a benchmark: pytest-benchmark's numbers for the same rounds."""

from __future__ import annotations

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.compat.stats import FIELDS, Stats

#: What pytest-benchmark 5.3.1 says of these rounds.
KNOWN = {
    (4.0,): {"min": 4, "max": 4, "mean": 4, "stddev": 0, "median": 4, "q1": 4, "q3": 4, "iqr": 0, "outliers": "0;0"},
    (4.0, 2.0): {"mean": 3, "median": 3, "q1": 2, "q3": 4, "iqr": 2, "ops": 1 / 3, "total": 6},
    (3.0, 1.0, 2.0): {"q1": 1.25, "q3": 2.75, "median": 2, "iqr": 1.5},
    (5.0, 1.0, 2.0, 4.0, 3.0): {"q1": 1.75, "q3": 4.25, "median": 3, "stddev": 2.5**0.5},
    (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0): {"q1": 2.25, "q3": 5.75, "median": 4},
    (1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 5.0, 90.0): {
        "q1": 2, "q3": 4.5, "iqr_outliers": 1, "stddev_outliers": 1, "ld15iqr": 1, "hd15iqr": 5, "outliers": "1;1",
    },
}  # fmt: skip
ROUNDS = st.lists(st.floats(1e-9, 1e3), min_size=1, max_size=60)


@pytest.mark.parametrize("data", KNOWN, ids=len)
def test_known_rounds_have_known_statistics(data):
    numbers = Stats(data).as_dict()
    assert list(numbers) == list(FIELDS)
    expected = KNOWN[data]
    assert {name: numbers[name] for name in expected} == {
        name: value if isinstance(value, str) else pytest.approx(value) for name, value in expected.items()
    }


@given(ROUNDS)
def test_the_numbers_are_in_their_order(data):
    """min <= ld15iqr, q1 <= median <= q3 <= max; means and deviations are those of the standard library."""
    stats = Stats(data)
    assert stats.min <= stats.q1 <= stats.median <= stats.q3 <= stats.max
    assert stats.min <= stats.ld15iqr <= stats.hd15iqr <= stats.max
    assert stats.mean == pytest.approx(statistics.fmean(data))
    assert stats.stddev == pytest.approx(statistics.stdev(data) if len(data) > 1 else 0, abs=1e-12)
    assert 0 <= stats.iqr_outliers <= stats.rounds == len(data)


def test_no_rounds_are_false_and_a_still_clock_has_no_rate():
    assert not Stats()
    assert Stats([0.0]).ops == 0
    assert repr(Stats([1.0, 2.0])) == "<Stats of 2 rounds>"
