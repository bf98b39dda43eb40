"""The meter reads what there is, and makes no growth of its own."""

from __future__ import annotations

import psutil
import pytest

from pytest_perfguard.engine.leaks.levels import LevelReader, LevelSeries


def test_reading_again_and_again_changes_no_level():
    meter = LevelReader()
    with meter.open():
        meter.trace(1)
        series = meter.series(1, counted=True)
        for _ in range(12):
            series.read()
    # The first few readings may fill something; then nothing more may come.
    for kind in ("memory", "files", "sockets", "threads", "children", "tasks", "uncollectable"):
        assert len(set(series[kind][-6:])) == 1, kind


def test_without_what_the_c_library_tells_the_rest_is_read(monkeypatch):
    monkeypatch.delattr(psutil, "heap_info", raising=False)
    meter = LevelReader()
    with meter.open():
        meter.trace(1)
        assert "native" not in meter.levels(counted=False)
        assert set(meter.levels(counted=False)) == {"memory", "mapped"}


def test_the_resident_set_is_read_without_memory_that_is_free_for_reuse(monkeypatch):
    trimmed = []
    monkeypatch.setattr(psutil, "heap_trim", lambda: trimmed.append(1), raising=False)
    assert LevelReader().resident_bytes()[0] > 0
    assert trimmed == [1]


def test_a_counter_that_is_added_later_counts_from_the_next_series_on():
    added = {}
    meter = LevelReader(added)
    with meter.open():
        early = meter.series(1, counted=True)
        added["late"] = lambda: 7
        early.read()
        late = meter.series(1, counted=True)
        late.read()
    assert "late" not in list(early)
    assert list(late["late"]) == [7]


def test_a_series_knows_its_levels_and_its_growth_per_call():
    levels = iter([0, 0, 0, 100, 300, 500])
    series = LevelSeries(10, lambda: {"memory": next(levels)})
    for _ in range(3):
        series.read()
    assert (list(series["memory"]), series.windows, series.calls) == ([100, 300, 500], 2, 20)
    assert series.growth() == {"memory": pytest.approx(20)}
    assert list(series) == ["memory"]
