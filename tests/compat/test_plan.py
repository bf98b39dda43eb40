"""How many calls a benchmark makes: plans obeyed by a clock of the test's own."""

from __future__ import annotations

import itertools

import pytest

from pytest_perfguard.compat.options import BenchmarkOptions
from pytest_perfguard.compat.plan import Round, plan_call, plan_rounds, resolution_of, rounds_within
from pytest_perfguard.core.errors import SettingError


class Machine:
    """Obeys a plan: a call takes `call` seconds, a timer `overhead` for each round."""

    def __init__(self, call, overhead=0.0):
        self.call = call
        self.overhead = overhead
        self.now = 0.0
        self.rounds = []

    def obey(self, choices, resolution=1e-9):
        plan = plan_call(choices, resolution, lambda: self.now)
        answer = None
        while True:
            try:
                step = plan.send(answer)
            except StopIteration:
                return self
            self.rounds.append(step)
            answer = step.iterations * self.call + self.overhead
            self.now += answer

    @property
    def kept(self):
        return [step.iterations for step in self.rounds if step.recorded]

    @property
    def unkept(self):
        return [step.iterations for step in self.rounds if not step.recorded]


def test_a_long_call_is_made_once_per_round_until_the_time_is_over():
    machine = Machine(0.3).obey(BenchmarkOptions())
    assert (machine.unkept, machine.kept) == ([1], [1] * 5)  # five at least
    assert len(Machine(0.01).obey(BenchmarkOptions()).kept) == 100


def test_the_calls_of_a_short_round_grow_by_ten_and_are_then_computed():
    assert Machine(1e-7).obey(BenchmarkOptions()).unkept == [1, 10, 100]
    # Ten of these last long enough to compute how many make 5 us.
    machine = Machine(3e-7).obey(BenchmarkOptions())
    assert machine.unkept == [1, 10, 17]
    assert set(machine.kept) == {17}


def test_a_round_lasts_ten_times_what_the_timer_can_tell():
    machine = Machine(1e-6).obey(BenchmarkOptions(), resolution=1e-3)
    assert machine.kept[0] * 1e-6 >= 0.01


def test_a_warm_up_is_bounded_by_calls_and_by_time():
    by_calls = Machine(0.1).obey(BenchmarkOptions(max_time=1.0, warmup=True, warmup_iterations=3))
    # One to calibrate and three beside it, then three more before the rounds that count.
    assert len(by_calls.unkept) == 1 + 3 + 3
    by_time = Machine(0.6).obey(BenchmarkOptions(max_time=1.0, warmup=True, warmup_iterations=100))
    assert len(by_time.unkept) == 1 + 2 + 5


def test_a_warm_up_may_be_given_in_seconds():
    assert len(Machine(0.1).obey(BenchmarkOptions(warmup_time=1.05)).unkept) == 11


def test_rounds_have_a_least_and_a_greatest_number():
    assert rounds_within(BenchmarkOptions(min_rounds=7), 1.0) == 7
    assert rounds_within(BenchmarkOptions(max_rounds=3), 0.001) == 3
    assert rounds_within(BenchmarkOptions(), 0.0) == 5


def test_a_steady_call_is_precise_after_the_least_number_of_rounds():
    assert len(Machine(0.01).obey(BenchmarkOptions(precision=0.02)).kept) == 5


def test_rounds_that_were_asked_for_are_made():
    assert list(_answered(plan_rounds(2, 1, 3))) == [
        Round(3, recorded=False),
        Round(3, recorded=True),
        Round(3, recorded=True),
    ]
    assert list(_answered(plan_rounds(1, 0, 1))) == [Round(1, recorded=True, with_result=True)]


def _answered(plan):
    step = next(plan, None)
    while step is not None:
        yield step
        try:
            step = plan.send(1.0)
        except StopIteration:
            step = None


def test_the_resolution_of_a_timer_is_its_smallest_step():
    ticks = itertools.chain.from_iterable([index * 0.5] * 3 for index in itertools.count())
    assert resolution_of(lambda: next(ticks)) == 0.5


def test_a_timer_that_does_not_move_is_refused(monkeypatch):
    monkeypatch.setattr("pytest_perfguard.compat.plan.MAX_POLLS", 10)
    with pytest.raises(SettingError, match="the timer 'still' does not advance"):
        resolution_of(_still())


def _still():
    def still():
        return 1.0

    return still
