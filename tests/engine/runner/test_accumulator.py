"""Adding up processes."""

from __future__ import annotations

from pytest_perfguard.core.model import ClaimSamples
from pytest_perfguard.engine.measure.messages import PointResult
from pytest_perfguard.engine.runner.accumulator import MeasurementBuilder


def visit(*values, kernels=(0.5,), **more):
    return PointResult(7, kernels, {"time": values} if values else {}, **more)


def test_each_process_is_kept_apart():
    tally = MeasurementBuilder({})
    tally.add({"": visit(1.0, 2.0)})
    tally.close_process(0.1, ())
    tally.add({"": visit(3.0, kernels=(0.4,))})
    tally.close_process(0.2, ("not pinned",))
    taken = tally.measurement
    assert taken.samples["time"].processes == ((1.0, 2.0), (3.0,))
    assert (taken.processes, taken.kernel, taken.iterations, taken.notes) == (2, 0.5, {"": 7}, ("not pinned",))
    assert round(taken.seconds, 6) == 0.3


def test_a_named_point_has_metrics_of_its_own():
    tally = MeasurementBuilder({})
    tally.add({"parse": visit(1.0), "dump": visit(2.0)})
    tally.close_process(0.1, ())
    assert set(tally.measurement.samples) == {"time:parse", "time:dump"}


def test_a_stateful_test_is_served_call_by_call_and_its_calls_are_one_process():
    tally = MeasurementBuilder({})
    tally.add({"": visit(stateful="FileExistsError: x")})
    assert tally.single_call_setup
    tally.add({"": visit(1.0)})
    tally.add({"": visit(2.0)})
    tally.close_process(0.1, ())
    assert tally.measurement.samples["time"].processes == ((1.0, 2.0),)
    assert "stateful: a second call raised FileExistsError: x" in tally.measurement.notes[0]


def test_a_note_is_kept_once():
    tally = MeasurementBuilder({})
    for _ in range(2):
        tally.add({"": visit(1.0, single_call_rounds="ValueError")})
        tally.close_process(0.1, ("slow",))
    assert len(tally.measurement.notes) == 2


def test_the_budget_counts_the_next_process():
    tally = MeasurementBuilder({})
    tally.add({"": visit(1.0)})
    tally.close_process(3.0, ())
    assert not tally.next_would_exceed(6.0)
    assert tally.next_would_exceed(5.9)


def test_the_iterations_of_the_baseline_are_the_first_guess():
    assert MeasurementBuilder({"": 500}).iterations == {"": 500}


def test_the_pace_is_that_of_the_five_best_placed_rounds():
    """One fast kernel may be chance; the slowest point of several counts."""
    tally = MeasurementBuilder({})
    tally.add({"": visit(1.0, kernels=(5.0, 1.0, 4.0)), "parse": visit(1.0, kernels=(0.1,) * 9)})
    tally.add({"": visit(1.0, kernels=(3.0, 2.0, 9.0))})
    tally.close_process(0.1, ())
    assert tally.measurement.kernel == 5.0


def test_a_timer_that_one_process_lacks_is_no_metric():
    """It would be matched with other processes' numbers."""
    tally = MeasurementBuilder({})
    for values in ({"time": (1.0,), "p95:db": (2.0,)}, {"time": (1.0,)}, {"time": (1.0,), "p95:db": (2.0,)}):
        tally.add({"": PointResult(1, values=values)})
        tally.close_process(1.0)
    assert set(tally.measurement.samples) == {"time"}


def test_a_claim_is_measured_once_in_a_process():
    tally = MeasurementBuilder({})
    assert tally.needs_claim("a<b")
    tally.add_claim("a<b", ClaimSamples("a", "b", 1.0, (0.5,)))
    assert not tally.needs_claim("a<b")
    tally.close_process(1.0)
    assert tally.needs_claim("a<b")
    assert tally.measurement.claims["a<b"].log_ratios == (0.5,)


def test_the_time_that_was_lost_is_that_of_the_process_where_it_was_most():
    tally = MeasurementBuilder({})
    for lost in (0.1, 0.4, 0.2):
        tally.add({"": visit(1.0, lost=lost)})
        tally.close_process(1.0)
    assert tally.measurement.lost == 0.4


def test_why_a_round_is_one_call_is_kept_for_the_next_process():
    tally = MeasurementBuilder({})
    tally.add({"": visit(1.0, single_call_rounds="ValueError: x"), "parse": visit(1.0)})
    assert tally.single_call_rounds == {"": "ValueError: x"}
