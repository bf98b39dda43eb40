"""The plan of counts: rounds that follow from the first count, without a clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.engine.instructions.plan import (
    EMPTY_ROUNDS,
    ENDLESS_CALL,
    LONG_CALL,
    LONG_ROUNDS,
    ROUND_CALLS,
    ROUND_INSTRUCTIONS,
    ROUNDS,
    plan_counts,
    round_calls,
)
from pytest_perfguard.engine.measure.messages import CallRaised, MeasureResult
from pytest_perfguard.engine.measure.plan import FirstCallRaised

OVERHEAD = 6_000


def run(plan, answer):
    """Answer each request of a plan; return its result and the requests."""
    requests = []
    try:
        request = next(plan)
        while True:
            requests.append((request.iterations, request.rounds))
            response = answer(request)
            if isinstance(response, int):
                response = MeasureResult({"instructions": [response] * request.rounds})
            request = plan.send(response)
    except StopIteration as stop:
        return stop.value, requests


@given(st.integers(1, LONG_CALL - OVERHEAD))
def test_the_cost_of_the_instrument_is_subtracted_exactly(per_call):
    result, _requests = run(plan_counts("callgrind"), lambda request: OVERHEAD + request.iterations * per_call)
    assert set(result.values) == {float(per_call)}
    assert (len(result.values), result.subtracted) == (ROUNDS, True)


def test_a_call_is_warmed_up_before_it_counts():
    _result, requests = run(plan_counts("callgrind"), lambda request: request.iterations * 1_000_000)
    assert requests == [(1, 1), (15, 1), (1, ROUNDS), (6, ROUNDS)]


def test_a_long_call_is_counted_in_few_rounds_of_one_call():
    result, requests = run(plan_counts("callgrind"), lambda request: request.iterations * 2 * LONG_CALL)
    assert requests == [(1, 1), (2, 1), (1, LONG_ROUNDS)]
    assert result.values == (2.0 * LONG_CALL,) * LONG_ROUNDS


def test_an_endless_call_is_made_once():
    result, requests = run(plan_counts("callgrind"), lambda _request: ENDLESS_CALL + 1)
    assert (requests, result.values) == ([(1, 1)], (ENDLESS_CALL + 1.0,))


def test_a_test_that_has_one_call_per_set_up_is_called_once():
    plan = plan_counts("callgrind", single_call_setup=True)
    result, requests = run(plan, lambda request: OVERHEAD + 7 * request.iterations)
    assert (requests, result.values) == ([(0, EMPTY_ROUNDS), (1, 1)], (7.0,))
    assert result.subtracted


def test_a_second_call_in_a_round_that_raises_leaves_rounds_of_one_call():
    def answer(request):
        return CallRaised("StopIteration") if request.iterations > 1 else OVERHEAD + 1_000 * request.iterations

    result, requests = run(plan_counts("callgrind"), answer)
    assert requests[-2:] == [(0, ROUNDS), (1, ROUNDS)]
    assert (result.values, result.iterations, result.subtracted) == ((1_000.0,) * ROUNDS, 1, True)


def test_a_second_round_that_raises_makes_the_test_stateful():
    answers = iter([1_000])
    result, _requests = run(plan_counts("callgrind"), lambda _request: next(answers, CallRaised("KeyError: 'x'")))
    assert (result.stateful, result.values) == ("KeyError: 'x'", ())


def test_a_first_call_that_raises_ends_the_plan():
    with pytest.raises(FirstCallRaised, match="ValueError"):
        run(plan_counts("callgrind"), lambda _request: CallRaised("ValueError"))


@given(st.integers(0, 10**9))
def test_a_round_has_as_few_calls_as_suffice(per_call):
    calls = round_calls(per_call)
    assert calls in ROUND_CALLS
    assert calls == ROUND_CALLS[-1] or calls * per_call >= ROUND_INSTRUCTIONS
    assert calls == ROUND_CALLS[0] or ROUND_CALLS[ROUND_CALLS.index(calls) - 1] * per_call < ROUND_INSTRUCTIONS
