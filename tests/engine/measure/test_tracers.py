"""Profilers and tracers are paused and put back as they were, whatever kind of object they are."""

from __future__ import annotations

import cProfile
import pstats
import signal
import subprocess
import sys
import threading
import tracemalloc

import pytest

from pytest_perfguard.engine.measure import tracers
from pytest_perfguard.engine.measure.tracers import pause_time_limits, pause_tracers, unpausable_tracers
from pytest_perfguard.engine.runner.accumulator import MeasurementBuilder
from pytest_perfguard.engine.verdict.comparability import different_conditions
from pytest_perfguard.engine.verdict.stopping import to_record


def measured():
    return sum(range(100))


def seen():
    return sum(range(10))


def test_cprofile_is_paused_and_goes_on():
    profile = cProfile.Profile()
    profile.enable()
    try:
        seen()
        with pause_tracers():
            measured()
        seen()
    finally:
        profile.disable()
    calls = {name: entry[0] for (_file, _line, name), entry in pstats.Stats(profile).stats.items()}
    assert calls.get("seen") == 2
    assert "measured" not in calls


def test_functions_are_paused_and_put_back():
    def trace(*_arguments):
        return None

    before = sys.gettrace(), threading.gettrace()
    sys.settrace(trace)
    threading.settrace(trace)
    try:
        with pause_tracers():
            inside = sys.gettrace(), threading.gettrace()
        after = sys.gettrace(), threading.gettrace()
    finally:
        sys.settrace(before[0])
        threading.settrace(before[1])
    assert inside == (None, None)
    assert after == (trace, trace)


class Switched:
    """As VizTracer's."""

    def __init__(self):
        self.log = []

    def pause(self):
        self.log.append("pause")

    def resume(self):
        self.log.append("resume")


class Stuck:
    """As pyinstrument's: neither callable nor to be switched."""


@pytest.fixture
def profiler(monkeypatch):
    """This object stands for what C code has installed; what is installed instead is noted."""

    def start(active):
        installed = []
        monkeypatch.setattr(tracers.sys, "getprofile", lambda: active)
        monkeypatch.setattr(tracers.sys, "setprofile", installed.append)
        return installed

    return start


def test_an_object_with_a_switch_is_switched(profiler):
    active = Switched()
    installed = profiler(active)
    with pause_tracers():
        assert active.log == ["pause"]
    assert active.log == ["pause", "resume"]
    assert installed == []
    assert unpausable_tracers() == []


def test_what_cannot_be_put_back_is_left_alone_and_named(profiler):
    installed = profiler(Stuck())
    with pause_tracers():
        pass
    assert installed == []
    assert unpausable_tracers() == [f"the profiler {__name__}.Stuck cannot be paused"]


def test_where_none_is_seen_none_is_removed(profiler):
    """C code may have installed one without an object (yappi): to remove it could not be undone."""
    installed = profiler(None)
    with pause_tracers():
        pass
    assert installed == []


def test_tracemalloc_is_in_the_way():
    assert unpausable_tracers() == []
    tracemalloc.start()
    try:
        assert unpausable_tracers() == ["tracemalloc is tracing"]
    finally:
        tracemalloc.stop()


def test_memray_is_recognised_by_what_it_gives_to_new_threads(monkeypatch):
    def start_thread_trace(*_arguments):
        return None

    start_thread_trace.__module__ = "memray._memray"
    monkeypatch.setattr(tracers.threading, "getprofile", lambda: start_thread_trace)
    assert unpausable_tracers() == ["memray is tracking allocations"]


def test_the_real_memray(tmp_path):
    memray = pytest.importorskip("memray", reason="needs memray")
    with memray.Tracker(tmp_path / "out.bin"):
        assert unpausable_tracers() == ["memray is tracking allocations"]
    assert unpausable_tracers() == []


@pytest.mark.parametrize(
    ("flags", "environment", "reported"),
    [
        (["-X", "dev"], {}, "development mode"),
        ([], {"PYTHONMALLOC": "debug"}, "PYTHONMALLOC is debug"),
        ([], {"PYTHONMALLOC": "malloc"}, "[]"),
        (["-X", "tracemalloc"], {}, "tracemalloc is tracing"),
    ],
)
def test_settings_of_the_interpreter_are_reported(flags, environment, reported):
    program = "from pytest_perfguard.engine.measure.tracers import unpausable_tracers; print(unpausable_tracers())"
    done = subprocess.run(
        [sys.executable, *flags, "-c", program], capture_output=True, text=True, check=True, env=environment
    )
    assert reported in done.stdout


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")
def test_an_alarm_waits_until_the_measurement_is_over():
    heard = []
    before = signal.signal(signal.SIGALRM, lambda *_: heard.append("alarm"))
    try:
        signal.setitimer(signal.ITIMER_REAL, 30)
        with pause_time_limits():
            assert signal.getitimer(signal.ITIMER_REAL)[0] == 0
        assert 0 < signal.getitimer(signal.ITIMER_REAL)[0] <= 30
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert heard == []


def test_a_measurement_under_an_instrument_is_no_match_for_one_without():
    def tallied(*names):
        tally = MeasurementBuilder({})
        tally.note_interferences(names)
        tally.close_process(0.0)
        return tally.measurement

    plain, traced = tallied(), tallied("memray is tracking allocations")
    assert "memray is tracking allocations" in traced.notes[0]
    record = to_record(plain, source="", commit="")
    assert "cannot be paused" in different_conditions(record, traced)
    assert different_conditions(record, plain) is None
    assert different_conditions(to_record(traced, source="", commit=""), traced) is None
    assert "instrumented" not in plain.conditions  # files of earlier versions stay as they are
