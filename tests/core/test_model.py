"""Properties of the value objects."""

from __future__ import annotations

import pytest

from pytest_perfguard.core.metric_names import metric_kind
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import FAILING, OUTCOMES, UNSETTLED, Comparison, Finding, Verdict
from pytest_perfguard.engine.verdict.combine import most_severe


def test_samples_know_their_processes_apart():
    samples = MetricStats.from_rounds("s", ((3.0, 1.0, 2.0), (5.0, 4.0)))
    assert (samples.minimum, samples.minima, samples.medians, samples.rounds) == (1.0, (1.0, 4.0), (2.0, 4.5), 5)


@pytest.mark.parametrize(
    ("baseline", "candidate", "ratio"), [(2.0, 3.0, 1.5), (0.0, 0.0, 1.0), (0.0, 1.0, None), (None, 1.0, None)]
)
def test_a_ratio_to_nothing_is_none(baseline, candidate, ratio):
    assert Finding("memory", "B", None, candidate, baseline).ratio == ratio


def test_the_most_severe_finding_is_the_verdict():
    assert most_severe([Verdict.UNCHANGED, Verdict.REGRESSION, Verdict.INCONCLUSIVE]) is Verdict.REGRESSION
    assert most_severe([Verdict.IMPROVEMENT, Verdict.INCONCLUSIVE]) is Verdict.INCONCLUSIVE
    assert most_severe([]) is None


@pytest.mark.parametrize("verdict", list(Verdict))
def test_what_fails_a_test(verdict):
    """Regressions, leaks and exceeded limits always; unsettled verdicts only under --perf-strict."""
    comparison = Comparison("t", verdict)
    assert comparison.fails(strict=False) is (verdict in FAILING)
    assert comparison.fails(strict=True) is (verdict in FAILING | UNSETTLED)


def test_a_test_that_could_not_be_measured_fails():
    assert Comparison("t", None, broken="it crashed").fails(strict=False)


@pytest.mark.parametrize(
    ("comparison", "word"),
    [
        (Comparison("t", None, broken="it crashed"), "broken"),
        (Comparison("t", Verdict.LEAK, broken="it crashed"), "broken"),
        (Comparison("t", Verdict.LEAK), "leak"),
        (Comparison("t", None), "measured"),
    ],
)
def test_every_test_has_an_outcome(comparison, word):
    assert str(comparison.outcome) == word
    assert comparison.outcome in OUTCOMES


def test_times_are_estimated_by_their_minimum_and_memory_by_its_median():
    values = ((3.0, 1.0, 2.0), (5.0, 4.0, 9.0), (7.0, 6.0, 8.0))
    assert (MetricStats.from_rounds("s", values).estimate, MetricStats.from_rounds("B", values).estimate) == (1.0, 5.0)


def test_the_kind_of_a_metric_is_its_name_before_the_point():
    assert [metric_kind(name) for name in ("time", "time:parse", "memory:a:b")] == ["time", "time", "memory"]
