"""Speed claims: one call is faster than another, on synthetic ratios."""

from __future__ import annotations

import math
import random

import pytest

from pytest_perfguard.core.model import ClaimSamples, Measurement, Verdict
from pytest_perfguard.engine.verdict.looks import PAIR_LOOKS
from pytest_perfguard.engine.verdict.speed_claim import judge_claims


def judged(ratios, *, by=1.25, final=False, problem=""):
    """Return the finding on a claim with these ratios rival / name, one per process."""
    contest = ClaimSamples("new", "old", by, tuple(map(math.log, ratios)), problem)
    measurement = Measurement(processes=len(ratios), claims={"new<old": contest})
    (found,) = judge_claims(measurement, final=final)
    return found


def test_what_is_clearly_so_holds_at_the_first_look():
    found = judged([2.0, 2.02, 1.98, 2.01])
    assert (found.verdict, found.name, found.unit) == (None, "faster:new<old", "times")
    assert found.candidate == pytest.approx(2.0, rel=0.01)


def test_what_is_clearly_not_so_is_over_its_budget():
    found = judged([1.10, 1.11, 1.09, 1.10])
    assert found.verdict is Verdict.OVER_LIMIT
    assert found.reason == ("new should take less time than old by a factor of 1.25: it is 1.1 (interval 1.08 to 1.12)")


def test_between_two_looks_nothing_is_said():
    assert judged([2.0, 2.02, 1.98]) is None
    assert judged([2.0, 2.02, 1.98, 2.0, 2.01]) is None


def test_what_stays_open_is_inconclusive():
    near = [1.25 * math.exp(0.05 * (-1) ** index) for index in range(30)]
    assert judged(near[:4]) is None
    assert judged(near, final=True).verdict is Verdict.INCONCLUSIVE


def test_a_few_processes_tell_nothing_whatever_they_say():
    found = judged([9.0, 9.0], final=True)
    assert found.verdict is Verdict.INCONCLUSIVE


def test_a_call_that_cannot_be_repeated_is_named():
    found = judged([], problem="FileExistsError: x", final=True)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "it cannot be called again (FileExistsError: x)" in found.reason


def test_equal_calls_are_rarely_called_faster_or_slower():
    """At most 0.1 % each way over all looks, with processes that differ by 3 %."""
    draw = random.Random(7)
    wrong = 0
    for _ in range(500):
        ratios = [math.exp(draw.gauss(0, 0.03)) for _ in range(PAIR_LOOKS[-1])]
        verdicts = [judged(ratios[:look], by=1.0) for look in PAIR_LOOKS]
        wrong += any(found is not None for found in verdicts)
    assert wrong <= 4  # the mean is 0.5 to 1
