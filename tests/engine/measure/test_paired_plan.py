"""The plan for one point in two arms, run against simulated tests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.engine.measure.messages import CallRaised, MeasureRequest, MeasureResult
from pytest_perfguard.engine.measure.paired_plan import SLICE_PAIRS, PairedPlanOptions, plan_pair, slice_pairs_for
from pytest_perfguard.engine.measure.plan import ROUND_NS, WARM_UP_NS, FirstCallRaised

METRICS = ("time", "cpu", "memory", "blocks")
BUDGET = 20_000_000_000


class Arms:
    """Responds to requests like two tests with these nanoseconds per call."""

    def __init__(self, base_ns, head_ns=None, *, load=1.0, raises_from=None, arm="base"):
        self.ns = {"base": base_ns, "head": head_ns or base_ns}
        self.load = load
        self.raises_from = raises_from
        self.raising_arm = arm
        self.calls = {"base": 0, "head": 0}
        self.asked = []

    def __call__(self, ask):
        self.asked.append(ask)
        take: MeasureRequest = ask.request
        self.calls[ask.arm] += take.iterations * take.rounds
        if self.raises_from and ask.arm == self.raising_arm and self.calls[ask.arm] >= self.raises_from:
            return CallRaised("FileExistsError: it is there")
        wall = [self.ns[ask.arm] * take.iterations] * take.rounds
        if take.instrument in ("memory", "blocks"):
            return MeasureResult({take.instrument: [1000] * take.rounds})
        return MeasureResult(
            {
                "time": wall,
                "cpu": wall,
                "lost": [0] * take.rounds,
                "setup": [0] * take.rounds,
                "load": [int(self.load * w) for w in wall],
            }
        )

    def slices(self):
        """The alternating slices: requests for single rounds after both arms were warmed."""
        warm = max(i for i, ask in enumerate(self.asked) if ask.request.rounds > 1 and ask.request.instrument == "time")
        return [ask for ask in self.asked[warm + 1 :] if ask.request.instrument in ("time", "warmed")]


def play(arms, **order):
    plan = plan_pair(PairedPlanOptions(METRICS, BUDGET, **order))
    try:
        request = next(plan)
        while True:
            request = plan.send(arms(request))
    except StopIteration as stop:
        return stop.value


def test_slices_alternate_and_begin_with_either_arm_in_turn():
    arms = Arms(50_000)
    play(arms, pinned=True)
    order = "".join(ask.arm[0] for ask in arms.slices())
    assert order == "bhhb" * 20
    arms = Arms(50_000)
    play(arms, pinned=True, head_first=True)
    assert "".join(ask.arm[0] for ask in arms.slices()) == "hbbh" * 20


def test_both_arms_make_the_same_number_of_calls_per_slice():
    arms = Arms(50_000, 80_000)
    visit = play(arms, pinned=True)
    assert {ask.request.iterations for ask in arms.slices()} == {visit.base.iterations}
    assert visit.base.iterations * 50_000 >= 0.9 * ROUND_NS
    assert visit.base.values["time"] == pytest.approx((50e-6,) * 40)
    assert visit.head.values["time"] == pytest.approx((80e-6,) * 40)


def test_a_known_number_of_calls_is_kept():
    assert play(Arms(50_000), pinned=True, iterations=12).base.iterations == 12


def test_a_later_pair_calibrates_nothing_and_takes_no_load():
    """Two calls, a slice and the warm-up of each arm come before the slices."""
    arms = Arms(50_000)
    play(arms, pinned=True, iterations=10, memory=False)
    assert {ask.request.instrument for ask in arms.asked} == {"time", "warmed"}
    assert len(arms.asked) - len(arms.slices()) == 2 * 4
    first = Arms(50_000)
    play(first, memory=False)
    assert "load" in {ask.request.instrument for ask in first.asked}


def test_a_reason_for_slices_of_one_call_is_not_found_out_again():
    arms = Arms(50_000)
    visit = play(arms, pinned=True, iterations=1, single_call_rounds="CalledTwice: once")
    assert visit.head.single_call_rounds == "CalledTwice: once"
    assert {ask.request.iterations for ask in arms.asked} == {1}


def test_both_arms_take_each_slice_at_the_same_place_and_each_pair_at_others():
    arms = Arms(50_000)
    play(arms, pinned=True, first_round=82)
    places = [ask.request.first_round for ask in arms.slices()]
    assert places[::2] == places[1::2] == list(range(82, 82 + 40))


@pytest.mark.parametrize(("ns", "instrument"), [(50_000, "warmed"), (249_000, "warmed"), (251_000, "time")])
def test_short_calls_are_called_untimed_first(ns, instrument):
    arms = Arms(ns)
    play(arms, pinned=True)
    assert {ask.request.instrument for ask in arms.slices()} == {instrument}


def test_both_arms_are_warmed():
    arms = Arms(100_000)
    play(arms, pinned=True)
    for arm in ("base", "head"):
        warm = max((a.request for a in arms.asked if a.arm == arm), key=lambda take: take.rounds)
        assert warm.rounds * warm.iterations * 100_000 >= WARM_UP_NS


@pytest.mark.parametrize(("load", "pinned"), [(0.02, True), (1.0, True), (1.1, True), (1.3, False), (4.0, False)])
def test_a_test_that_runs_in_parallel_is_not_pinned(load, pinned):
    arms = Arms(50_000, load=load)
    visit = play(arms)
    assert visit.pinned is pinned
    assert {ask.pinned for ask in arms.slices()} == {pinned}
    assert not any(ask.pinned for ask in arms.asked[:4]), "nothing is pinned before that is known"


def test_what_is_known_of_the_pinning_is_not_asked_again():
    arms = Arms(50_000, load=4.0)
    assert play(arms, pinned=True).pinned
    assert all(ask.pinned for ask in arms.asked)


def test_a_long_call_is_neither_calibrated_nor_warmed():
    arms = Arms(400_000_000)
    visit = play(arms, memory=False)
    assert visit.base.iterations == 1
    assert [ask.request.instrument for ask in arms.asked[:4]] == ["load"] * 4
    assert len(arms.asked) == 4 + 2, "eight pairs of three calls of each arm fit into 20 s: the second is a slice"
    assert visit.base.values["time"] == (0.4, 0.4)


@given(st.integers(1, 10**11), st.integers(10**6, 10**12))
def test_slices_fit_the_budget_and_the_bounds(pair_ns, budget_ns):
    count = slice_pairs_for(pair_ns, budget_ns)
    assert 1 <= count < SLICE_PAIRS.stop
    assert count == 1 or 8 * (count + 1) * pair_ns <= budget_ns


def test_calls_that_are_processes_of_their_own_are_taken_more_often():
    for fresh, least in ((False, SLICE_PAIRS.start), (True, 16)):
        arms = Arms(60_000_000, 60_000_000)
        play(arms, process_per_call=fresh)
        assert len(arms.slices()) >= 2 * least
        assert (len(arms.slices()) < 32) is not fresh


def test_memory_is_taken_of_both_arms_last():
    arms = Arms(50_000)
    visit = play(arms, pinned=True)
    assert visit.base.values["memory"] == visit.head.values["memory"] == (1000.0,) * 5
    tail = [(ask.arm, ask.request.instrument) for ask in arms.asked[-6:]]
    assert tail == [(arm, name) for arm in ("base", "head") for name in ("memory", "blocks", "blocks")]
    assert "memory" not in play(Arms(50_000), pinned=True, memory=False).base.values


@pytest.mark.parametrize("arm", ["base", "head"])
def test_a_first_call_that_raises_ends_the_visit(arm):
    with pytest.raises(FirstCallRaised, match="it is there"):
        play(Arms(50_000, raises_from=1, arm=arm))


def test_a_call_that_needs_a_set_up_each_time_is_taken_one_by_one():
    """No request for times, load or blocks has two of its calls in one round but the one that finds it out."""

    class Prepared(Arms):
        def __call__(self, ask):
            answer = super().__call__(ask)
            return (
                CallRaised("CalledTwice: once")
                if ask.request.iterations > 1 or ask.request.instrument == "warmed"
                else answer
            )

    arms = Prepared(50_000, load=1.9)
    visit = play(arms)
    assert (visit.head.single_call_rounds, visit.head.stateful, visit.pinned) == ("CalledTwice: once", None, True)
    assert set(visit.head.values) == {"time", "cpu", "memory"}
    assert sum(ask.request.iterations > 1 for ask in arms.asked) == 1


@pytest.mark.parametrize("arm", ["base", "head"])
def test_a_second_call_that_raises_makes_the_test_single(arm):
    visit = play(Arms(50_000, raises_from=2, arm=arm))
    assert visit.base.stateful == visit.head.stateful == "FileExistsError: it is there"


def test_a_single_visit_is_one_call_of_each():
    arms = Arms(8_000_000, load=2.0)
    visit = play(arms, single_call_setup=True)
    assert [(ask.arm, ask.request.iterations) for ask in arms.asked] == [("base", 1), ("head", 1)]
    assert visit.base.values == {"time": (8e-3,), "cpu": (8e-3,)}
    assert not visit.pinned
    assert play(Arms(50_000, load=2.0), single_call_setup=True).pinned, "too short to show its load"


@pytest.mark.parametrize(("base", "head"), [(100, 10_000_000), (1_000_000, 100)])
def test_two_calls_that_are_compared_have_slices_of_their_own_length(base, head):
    """However far apart they are, a slice takes half a millisecond, or one call."""
    arms = Arms(base, head)
    visit = play(arms, pinned=True, separate_calibration=True)
    for arm, ns in (("base", base), ("head", head)):
        wanted = max(ROUND_NS, ns)
        lengths = {
            ask.request.iterations * ns for ask in arms.slices() if ask.arm == arm and ask.request.instrument != "load"
        }
        assert all(0.9 * ROUND_NS <= length <= 2 * wanted for length in lengths), (arm, lengths)
    assert visit.base.values["time"][0] == pytest.approx(base / 1e9)
    assert visit.head.values["time"][0] == pytest.approx(head / 1e9)
