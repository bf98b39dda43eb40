"""Verdicts from leak checks."""

from __future__ import annotations

import pytest

from pytest_perfguard.core.model import Comparison, Finding, Measurement, Verdict
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.core.units import format_amount
from pytest_perfguard.engine.leaks.results import Leak, LeakReport
from pytest_perfguard.engine.report.explain import describe_finding
from pytest_perfguard.engine.verdict.leaks import judge_leaks, with_leaks

CLEAN = LeakReport(100, growth={"memory": 0.4})
LEAKING = LeakReport(100, [Leak("memory", 1033.0, ["1.03 KB at app.py:3"])], {"memory": 1033.0}, rss=100_000)
FILES = LeakReport(100, [Leak("files", 1.0, ["/x (descriptor 5)"])], {"files": 1.0})
SPENT = Measurement(seconds=0.5)


#: As the second check sees it, which makes its calls in several set-ups.
OUTLIVES = LeakReport(100, [Leak("memory", 900.0)], {"memory": 900.0}, setups=10)
RELEASED = LeakReport(100, released={"memory": 1000.0}, setups=10)


def kept_by(**keepers):
    return LeakReport(100, LEAKING.leaks, {"memory": 1033.0}, retaining_fixtures=keepers)


def judged(*checks, label="", **marker):
    settings = resolve(marker={"leaks": True, **marker}, command_line={}, ini={})
    return judge_leaks("t", [{label: check} for check in checks], settings, SPENT)


def test_one_clean_check_is_enough():
    comparison = judged(CLEAN)
    (finding,) = comparison.findings
    assert (comparison.verdict, finding.name, finding.verdict, finding.candidate) == (None, "leak.memory", None, 0.4)
    assert finding.reason == "no leak over 100 calls, in which the resident set (RSS) grew by 0 B"


def test_a_leak_is_what_two_processes_agree_on():
    assert judged(LEAKING) is None
    comparison = judged(LEAKING, LEAKING)
    (finding,) = comparison.findings
    assert (comparison.verdict, finding.unit, finding.candidate) == (Verdict.LEAK, "B", 1033.0)
    assert finding.details[0] == "1.03 KB at app.py:3"
    assert finding.details[-1].startswith("in each of 2 fresh processes, over 100 calls, ")


@pytest.mark.parametrize("second", [CLEAN, FILES])
def test_what_one_process_saw_alone_is_inconclusive(second):
    comparison = judged(LEAKING, second)
    assert comparison.verdict is Verdict.INCONCLUSIVE
    assert comparison.findings[0].reason == "1.03 KB of memory per call: seen in one of 2 processes only"


def test_a_leak_outlives_its_set_up_and_is_as_large_as_what_does():
    (finding,) = judged(LEAKING, OUTLIVES).findings
    assert (finding.verdict, finding.candidate, finding.details[0]) == (Verdict.LEAK, 900.0, "1.03 KB at app.py:3")
    assert finding.details[-1] == "in each of 2 fresh processes, over 100 calls in 10 set-ups, each torn down"


def test_what_a_teardown_frees_is_no_leak():
    comparison = judged(LEAKING, RELEASED)
    (finding,) = comparison.findings
    assert (comparison.verdict, finding.verdict) == (None, None)
    assert finding.reason == (
        "no leak over 100 calls in 10 set-ups, each torn down; its teardown frees 1.03 KB of memory per call"
    )


def test_what_a_fixture_of_the_project_keeps_cannot_be_checked():
    """The fixture may be a factory that closes its products at teardown, or the object under test."""
    comparison = judged(kept_by(app="function"), RELEASED)
    assert comparison.verdict is Verdict.INCONCLUSIVE
    assert comparison.findings[0].reason == (
        "leaks cannot be checked: the fixture app keeps 1.03 KB of memory per call until its teardown"
    )


@pytest.mark.parametrize(
    ("keepers", "verdict"),
    [
        ({"app": "session"}, Verdict.INCONCLUSIVE),
        ({"app": "session", "client": "function"}, Verdict.INCONCLUSIVE),
        ({"app": "function"}, Verdict.LEAK),
        ({}, Verdict.LEAK),
    ],
)
def test_what_outlives_the_test_may_still_be_kept_by_a_shared_fixture(keepers, verdict):
    assert judged(kept_by(**keepers), OUTLIVES).verdict is verdict


def test_what_something_else_keeps_too_is_a_leak():
    both = LeakReport(100, LEAKING.leaks, {}, retaining_fixtures={"app": "session", "": ""})
    assert judged(both, OUTLIVES).verdict is Verdict.LEAK


def test_one_kind_leaks_and_the_teardown_frees_another():
    both = LeakReport(100, [*FILES.leaks, *LEAKING.leaks], {})
    second = LeakReport(100, [Leak("memory", 900.0)], {}, released={"files": 1.0}, setups=10)
    assert [(item.name, item.verdict) for item in judged(both, second).findings] == [("leak.memory", Verdict.LEAK)]


def test_each_kind_and_each_point_has_a_finding():
    settings = resolve(marker={"leaks": True}, command_line={}, ini={})
    found = {"parse": FILES, "": CLEAN}
    comparison = judge_leaks("t", [found, found], settings, SPENT)
    assert [(item.name, item.unit, item.verdict) for item in comparison.findings] == [
        ("leak.files:parse", "open files", Verdict.LEAK),
        ("leak.memory", "B", None),
    ]


def test_what_cannot_be_checked_says_so():
    comparison = judged(LeakReport(0, unsettled="a call takes too long"))
    assert comparison.verdict is Verdict.INCONCLUSIVE
    assert comparison.findings[0].reason == "leaks: a call takes too long"


@pytest.mark.parametrize(
    ("rss", "verdict"), [((5_000, 5_000), None), ((9_000, 20_000), None), ((20_000, 30_000), Verdict.OVER_LIMIT)]
)
def test_the_resident_set_is_held_against_its_budget_in_both_processes(rss, verdict):
    checks = [LeakReport(100, rss=size) for size in rss]
    comparison = judged(*checks, leaks=False, max_rss_growth="10KB")
    assert [(item.name, item.verdict) for item in comparison.findings] == [("max_rss_growth", verdict)]
    assert describe_finding(comparison.findings[0]) == format_amount(rss[-1], "B")  # of all calls, not per call


def test_the_resident_set_is_judged_though_a_leak_is_left_open():
    checks = [LeakReport(100, unsettled="memory grew", rss=20_000)] * 2
    comparison = judged(*checks, leaks=False, max_rss_growth="10KB")
    assert [(item.name, item.verdict) for item in comparison.findings] == [("max_rss_growth", Verdict.OVER_LIMIT)]


def test_a_process_over_the_budget_is_checked_again():
    assert judged(LeakReport(100, rss=20_000), leaks=False, max_rss_growth="10KB") is None


def measured(verdict):
    return Comparison("t", verdict, (Finding("time", "s", verdict, 1.0),), Measurement(seconds=2.0, processes=3))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, Verdict.LEAK),
        (Verdict.UNCHANGED, Verdict.LEAK),
        (Verdict.NEW, Verdict.LEAK),
        (Verdict.REGRESSION, Verdict.REGRESSION),
    ],
)
def test_a_leak_outranks_all_but_a_regression(before, after):
    joined = with_leaks(measured(before), judged(LEAKING, LEAKING))
    assert joined.verdict is after
    assert [finding.name for finding in joined.findings] == ["time", "leak.memory"]
    assert (joined.measurement.seconds, joined.measurement.processes) == (2.5, 3)


def test_a_clean_check_changes_no_verdict():
    assert with_leaks(measured(Verdict.UNCHANGED), judged(CLEAN)).verdict is Verdict.UNCHANGED
    assert with_leaks(measured(None), judged(CLEAN)).verdict is None


def test_a_check_that_broke_down_breaks_the_test():
    broken = Comparison("t", None, broken="the process died")
    assert with_leaks(measured(Verdict.UNCHANGED), broken).fails(strict=False)
