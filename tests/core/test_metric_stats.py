"""Statistics of one metric: from rounds, joined, as stored."""

from __future__ import annotations

from pytest_perfguard.core.metric_stats import MetricStats


def test_statistics_of_several_runs_add_up():
    """Process by process, as if they had been measured together."""
    first, second = ((3.0, 1.0), (5.0, 4.0, 6.0)), ((2.0,),)
    joined = MetricStats.from_rounds("s", first).joined(MetricStats.from_rounds("s", second))
    assert joined == MetricStats.from_rounds("s", first + second)
    assert (joined.minima, joined.medians, joined.rounds) == ((1.0, 4.0, 2.0), (2.0, 5.0, 2.0), 6)


def test_the_stored_form_is_rounded_and_has_no_single_rounds():
    stats = MetricStats.from_rounds("s", ((1.23456789e-6, 2.3456789e-6),))
    stored = stats.as_stored()
    assert stored == MetricStats("s", (1.23457e-6,), (1.79012e-6,), 2)
    assert stored.as_stored() == stored
