"""The requests of the plan for one point: run with simulated responses, without a clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.engine.measure.messages import (
    CallRaised,
    MeasureRequest,
    MeasureResult,
    PlanOptions,
    PointResult,
)
from pytest_perfguard.engine.measure.plan import (
    MAX_CALIBRATIONS,
    MAX_ROUNDS,
    MAX_WARM_UP_ROUNDS,
    ROUND_NS,
    WARM_UP_NS,
    FirstCallRaised,
    plan_point,
    rounds_for,
    warm_up_rounds,
)

ALL = ("time", "cpu", "memory", "blocks")
RAISED = CallRaised("ValueError: again")


class Subject:
    """A simulated test: `ns` per call, and the last call of a set-up that works."""

    def __init__(self, ns, *, first_ns=None, calls_per_set_up=None, calls_per_round=None):
        self.ns = ns
        self.first_ns = first_ns or ns
        self.calls_per_set_up = calls_per_set_up
        self.calls_per_round = calls_per_round
        self.pace = 300_000
        self.setup_ns = 0
        self.calls = 0
        self.asked = []

    def answer(self, take):
        self.asked.append(take)
        if self.calls_per_round and take.iterations > self.calls_per_round:
            return RAISED
        readings = []
        for _ in range(take.rounds):
            first = self.first_ns - self.ns if not self.calls else 0
            self.calls += take.iterations
            readings.append(round(take.iterations * self.ns) + first)
        if self.calls_per_set_up and self.calls > self.calls_per_set_up:
            return RAISED
        values = {"memory": [1000] * take.rounds, "blocks": [take.iterations * 2 + 5] * take.rounds}
        if take.instrument in values:
            return MeasureResult({take.instrument: values[take.instrument]})
        timed = {
            "time": readings,
            "cpu": [reading // 2 for reading in readings],
            "lost": [reading // 4 for reading in readings],
            "setup": [self.setup_ns] * take.rounds,
        }
        return MeasureResult(
            timed
            | ({"load": timed["cpu"], "kernel": [self.pace] * take.rounds} if take.instrument == "calibrated" else {})
        )

    def visit(self, order=None) -> PointResult:
        plan = plan_point(order or PlanOptions(ALL))
        answer = None
        while True:
            try:
                take = plan.send(answer)
            except StopIteration as stop:
                return stop.value
            answer = self.answer(take)

    def timed(self) -> MeasureRequest:
        return [take for take in self.asked if take.instrument == "calibrated"][-1]


@pytest.mark.parametrize("ns", [20, 1_000, 100_000])
def test_a_short_call_is_timed_in_rounds_of_half_a_millisecond(ns):
    subject = Subject(ns)
    visit = subject.visit()
    assert visit.iterations * ns == pytest.approx(ROUND_NS, rel=0.35)
    assert len(visit.values["time"]) == MAX_ROUNDS
    assert visit.values["time"][0] == pytest.approx(ns * 1e-9, rel=1e-6)


def test_cpu_memory_and_blocks_are_per_iteration():
    visit = Subject(1_000).visit()
    assert visit.values["cpu"][0] == pytest.approx(500e-9, rel=0.01)
    assert visit.values["memory"] == (1000.0,) * 5
    assert visit.values["blocks"] == (2.0,) * 3, "what the apparatus itself leaves is taken off"


def test_a_call_of_three_seconds_is_called_once_to_warm_up_and_once_to_measure():
    subject = Subject(3_000_000_000)
    visit = subject.visit(PlanOptions(("time", "cpu")))
    assert subject.asked == [MeasureRequest("calibrated", 1, 1), MeasureRequest("calibrated", 1, 1)]
    assert visit.values["time"] == (3.0,)


def test_a_slow_first_call_does_not_size_the_rounds():
    """The first call pays for imports and caches."""
    assert Subject(1_000, first_ns=50_000_000).visit().iterations > 300


def test_warm_up_lasts_its_time_whatever_the_call():
    subject = Subject(40_000)
    subject.visit()
    warm_up, timed = [take for take in subject.asked if take.instrument in ("time", "calibrated")][-2:]
    assert warm_up.rounds * warm_up.iterations * 40_000 >= WARM_UP_NS
    assert timed.rounds == MAX_ROUNDS


def test_the_known_number_of_iterations_is_kept_within_a_factor_of_two():
    """Both sides of a comparison do the same."""
    assert Subject(1_400).visit(PlanOptions(ALL, iterations=500)).iterations == 500
    assert Subject(600).visit(PlanOptions(ALL, iterations=500)).iterations != 100
    assert Subject(100_000).visit(PlanOptions(ALL, iterations=500)).iterations == 5


def test_every_timed_round_has_its_pace():
    visit = Subject(1_000).visit()
    assert visit.kernel_seconds == (0.0003,) * MAX_ROUNDS


def test_what_other_processes_took_is_told_as_a_share():
    """A quarter of the own time more: a fifth of the wall time."""
    assert Subject(1_000).visit().lost == pytest.approx(0.2, abs=0.001)


@pytest.mark.parametrize("ns", [1_000, 400_000_000])
def test_the_rounds_of_each_process_have_places_of_their_own(ns):
    subject = Subject(ns)
    subject.visit(PlanOptions(("time",), first_round=3 * MAX_ROUNDS))
    assert subject.timed().first_round == 3 * MAX_ROUNDS


def test_a_small_budget_bounds_rounds_and_warm_up():
    subject = Subject(1_000)
    subject.visit(PlanOptions(("time",), budget_ns=10_000_000))
    warm_up, timed = [take for take in subject.asked if take.instrument in ("time", "calibrated")][-2:]
    assert timed.rounds == 4, "each with its kernel: half of the budget"
    assert warm_up.rounds * warm_up.iterations * 1_000 == pytest.approx(10_000_000 / 8, rel=0.4)


def test_memory_is_never_taken_in_a_timed_round():
    subject = Subject(1_000)
    subject.visit()
    kinds = [take.instrument for take in subject.asked]
    assert max(index for index, kind in enumerate(kinds) if kind == "calibrated") < kinds.index("memory")


def test_only_the_wanted_metrics_are_kept():
    subject = Subject(1_000)
    assert set(subject.visit(PlanOptions(("time",))).values) == {"time"}
    assert {take.instrument for take in subject.asked} == {"time", "calibrated"}


def test_a_later_process_may_leave_memory_out():
    assert set(Subject(1_000).visit(PlanOptions(ALL, memory=False)).values) == {"time", "cpu"}


def test_a_slow_set_up_before_every_round_counts_as_time_that_passes():
    """70 ms of it: a few rounds, not a thousand."""
    subject = Subject(1_000)
    subject.setup_ns = 70_000_000
    subject.visit()
    warm_up, timed = [take for take in subject.asked if take.instrument in ("time", "calibrated")][-2:]
    assert (warm_up.rounds, timed.rounds) == (1, 3)


def test_code_that_became_far_slower_is_not_tried_with_the_old_number_of_calls():
    """10,000 cache hits a round that have become misses of 10 ms."""
    subject = Subject(10_000_000)
    assert subject.visit(PlanOptions(("time",), iterations=10_000)).iterations == 1
    assert max(take.iterations for take in subject.asked) == 1


def test_memory_is_not_traced_through_very_long_calls():
    assert "memory" not in Subject(1_000_000_000).visit().values


def test_a_test_that_never_works_is_told_apart():
    class Broken(Subject):
        def answer(self, take):
            return RAISED if take.instrument == "calibrated" else super().answer(take)

    with pytest.raises(FirstCallRaised, match="ValueError: again"):
        Broken(1_000).visit()


@pytest.mark.parametrize("calls", [1, 2, 7, 200])
def test_a_test_whose_state_is_used_up_is_stateful(calls):
    visit = Subject(1_000, calls_per_set_up=calls).visit()
    assert (visit.stateful, dict(visit.values)) == ("ValueError: again", {})


def test_one_call_per_set_up_is_one_reading():
    subject = Subject(1_000, calls_per_set_up=1)
    assert subject.visit(PlanOptions(("time",), single_call_setup=True)).values == {"time": (1e-6,)}


@pytest.mark.parametrize(("ns", "busy"), [(1_000, 1.0), (8_000_000, 2.0)])
def test_only_a_long_single_call_shows_its_load(ns, busy):
    readings = {"time": [ns], "cpu": [2 * ns], "lost": [0]}
    assert PointResult.of(("time",), 1, readings, {}, {}, single_call_setup=True).busy == busy


def test_a_setup_that_allows_one_call_per_round_gives_rounds_of_one():
    visit = Subject(1_000, calls_per_round=1).visit(PlanOptions(("time",)))
    assert (visit.iterations, visit.single_call_rounds, len(visit.values["time"])) == (
        1,
        "ValueError: again",
        MAX_ROUNDS,
    )


def test_blocks_are_not_to_be_had_of_a_call_that_cannot_be_repeated():
    visit = Subject(1_000, calls_per_round=1).visit(PlanOptions(("time", "memory", "blocks")))
    assert (set(visit.values), visit.stateful) == ({"time", "memory"}, None)


def test_a_short_round_of_one_call_cannot_tell_whether_it_runs_in_parallel():
    readings = {"time": [1_000], "cpu": [1_900], "lost": [0]}
    assert PointResult.of(("time",), 1, readings, {}, {}, "ValueError: again").busy == 1.0
    assert PointResult.of(("time",), 1, readings, {}, {}).busy == 1.9
    long = {"time": [9_000_000], "cpu": [18_000_000], "lost": [0]}
    assert PointResult.of(("time",), 1, long, {}, {}, "ValueError: again").busy == 2.0


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=200), st.integers(0, 10**6))
def test_no_sequence_of_readings_keeps_calibration_going(readings, hint):
    """The plan ends, with sane numbers, even for a call whose time varies widely."""
    subject = Subject(1)
    source = iter(readings * 100)

    def answer(take):
        subject.asked.append(take)
        if take.instrument in ("memory", "blocks"):
            return MeasureResult({take.instrument: [7] * take.rounds})
        values = [next(source, 1) for _ in range(take.rounds)]
        return MeasureResult(
            {
                "time": values,
                "cpu": values,
                "lost": [0] * take.rounds,
                "setup": values,
                "load": values,
                "kernel": values,
            }
        )

    plan = plan_point(PlanOptions(ALL, iterations=hint))
    reply = None
    with pytest.raises(StopIteration):
        while True:
            take = plan.send(reply)
            assert take.iterations >= 1
            assert take.rounds >= 1
            reply = answer(take)
    assert len(subject.asked) <= MAX_CALIBRATIONS + 12


@given(st.integers(1, 10**13), st.integers(1, 10**13))
def test_rounds_are_never_none_and_never_more_than_the_most(ns, budget):
    assert 1 <= rounds_for(ns, budget) <= MAX_ROUNDS
    assert rounds_for(ns, budget) <= rounds_for(ns, 2 * budget)
    assert rounds_for(ns, budget) == 1 or rounds_for(ns, budget) * ns <= budget


@given(st.integers(1, 10**13), st.integers(1, 10**13))
def test_the_warm_up_lasts_no_longer_than_its_part_of_the_budget_and_one_round(ns, budget):
    rounds = warm_up_rounds(ns, budget)
    assert 1 <= rounds <= MAX_WARM_UP_ROUNDS
    assert (rounds - 1) * ns <= min(WARM_UP_NS, budget / 8)
