"""The order of the measurements, and which of several verdicts on a test counts."""

from __future__ import annotations

from pytest_perfguard.core.model import Comparison, Verdict
from pytest_perfguard.plugin.schedule import Schedule


def test_pairs_with_one_arm_at_a_time_settle_what_other_pairs_left_open():
    """The baseline file, which suspected the test, must not judge it again."""
    schedule = Schedule.__new__(Schedule)
    schedule.comparisons = {"a": Comparison("a", Verdict.REGRESSION)}
    schedule._unsettled = {}
    schedule._record("a", Comparison("a", Verdict.INCOMPARABLE, reason="OSError: Address already in use"))
    assert list(schedule._unsettled) == ["a"]
    assert schedule.comparisons["a"].verdict is Verdict.REGRESSION
    schedule._record("a", Comparison("a", Verdict.UNCHANGED))
    assert schedule._unsettled == {}
    assert schedule.comparisons["a"].verdict is Verdict.UNCHANGED
