"""The saved comparisons of a search."""

from __future__ import annotations

import math

import pytest

from pytest_perfguard.cli.bisect_run import outcome_of
from pytest_perfguard.core.model import Finding, Verdict
from pytest_perfguard.engine.bisect.search import Outcome, Purpose
from pytest_perfguard.engine.bisect.state import Comparison, SavedSearch, saved_search
from tests.repository import Repository


@pytest.fixture
def top(tmp_path):
    repository = Repository(tmp_path / "project")
    repository.commit({"a": "1"})
    return repository.path


def comparison(outcome=None):
    return Comparison("a", "b", Purpose.ENDS, outcome or Outcome(0.5, 0.4, 0.6, 0.03, Verdict.REGRESSION), 1.0)


def saved_in(top):
    with saved_search(top, {"test": "t"}, restart=False) as saved:
        return saved


@pytest.mark.parametrize(
    "interval", [(0.0, math.inf), (-math.inf, math.inf), (math.nan, math.nan)], ids=["open", "unbounded", "none"]
)
@pytest.mark.parametrize("value", [2e-6, math.inf])
def test_an_outcome_without_bounds_is_saved_and_read(top, interval, value):
    outcome = outcome_of(Finding("time", "s", Verdict.INCONCLUSIVE, value, 1e-6, interval, 1.03e-6))
    saved_in(top).add(comparison(outcome))
    assert saved_in(top).comparisons == [comparison(outcome)]


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[1, 2]", '{"format": 1, "comparisons": 5}', '{"format": 1, "comparisons": [null]}',
        '{"format": 1, "comparisons": [{"base": 3}]}', '{"format": 2, "comparisons": []}', "[" * 100_000,
    ],
    ids=range(8),
)  # fmt: skip
def test_a_file_that_cannot_be_read_counts_as_none(top, text):
    search = saved_in(top)
    search.path.write_text(text)
    assert saved_in(top).comparisons == []
    SavedSearch(search.path).add(comparison())
    assert saved_in(top).comparisons == [comparison()]
