"""When a recording is long enough, and the record of it."""

from __future__ import annotations

import pytest

from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Comparison, Measurement, Verdict
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.engine.verdict.stopping import (
    LOOK_PROCESSES,
    MAX_QUICK_PROCESSES,
    MIN_RECORDED_PROCESSES,
    RECORDED_PROCESSES,
    RECORDING_SECONDS,
    judge_look,
    judge_recording,
    measured_slowly,
    to_record,
)

KERNEL = 0.000312345678
SETTINGS = resolve(marker={}, command_line={}, ini={})


def measured(minima, *, lost=0.0, seconds=0.5, kernel=KERNEL, **more):
    samples = {"time": MetricStats.from_rounds("s", tuple((value,) for value in minima)), **more}
    return Measurement(
        samples, {"": 3}, kernel, (kernel,) * len(minima), 1.0, lost, processes=len(minima), seconds=seconds
    )


def recorded(measurement, *, full_pace=KERNEL, final=False):
    return judge_recording("t", measurement, SETTINGS, full_pace=full_pace, final=final)


def test_recording_takes_a_fixed_number_of_processes():
    assert recorded(measured([1e-4] * (RECORDED_PROCESSES - 1))) is None
    comparison = recorded(measured([1e-4] * RECORDED_PROCESSES))
    assert (comparison.verdict, comparison.measurement.notes) == (None, ())


def test_a_slow_test_is_recorded_in_fewer():
    assert recorded(measured([1e-4] * MIN_RECORDED_PROCESSES, seconds=RECORDING_SECONDS)) is not None
    assert recorded(measured([1e-4] * MIN_RECORDED_PROCESSES, seconds=RECORDING_SECONDS - 0.1)) is None
    assert recorded(measured([1e-4] * (MIN_RECORDED_PROCESSES - 1), seconds=60.0)) is None


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_budget_that_ends_a_recording_keeps_what_there_is(count):
    comparison = recorded(measured([1e-4] * count), final=True)
    assert comparison.measurement.processes == count


def test_a_recording_on_a_busy_machine_says_so():
    busy = measured([1e-4] * RECORDED_PROCESSES, lost=0.42, kernel=2 * KERNEL)
    (note,) = recorded(busy).measurement.notes
    assert note.startswith("recorded while other processes had the CPU for up to 42% of the time: comparisons with it")
    assert to_record(busy, source="", commit="").lost == 0.42
    little = measured([1e-4] * RECORDED_PROCESSES, lost=0.10)
    assert recorded(little).measurement.notes == ()
    assert to_record(little, source="", commit="").lost == 0


def test_a_recording_on_a_slow_machine_says_so():
    (note,) = recorded(measured([1e-4] * RECORDED_PROCESSES, kernel=1.4 * KERNEL)).measurement.notes
    assert note.startswith("recorded while the machine was 1.4 times slower than at its best: comparisons with it")
    assert recorded(measured([1e-4] * RECORDED_PROCESSES, kernel=1.1 * KERNEL)).measurement.notes == ()


def test_a_look_takes_a_few_processes_and_judges_nothing():
    assert judge_look("t", measured([1e-4] * (LOOK_PROCESSES - 1)), SETTINGS, final=False) is None
    comparison = judge_look("t", measured([1e-4] * LOOK_PROCESSES), SETTINGS, final=False)
    assert (comparison.verdict, [finding.name for finding in comparison.findings]) == (None, ["time"])


def test_a_quick_look_takes_one_process():
    assert judge_look("t", measured([1e-4]), SETTINGS, final=False, processes=1) is not None


def test_a_quick_look_measures_once_more_where_the_machine_was_slow():
    fast, slow = Comparison("fast", None, (), measured([1e-4])), measured([1e-4], kernel=1.2 * KERNEL)
    assert measured_slowly([fast, Comparison("slow", None, (), slow)]) == ["slow"]
    again = measured([1e-4] * MAX_QUICK_PROCESSES, kernel=1.2 * KERNEL)
    assert measured_slowly([fast, Comparison("again", None, (), again)]) == []
    assert measured_slowly([Comparison("broken", None, broken="it failed")]) == []


def test_an_absolute_budget_is_judged_without_a_baseline():
    tight = resolve(marker={"max_time": "50us"}, command_line={}, ini={})
    assert judge_look("t", measured([1e-4] * LOOK_PROCESSES), tight, final=False) is None, "the next may be faster"
    comparison = judge_look("t", measured([1e-4] * LOOK_PROCESSES), tight, final=True)
    assert comparison.verdict is Verdict.OVER_LIMIT
    assert comparison.findings[-1].name == "max_time"


def test_what_is_kept_has_six_digits():
    kept = to_record(measured([1.23456789e-4]), source="abc", commit="def")
    assert kept.metrics["time"].minima == (0.000123457,)
    assert kept.paces == (0.000312346,)
    assert (kept.kernel, kept.iterations, kept.source, kept.commit) == (0.000312346, {"": 3}, "abc", "def")


@pytest.mark.parametrize(("limit", "over"), [("10KB", False), ("8KB", True)])
def test_a_memory_budget_is_settled_by_two_processes(limit, over):
    settings = resolve(marker={"max_memory": limit}, command_line={}, ini={})
    taken = measured([1e-4] * LOOK_PROCESSES, memory=MetricStats.from_rounds("B", ((9_000.0,),) * 3))
    comparison = judge_look("t", taken, settings, final=False)
    assert (comparison.verdict is Verdict.OVER_LIMIT) is over
