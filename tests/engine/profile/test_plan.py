"""What is asked of both arms, and how a call that raises ends it."""

from __future__ import annotations

import pytest

from pytest_perfguard.core.errors import ProtocolError
from pytest_perfguard.engine.measure.messages import CallRaised
from pytest_perfguard.engine.profile.messages import ProfileResult
from pytest_perfguard.engine.profile.model import AllocationProfile, CallProfile, StackSamples
from pytest_perfguard.engine.profile.plan import CALLS_SLICES, SAMPLES_SLICES, ArmProfiles, PointPlan, plan_point
from pytest_perfguard.engine.runner.scheduler import run_plan
from tests.engine.profile.made import BASE_PROFILE, SAMPLES, TOTAL

ANSWERS = {"calls": BASE_PROFILE.to_json(), "samples": SAMPLES.to_json(), "memory": AllocationProfile().to_json()}


def asked(plan, raising=lambda _arm, _request: False):
    requests = []

    def answer(request):
        requests.append(request)
        return CallRaised("ValueError: no") if raising(*request) else ProfileResult(ANSWERS[request[1].kind])

    return run_plan(plan_point(plan), answer), requests


def test_the_plan_of_one_arm_requests_the_same_profiles():
    """A test with one call per set-up was only counted where its arms were profiled apart."""
    for choice in ({"single": True}, {"counts": True}, {"times": False, "memory": True}):
        both = PointPlan((10e-6, 20e-6), ("/base", "/head"), **choice)
        assert both.of_arm(1) == PointPlan((20e-6,), ("/head",), **choice)


def test_both_arms_in_turn():
    taken, requests = asked(PointPlan((10e-6, 20e-6), ("/base", "/head")))
    assert [arm for arm, _request in requests] == [0, 1] * (CALLS_SLICES + SAMPLES_SLICES)
    base, head = (request for _arm, request in requests[:2])
    assert (base.root, head.root) == ("/base", "/head")
    assert base.iterations == 2 * head.iterations
    assert all(len(arm.calls) == CALLS_SLICES and len(arm.samples) == SAMPLES_SLICES for arm in taken)


@pytest.mark.parametrize(
    ("seconds", "kinds"), [(0.2, ["calls", "samples"]), (3.0, ["calls"])], ids=["slow", "very slow"]
)
def test_a_slow_call_is_made_once_for_each_profile(seconds, kinds):
    _taken, requests = asked(PointPlan((seconds,), ("/head",)))
    assert [(request.kind, request.iterations) for _arm, request in requests] == [(kind, 1) for kind in kinds]


def test_one_call_per_set_up_is_one_profiled_call():
    _taken, requests = asked(PointPlan((1e-6,), ("/head",), memory=True, single=True))
    assert [(request.kind, request.iterations) for _arm, request in requests] == [("calls", 1)]


def test_numbers_of_calls_and_memory():
    _taken, requests = asked(PointPlan((1e-6,), ("/head",), times=False, memory=True, counts=True))
    assert [request.kind for _arm, request in requests] == ["calls", "calls", "memory"]


def test_memory_alone():
    _taken, requests = asked(PointPlan((1e-6,), ("/head",), times=False, memory=True))
    assert [(request.kind, request.iterations) for _arm, request in requests] == [("memory", 2)]


def test_an_arm_whose_call_raises_keeps_what_it_has():
    taken, requests = asked(
        PointPlan((1e-6, 1e-6), ("/base", "/head")), lambda arm, request: arm == 0 and request.kind == "samples"
    )
    assert (len(taken[0].calls), taken[0].samples, taken[0].raised) == (CALLS_SLICES, [], "ValueError: no")
    assert len(taken[1].samples) == SAMPLES_SLICES
    assert sum(arm == 0 for arm, _request in requests) == CALLS_SLICES + 1


def test_the_first_slice_warms_up_and_the_least_seconds_count():
    function, own = TOTAL, [5e-6, 30e-6, 20e-6, 40e-6]
    cost = BASE_PROFILE.costs[function]
    taken = ArmProfiles([CallProfile({function: cost._replace(own=seconds)}) for seconds in own])
    side = taken.side(1e-6)
    assert side.calls.costs[function].own == 20e-6
    assert side.second.costs[function].own == 30e-6
    assert ArmProfiles(taken.calls[:1]).side(1e-6).calls.costs[function].own == 5e-6


def test_profiles_survive_the_pipe():
    assert CallProfile.from_json(BASE_PROFILE.to_json()) == BASE_PROFILE
    assert StackSamples.from_json(SAMPLES.to_json()) == SAMPLES
    for kind in (CallProfile, StackSamples, AllocationProfile):
        with pytest.raises(ProtocolError, match="not a"):
            kind.from_json({"functions": [[1]], "lines": 3})
