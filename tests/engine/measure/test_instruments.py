"""The instruments read their meters around the right calls."""

from __future__ import annotations

import tracemalloc
from statistics import median

import pytest

from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.measure import instruments as module
from pytest_perfguard.engine.measure.executor import RUN_SETUP, execute
from pytest_perfguard.engine.measure.instruments import (
    INSTRUMENTS,
    read_blocks,
    read_calibrated,
    read_memory,
    read_time,
)
from pytest_perfguard.engine.measure.stack_offset import stack_offset
from pytest_perfguard.engine.measure.user_metrics import UserMetrics


def readings_of(instrument, call, setup=None):
    """Drive an instrument; its return value."""
    kept = {}

    def steps():
        kept.update((yield from instrument))

    execute(steps(), call, setup)
    return kept


def test_times_are_totals_of_a_round():
    instrument = read_time(7, 2, UserMetrics(tuple))
    script = [next(instrument)]
    script.append(instrument.send(Timing(0, 0)))
    script.append(instrument.send(Timing(700, 300)))
    script.append(instrument.send(Timing(0, 0)))
    with pytest.raises(StopIteration) as stop:
        instrument.send(Timing(800, 400))
    assert [step.iterations for step in script] == [0, 7, 0, 7]
    readings = stop.value.value
    assert (readings["time"], readings["cpu"], len(readings["setup"])) == ([700, 800], [300, 400], 2)


def test_time_leaves_out_what_other_processes_took():
    instrument = read_time(1, 1, UserMetrics(tuple))
    next(instrument)
    instrument.send(Timing(0, 0))
    with pytest.raises(StopIteration) as stop:
        instrument.send(Timing(1000, 600, lost_ns=400))
    readings = stop.value.value
    assert (readings["time"], readings["cpu"], readings["lost"]) == ([600], [600], [400])


@pytest.mark.parametrize("name", ["time", "calibrated", "warmed", "load"])
def test_every_round_has_a_stack_offset_of_its_own(name):
    """That of its place among all rounds of the test; untimed calls before it are made at the same."""
    instrument, offsets = INSTRUMENTS[name](2, 3, UserMetrics(tuple), 5), []
    step = next(instrument)
    with pytest.raises(StopIteration):
        while True:
            offsets += [step.offset] if step.iterations else []
            step = instrument.send(Timing(10, 10))
    assert offsets == [stack_offset(5 + index) for index in range(3) for _ in range(1 + (name == "warmed"))]


def test_the_peak_is_that_of_one_round_above_its_start():
    peaks = readings_of(read_memory(1, 3, UserMetrics(tuple)), lambda: bytes(1_000_000))["memory"]
    assert all(1_000_000 <= peak < 1_010_000 for peak in peaks)


def test_what_setup_allocates_does_not_count():
    kept = []
    peaks = readings_of(read_memory(1, 2, UserMetrics(tuple)), lambda: None, lambda: kept.append(bytes(1_000_000)))[
        "memory"
    ]
    assert max(peaks) < 10_000


def test_tracing_ends_with_the_pass():
    readings_of(read_memory(1, 1, UserMetrics(tuple)), lambda: None)
    assert not tracemalloc.is_tracing()


def test_tracing_that_was_on_before_stays_on():
    tracemalloc.start()
    try:
        readings_of(read_memory(1, 1, UserMetrics(tuple)), lambda: None)
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()


def test_retained_blocks_are_counted_and_temporaries_are_not():
    """In the middle round: what other tests have left may die in one of them."""
    kept = []
    retained = median(readings_of(read_blocks(50, 5, UserMetrics(tuple)), lambda: kept.append(object()))["blocks"])
    passing = median(
        readings_of(read_blocks(50, 5, UserMetrics(tuple)), lambda: len([object() for _ in range(100)]))["blocks"]
    )
    assert abs(retained - passing - 50) < 10


def test_the_pace_of_a_round_is_the_slower_kernel_beside_it(monkeypatch):
    kernels = iter([5, 3, 9, 4])
    monkeypatch.setattr(module, "_time_kernel", lambda: next(kernels))
    assert readings_of(read_calibrated(1, 3, UserMetrics(tuple)), lambda: None)["kernel"] == [5, 9, 9]


#: They count instructions, and need valgrind around the process or a counter of the CPU: tests/engine/instructions.
COUNTERS = {"callgrind", "hardware"}


@pytest.mark.parametrize("name", sorted({*INSTRUMENTS} - {"tails"} - COUNTERS))
def test_every_instrument_gives_one_whole_number_per_round(name):
    """The contract that the protocol checks."""
    readings = readings_of(INSTRUMENTS[name](2, 3, UserMetrics(tuple)), lambda: None)
    assert ("time" if name in ("calibrated", "warmed") else name) in readings
    assert all(len(values) == 3 and all(isinstance(value, int) for value in values) for values in readings.values())


def test_preparing_is_no_call():
    assert RUN_SETUP.iterations == 0
