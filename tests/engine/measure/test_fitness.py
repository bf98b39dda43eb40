"""How fit is a machine for measuring? Facts in, checks out."""

from __future__ import annotations

import pytest

from pytest_perfguard.engine.measure.fitness import MachineFacts, judge_machine, quota_of, read_facts

FIT = MachineFacts(cpus=4, allowed_cpus=4, pinnable=True, load=0.1, governor="performance", quota=4.0)


def test_a_fit_machine_passes_every_check():
    assert [check.name for check in judge_machine(FIT)] == ["CPUs", "pinning", "load", "governor", "quota", "hardware"]
    assert all(check.fit and not check.advice for check in judge_machine(FIT))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("CPUs", {"allowed_cpus": 1}),
        ("pinning", {"pinnable": False}),
        ("load", {"load": 2.1}),
        ("governor", {"governor": "powersave"}),
        ("quota", {"quota": 1.5}),
        ("hardware", {"virtual": True}),
    ],
)
def test_what_makes_it_unfit_is_named_with_advice(name, change):
    facts = MachineFacts(**{**vars(FIT), **change})
    (check,) = [check for check in judge_machine(facts) if not check.fit]
    assert (check.name, bool(check.advice)) == (name, True)


def test_what_the_system_does_not_report_is_left_out():
    names = [check.name for check in judge_machine(MachineFacts(cpus=2, pinnable=True))]
    assert names == ["CPUs", "pinning", "hardware"]


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("150000 100000", 1.5), ("max 100000", None), (None, None), ("", None), ("x y", None), ("1 0", None)],
)
def test_the_quota_of_a_control_group(text, cpus):
    assert quota_of(text) == cpus


def test_this_machine_has_a_cpu():
    assert read_facts(pinnable=False).cpus >= 1
