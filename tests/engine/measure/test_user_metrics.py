"""What a test records itself, round by round."""

from __future__ import annotations

from pytest_perfguard import PerformanceMonitor
from pytest_perfguard.engine.measure.messages import PointResult, join_rounds
from pytest_perfguard.engine.measure.user_metrics import UserMetrics


def test_each_round_has_its_total_and_what_comes_later_began_at_nothing():
    monitor = PerformanceMonitor()
    monitor.observe("rows", 100)  # before the point
    probe = UserMetrics(monitor.histograms)
    for rows in (3, 4):
        probe.start_round()
        monitor.observe("rows", rows)
        monitor.observe("rows", rows)
        probe.end_round()
        monitor.observe("rows", 50)  # between the rounds
    probe.start_round()
    monitor.observe("late", 1)
    probe.end_round()
    assert probe.drain() == {"value:rows": [6, 8, 0], "value:late": [0, 0, 1]}
    assert probe.drain() == {}


def test_a_tail_is_of_what_was_recorded_since_the_point_began():
    monitor = PerformanceMonitor()
    for _ in range(100):
        monitor.observe("rows", 1000)
    probe = UserMetrics(monitor.histograms)
    for value in range(19):
        monitor.observe("rows", value)
    probe.read_tails()
    assert probe.drain() == {}  # too few
    monitor.observe("rows", 19)
    monitor.timer("unused")
    probe.read_tails()
    assert probe.drain() == {"value-p95:rows": [18.05]}


def test_timers_are_times():
    monitor = PerformanceMonitor()
    probe = UserMetrics(monitor.histograms)
    probe.start_round()
    with monitor.timer("db", table="a"):
        pass
    probe.end_round()
    assert list(probe.drain()) == ['time:db{table="a"}']


def test_what_was_not_recorded_in_every_round_is_no_metric():
    recorded = {"time:db": [2.0, 4.0], "time:rare": [0.0, 1.0], "time:late": [1.0], "p95:db": [0.5]}
    readings = {"time": [10, 10], "cpu": [10, 10], "lost": [0, 0]}
    values = PointResult.of(("time",), 2, readings, {}, recorded).values
    assert values == {"time": (5e-9, 5e-9), "time:db": (1.0, 2.0), "p95:db": (0.5,)}
    assert PointResult.of(("memory",), 2, readings, {"memory": (1.0,)}, recorded).values == {"memory": (1.0,)}


def test_a_label_that_looks_like_a_tail_is_none():
    recorded = {'time:db{q="p95:"}': [2.0, 4.0]}
    values = PointResult.of(("time",), 2, {"time": [1, 1], "cpu": [1, 1], "lost": [0, 0]}, {}, recorded).values
    assert values['time:db{q="p95:"}'] == (1.0, 2.0)


def test_answers_are_joined_by_what_they_share():
    assert join_rounds([{"a": [1.0], "b": [2.0]}, {"a": [3.0]}]) == {"a": [1.0, 3.0]}
    assert join_rounds([]) == {}
