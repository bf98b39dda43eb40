"""Confirmation by pairs: a pair that was hardly measured settles nothing."""

from __future__ import annotations

import pytest

from pytest_perfguard.core.model import JUDGED, Comparison, Finding, Measurement, Pairing, Verdict
from pytest_perfguard.engine.verdict.confirmation import SUSPECT, settles, why_unsettled


def paired(verdict, *, pairs=6, **more):
    measurement = Measurement(processes=pairs)
    return Comparison("t", verdict, (), measurement, pairing=Pairing("main", measurement, None, True), **more)


@pytest.mark.parametrize("verdict", sorted(JUDGED, key=str))
def test_a_pair_that_was_measured_has_the_last_word(verdict):
    assert settles(paired(verdict))


@pytest.mark.parametrize(
    "pair",
    [
        paired(Verdict.NEW, reason="no such module"),
        paired(Verdict.INCOMPARABLE, reason="no such module"),
        paired(None, broken="no such module"),
        paired(Verdict.INCONCLUSIVE, pairs=3, reason="no such module"),
    ],
)
def test_a_pair_that_was_not_settles_nothing_and_says_why(pair):
    assert not settles(pair)
    assert why_unsettled(pair) == "measuring it side by side with main settled nothing: no such module"


def test_a_broken_pair_is_no_verdict_whatever_it_found():
    assert not settles(paired(Verdict.REGRESSION, broken="SIGSEGV"))


def test_the_reasons_of_the_findings_are_told_once_each():
    findings = tuple(Finding(name, "s", Verdict.INCONCLUSIVE, 1.0, reason="too few") for name in ("time", "cpu"))
    pair = Comparison("t", Verdict.INCONCLUSIVE, findings, Measurement(processes=2))
    assert why_unsettled(pair) == "measuring it side by side with its commit settled nothing: too few"


def test_what_the_file_cleared_is_no_suspect():
    assert {Verdict.REGRESSION, Verdict.INCONCLUSIVE, Verdict.OVER_LIMIT} == SUSPECT
