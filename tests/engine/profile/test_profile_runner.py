"""From findings and profiles of both sides to explanations, without a process."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_perfguard.core.model import Comparison, Finding, Measurement, Verdict
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.engine.profile import profile_runner
from pytest_perfguard.engine.profile.plan import ArmProfiles
from pytest_perfguard.engine.profile.profile_runner import Arm, explain_pairs, findings_to_explain
from pytest_perfguard.engine.runner.process import Launch, WorkerProgram
from pytest_perfguard.engine.runner.scheduler import MeasuredTest
from tests.engine.profile.made import BASE_PROFILE, MATCH, TOTAL, profile

#: Twice as many calls of `match`: known exactly, and in this case by chance, such as by a cache.
HEAD_PROFILE = profile({TOTAL: (1, 20, 100), MATCH: (80, 80, 80)}, {(TOTAL, MATCH): (80, 80)})
COUNT = Finding("instructions", "instructions", Verdict.REGRESSION, 150_000.0, 100_000.0)
TIME = Finding("time", "s", Verdict.REGRESSION, 100e-6, 60e-6, (1.6, 1.7))


@pytest.mark.parametrize(
    ("verdict", "blamed"),
    [
        (Verdict.REGRESSION, ["match"]),
        (Verdict.UNCHANGED, []),
        (Verdict.IMPROVEMENT, []),
        (Verdict.INCONCLUSIVE, []),
    ],
)
def test_nothing_is_blamed_but_for_a_regression(monkeypatch, tmp_path, verdict, blamed):
    settings = resolve(marker={"explain": "on"}, command_line={}, ini={})
    test = MeasuredTest("t", "/t.py", settings, 0.1)
    comparison = Comparison("t", verdict, (replace(TIME, verdict=verdict),), Measurement(iterations={"": 1}))
    taken = {"": [ArmProfiles([BASE_PROFILE]), ArmProfiles([HEAD_PROFILE])]}
    monkeypatch.setattr(profile_runner, "profile_tests", lambda _arms, wanted: [(wanted[0][0], taken)])
    arm = Arm(Launch([], tmp_path, WorkerProgram("", "")), "/")
    (metric,) = explain_pairs(arm, arm, [(test, comparison)], summarize=str)["t"].metrics
    assert [blame.location.name for blame in metric.blames] == blamed
    assert sum(blame.amount for blame in metric.blames) + metric.rest == pytest.approx(40e-6)


def compared(*findings):
    return Comparison("t", Verdict.REGRESSION, findings, Measurement(iterations={"": 1}))


def test_of_time_cpu_time_and_instructions_the_first_is_explained():
    cpu, memory = replace(TIME, name="cpu"), Finding("memory", "B", Verdict.REGRESSION, 2e4, 1e4)
    assert findings_to_explain(compared(TIME, cpu, memory, COUNT)) == [TIME, memory]
    assert findings_to_explain(compared(cpu, memory, COUNT)) == [cpu, memory]
    assert findings_to_explain(compared(replace(TIME, verdict=Verdict.UNCHANGED), COUNT)) == [COUNT]


def test_a_loss_of_instructions_is_explained_by_the_calls_of_both_sides(monkeypatch, tmp_path):
    """Half of the time is that of the additional calls of `match`."""
    test = MeasuredTest("t", "/t.py", resolve(marker={}, command_line={}, ini={}), 0.1)
    taken = {"": [ArmProfiles([BASE_PROFILE]), ArmProfiles([HEAD_PROFILE])]}
    monkeypatch.setattr(profile_runner, "profile_tests", lambda _arms, wanted: [(wanted[0][0], taken)])
    arm = Arm(Launch([], tmp_path, WorkerProgram("", "")), "/")
    (metric,) = explain_pairs(arm, arm, [(test, compared(COUNT))], summarize=str)["t"].metrics
    (blame,) = metric.blames
    assert (blame.location.name, str(blame.calls), metric.unit) == ("match", "40 -> 80", "instructions")
    assert blame.amount + metric.rest == pytest.approx(50_000)
