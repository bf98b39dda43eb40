"""The estimate of the time left: from simulated passes, without a clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.engine.runner.time_estimate import seconds_left


def left(seconds, undecided_after, *, waiting=0, undecided=None, tests=10, max_passes=30, usual=4):
    open_tests = (undecided_after or [tests])[-1] if undecided is None else undecided
    return seconds_left(
        seconds, undecided_after, waiting=waiting, undecided=open_tests, tests=tests, max_passes=max_passes, usual=usual
    )


def test_before_the_first_round_has_ended_nothing_is_known():
    assert left([], []) == 0.0


def test_passes_that_there_will_not_be_take_no_time():
    """Of ten tests four took a second each."""
    for passes in (1, 2):
        estimate = seconds_left([], [], waiting=6, undecided=6, tests=10, max_passes=passes, elapsed=4.0)
        assert estimate == pytest.approx(6 * passes)


def test_until_the_usual_number_of_rounds_that_many_are_expected():
    """Ten tests take a second each: the rest of the second round, and two more rounds."""
    assert left([10.0], [10], waiting=6) == pytest.approx(6 + 20)
    assert left([10.0], [10], waiting=6, usual=10) == pytest.approx(6 + 80)
    assert left([10.0] * 3, [10] * 3, waiting=10) == pytest.approx(10), "the usual last round"


def test_after_that_the_trend_of_the_decisions_is_continued():
    """Of ten tests three are left after round 4: it was quick; when none is decided for long, it takes long."""
    quick = left([10.0] * 4, [10, 10, 10, 3], waiting=3)
    slow = left([10.0] * 4 + [3.0] * 4, [10, 10, 10, 3, 3, 3, 3, 3], waiting=3)
    assert 3 < quick < 3 + 3 * 2
    assert 3 + 3 * 3 < slow <= 3 + 3 * 8


def test_a_phase_in_which_nothing_is_decided_is_not_expected_to_take_more_than_twice_as_long():
    assert left([10.0] * 6, [10] * 6, waiting=10) == pytest.approx(10 + 60)


def test_fewer_tests_share_the_start_of_the_processes():
    """The last three rounds show what a test costs now."""
    assert left([10.0, 4.0, 4.0, 4.0, 4.0], [1, 1, 1, 1, 1], waiting=1, usual=6) == pytest.approx(4.0)


@st.composite
def phases(draw):
    """Rounds so far, with a falling number of undecided tests."""
    tests = draw(st.integers(1, 200))
    max_passes = draw(st.integers(2, 30))
    done = draw(st.integers(1, max_passes - 1))
    history = sorted(draw(st.lists(st.integers(1, tests), min_size=done, max_size=done)), reverse=True)
    seconds = draw(st.lists(st.floats(0.01, 100), min_size=done, max_size=done))
    undecided = draw(st.integers(0, history[-1]))
    waiting = draw(st.integers(0, undecided))
    return seconds, history, {"waiting": waiting, "undecided": undecided, "tests": tests, "max_passes": max_passes}


def cost(seconds, history, tests):
    """Seconds that one test took in the last three rounds."""
    return sum(seconds[-3:]) / sum([tests, *history[:-1]][-3:])


@given(phases(), st.integers(1, 30))
def test_it_lies_between_the_rest_of_the_round_and_the_worst_case(phase, usual):
    seconds, history, now = phase
    found = seconds_left(seconds, history, **now, usual=usual)
    each = cost(seconds, history, now["tests"])
    rounds = now["max_passes"] - len(seconds) - 1
    assert each * now["waiting"] * (1 - 1e-9) <= found
    assert found <= each * (now["waiting"] + now["undecided"] * rounds) * (1 + 1e-9)


@given(phases(), st.integers(1, 30))
def test_it_falls_as_tests_are_decided_and_measured(phase, usual):
    seconds, history, now = phase
    before = seconds_left(seconds, history, **now, usual=usual)
    measured = {**now, "waiting": max(0, now["waiting"] - 1)}
    decided = {**measured, "undecided": max(measured["waiting"], now["undecided"] - 1)}
    after = [seconds_left(seconds, history, **state, usual=usual) for state in (measured, decided)]
    assert before >= after[0] * (1 - 1e-9)
    assert after[0] >= after[1] * (1 - 1e-9)
    if now["waiting"]:
        assert before > after[1]
