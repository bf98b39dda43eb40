"""Trends from recordings: their points, changes of level and drift."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Record
from pytest_perfguard.engine.history.snapshots import Snapshot
from pytest_perfguard.engine.history.trends import HistoryQuery, find_trends

QUERY = HistoryQuery(0.05)


def record(seconds: float, source: str = "s") -> Record:
    times = MetricStats("s", (seconds,), (seconds,), 40)
    sizes = MetricStats("B", (100.0,), (100.0,), 40)
    return Record(source, "c", 3e-4, {"": 1}, {"memory": sizes, "time": times}, {}, (3e-4,))


def history(*amounts: float, nodeid: str = "t", machine: str = "m") -> list[Snapshot]:
    return [
        Snapshot(f"c{index}", f"2026-01-{index + 1:02}", {machine: {nodeid: record(seconds)}})
        for index, seconds in enumerate(amounts)
    ]


def with_pauses(amounts):
    """Each amount in a recording of its own, with another kernel time."""
    states = history(*amounts)
    return [
        replace(state, classes={"m": {"t": replace(state.classes["m"]["t"], kernel=float(index + 1))}})
        for index, state in enumerate(states)
    ]


def test_each_metric_has_a_series_time_first():
    time, memory = find_trends(history(1.0, 1.01, 1.02), QUERY)
    assert (time.metric, memory.metric, memory.unit) == ("time", "memory", "B")
    assert [(point.label, point.at, point.value) for point in time.points][:2] == [
        ("c0", "2026-01-01", 1.0),
        ("c1", "2026-01-02", 1.01),
    ]
    assert time.change == pytest.approx(1.02)


def test_a_commit_about_other_tests_is_no_recording():
    time, *_rest = find_trends([*history(1.0, 1.0, 2.0), *history(2.0, 2.0)], QUERY)
    assert [point.label for point in time.points] == ["c0", "c2"]


def test_a_changed_test_begins_anew():
    states = history(1.0, 1.1, 1.2)
    changed = Snapshot("new", "", {"m": {"t": record(9.0, source="other")}})
    time, *_rest = find_trends([*states, changed], QUERY)
    assert [point.label for point in time.points] == ["new"]


def test_a_step_is_told_with_its_size_and_makes_it_worse():
    time, *_rest = find_trends(history(*[1.0, 1.001, 0.999, 1.002] * 2, *[1.2, 1.201, 1.199, 1.202]), QUERY)
    assert [(step.index, round(step.ratio, 2)) for step in time.steps] == [(8, 1.2)]
    assert time.stepped
    assert time.worse


def test_a_step_that_was_undone_is_not_worse():
    up = [1.2, 1.201, 1.199, 1.202]
    time, *_rest = find_trends(history(*[1.0, 1.001, 0.999, 1.002], *up, *[1.001, 1.0, 0.998, 1.002]), QUERY)
    assert len(time.steps) == 2
    assert not time.worse


def test_machine_classes_and_tests_are_kept_apart():
    states = [*history(1.0, 2.0), *history(5.0, machine="other"), *history(7.0, nodeid="u")]
    found = find_trends(states, replace(QUERY, metrics=["time"]))
    assert [(track.machine, track.nodeid, len(track.points)) for track in found] == [
        ("m", "t", 2), ("m", "u", 1), ("other", "t", 1),
    ]  # fmt: skip


def test_what_is_gone_cannot_be_mended_and_is_not_judged():
    states = [*history(1.0, 2.0, nodeid="gone"), *history(1.0, machine="old"), *history(5.0, 5.1)]
    assert {track.nodeid for track in find_trends(states, replace(QUERY, current=True))} == {"t"}


def test_what_grew_from_nothing_is_worse_although_it_has_no_ratio():
    time, *_rest = find_trends(with_pauses([0.0, 0.0, 0.0, 1.0, 1.1, 1.0]), QUERY)
    assert (time.change, time.worse) == (math.inf, True)


def test_a_step_below_the_anchor_is_accepted():
    """The level accepted last is the anchor; earlier levels do not count."""
    amounts = [1.0, 1.001, 0.999, 1.002] * 2 + [1.2, 1.201, 1.199, 1.202]
    anchor = Snapshot("v2", "", {"m": {"t": record(1.2)}})
    time, *_rest = find_trends(history(*amounts), replace(QUERY, anchor=anchor))
    assert len(time.steps) == 1
    assert not time.worse


def test_the_anchor_is_the_named_state():
    anchor = Snapshot("v1", "", {"m": {"t": record(0.5)}})
    time, *_rest = find_trends(history(*[1.0, 1.001, 0.999] * 3), replace(QUERY, anchor=anchor))
    assert time.anchor == 0.5
    assert time.drift.drifted
    assert time.change == pytest.approx(1.998)


def test_what_is_zero_has_no_ratio_and_no_drift():
    time, *_rest = find_trends(history(*[0.0, 1.0] * 4), QUERY)
    assert (time.change, time.drift, time.steps) == (math.inf, None, ())
