"""A pair that says nothing acquits nobody."""

from __future__ import annotations

import pytest

from pytest_perfguard.judge.screened import settled
from pytest_perfguard.model import Comparison, Finding, Measurement, Pairing, Verdict

RED = Comparison("t", Verdict.REGRESSION, (Finding("time", "s", Verdict.REGRESSION, 2.0, 1.0),))


def paired(verdict, *, pairs=6, **more):
    measurement = Measurement(processes=pairs)
    return Comparison("t", verdict, (), measurement, pairing=Pairing("main", measurement, "", True), **more)


@pytest.mark.parametrize(
    "verdict", [Verdict.REGRESSION, Verdict.UNCHANGED, Verdict.IMPROVEMENT, Verdict.INCONCLUSIVE, Verdict.OVER_BUDGET]
)
def test_a_pair_that_was_measured_has_the_last_word(verdict):
    pair = paired(verdict)
    assert settled(RED, pair) is pair


@pytest.mark.parametrize(
    "pair",
    [
        paired(Verdict.NEW, reason="no such module"),
        paired(Verdict.INCOMPARABLE, reason="no such module"),
        paired(None, broken="no such module"),
        paired(Verdict.INCONCLUSIVE, pairs=3, reason="no such module"),
    ],
)
def test_a_pair_that_was_not_leaves_the_suspect_suspected(pair):
    told = settled(RED, pair)
    assert (told.verdict, told.findings, told.pairing) == (Verdict.REGRESSION, RED.findings, None)
    assert told.reason == "measuring it side by side with main settled nothing: no such module"


def test_without_a_suspicion_the_pair_is_all_there_is():
    pair = paired(Verdict.NEW)
    assert settled(None, pair) is pair
    assert settled(Comparison("t", Verdict.INCOMPARABLE), pair) is pair
