"""Counts are nearly exact: what is judged as what, and when a second process is needed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Comparison, Finding, Measurement, Pairing, Record, Verdict
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.engine.verdict.instructions import (
    COUNT_THRESHOLD,
    judge_counts,
    needs_witness,
    settled_by_counts,
    why_incomparable,
    with_counts,
)

SETTINGS = resolve(marker={}, command_line={}, ini={})
CONDITIONS = "callgrind, CPython 3.11.7"


def stats(*medians):
    return MetricStats("instructions", tuple(medians), tuple(medians), 3 * len(medians))


def record(*medians, **more):
    return Record("", "", 1.0, {"": 5}, {"instructions": stats(*medians)}, **{"counting": CONDITIONS, **more})


def counted(*medians, **more):
    return Measurement(samples={"instructions": stats(*medians)}, **{"counting": CONDITIONS, "busy": 1.0, **more})


def judge(base, now, *, settings=SETTINGS, final=False):
    findings = judge_counts(base, now, settings, final=final)
    return None if findings is None else findings[0]


@pytest.mark.parametrize("now", [100_000, 100_890, 99_200])
def test_one_process_clears_what_is_within_the_limit(now):
    assert judge(record(100_000, 100_010), counted(now)).verdict is Verdict.UNCHANGED


@pytest.mark.parametrize(
    ("recorded", "now", "text"),
    [
        ("callgrind, CPython 3.11.7 a, avx2", "callgrind, CPython 3.12.1 b, avx2",
         "recorded with CPython 3.11.7 a, here with CPython 3.12.1 b"),
        ("callgrind, avx2", "callgrind, avx2, UTF-8 mode", "recorded without this, here with UTF-8 mode"),
        ("callgrind, avx2, x=1", "callgrind, avx2", "recorded with x=1, here without this"),
        ("", "callgrind, avx2", "recorded under unknown ones, here with callgrind, avx2"),
    ],
)  # fmt: skip
def test_only_the_conditions_that_differ_are_named(recorded, now, text):
    found = judge(record(100_000, counting=recorded), counted(100_000, counting=now))
    assert (found.verdict, found.reason) == (None, f"counted under other conditions: {text}")


def test_a_record_of_another_python_has_other_conditions_and_no_other_source():
    """The hash of a source depends on the version of Python."""
    here = replace(record(100_000, counting="a, x"), source="1")
    elsewhere = replace(record(100_000, counting="b, x"), source="2")
    assert why_incomparable([elsewhere], "1", "a, x") == "counted under other conditions: recorded with b, here with a"
    assert why_incomparable([elsewhere, here], "3", "a, x") == "the source of the test changed since it was recorded"
    assert why_incomparable([replace(here, counting="")], "1", "a, x") == "recorded without instructions"


def test_the_baseline_is_that_of_the_processes_compared():
    found = judge(record(100_000, 110_000), counted(100_500))
    assert (found.baseline, found.limit) == (100_000, pytest.approx(110_000))


def test_a_change_is_counted_once_more():
    assert judge(record(100_000, 100_010), counted(105_000)) is None


@pytest.mark.parametrize(
    ("now", "verdict"),
    [
        (100_910, Verdict.REGRESSION),
        (101_500, Verdict.REGRESSION),
        (105_000, Verdict.REGRESSION),
        (95_000, Verdict.IMPROVEMENT),
    ],
)
def test_a_change_in_both_processes_is_one(now, verdict):
    finding = judge(record(100_000, 100_010), counted(now, now + 10))
    assert finding.verdict is verdict
    assert finding.ratio == pytest.approx(now / 100_000, rel=1e-3)


def test_a_change_in_one_of_two_processes_is_none():
    finding = judge(record(100_000, 100_000), counted(102_000, 100_100))
    assert finding.verdict is Verdict.UNCHANGED


def test_a_count_that_varies_is_held_to_a_multiple_of_its_variation():
    finding = judge(record(100_000, 100_000), counted(102_000, 104_000))
    assert finding.verdict is Verdict.UNCHANGED
    assert "differ by 2.0%" in finding.reason
    assert "more than 5.9%" in finding.reason
    assert judge(record(100_000, 100_000), counted(110_000, 112_000)).verdict is Verdict.REGRESSION


def test_a_change_that_the_least_rounds_do_not_show_is_none():
    """As with random work: the medians of both processes are 5 % above, the minima are not."""
    random = MetricStats("instructions", (96_000, 101_000), (105_000, 105_100), 6)
    measurement = Measurement(samples={"instructions": random}, counting=CONDITIONS, busy=1.0)
    base = record(100_000, 100_000)
    assert judge(base, measurement).verdict is Verdict.UNCHANGED


def test_rounds_that_differ_alike_on_both_sides_hide_no_change():
    def growing(factor):
        return MetricStats("instructions", (factor * 50_000,) * 2, (factor * 100_000,) * 2, 6)

    base = replace(record(1), metrics={"instructions": growing(1.0)})
    measurement = Measurement(samples={"instructions": growing(1.02)}, counting=CONDITIONS, busy=1.0)
    assert judge(base, measurement).verdict is Verdict.REGRESSION


def test_what_the_hash_seed_changes_on_both_sides_alike_hides_no_larger_change():
    base = record(100_000, 100_800)
    assert judge(base, counted(101_200, 102_009)).verdict is Verdict.REGRESSION
    base = record(100_000, 103_000)
    assert judge(base, counted(101_200, 104_236)).verdict is Verdict.UNCHANGED


@given(st.floats(0, 0.2), st.floats(0.8, 1.25))
def test_no_change_below_the_variation_is_reported(spread, ratio):
    base = record(100_000.0, 100_000.0 * (1 + spread))
    finding = judge(base, counted(100_000.0 * ratio, 100_000.0 * (1 + spread) * ratio))
    allowed = max(COUNT_THRESHOLD, spread)
    if 1 / (1 + allowed) * 1.001 < ratio < (1 + allowed) * 0.999:
        assert finding.verdict is Verdict.UNCHANGED


def test_the_threshold_of_the_user_counts():
    generous = resolve(marker={"threshold": "20%"}, command_line={}, ini={})
    assert judge(record(100_000), counted(110_000, 110_000), settings=generous).verdict is Verdict.UNCHANGED


def test_counts_of_other_conditions_are_not_compared():
    finding = judge(record(100_000, counting="callgrind, CPython 3.12.1"), counted(200_000))
    assert finding.verdict is None


def test_a_count_without_a_record_is_reported():
    assert judge(None, counted(100_000)).verdict is None


def test_a_test_whose_times_are_not_comparable_has_the_verdict_of_its_counts():
    known = Comparison("t", Verdict.INCOMPARABLE, reason="recorded on another machine class")
    finding = judge(record(100_000, 100_000), counted(105_000, 105_000))
    merged = with_counts(known, [finding], counted(105_000, 105_000), {"instructions": ["f: 1 -> 2"]})
    assert merged.verdict is Verdict.REGRESSION
    assert merged.findings[0].details == ("f: 1 -> 2",)
    assert "times were not compared: recorded on another machine class" in merged.measurement.notes


def test_the_most_severe_finding_is_the_verdict():
    time = Finding("time", "s", Verdict.UNCHANGED, 1.0, 1.0)
    known = Comparison("t", Verdict.UNCHANGED, (time,))
    finding = judge(record(100_000, 100_000), counted(105_000, 105_000))
    assert with_counts(known, [finding], counted(105_000, 105_000), {}).verdict is Verdict.REGRESSION


# The second witness


def suspect(verdict, ratio, count, *, busy=1.0, paces=(1.0,), lost=0.0, pairing=None):
    """A test whose time is suspect by the file, with the counts of both processes."""
    time = Finding("time", "s", verdict, ratio, 1.0, reason="not decided")
    measurement = counted(count, count, busy=busy, paces=paces, lost=lost)
    finding = judge(record(100_000, 100_000), measurement, final=True)
    return Comparison("t", verdict, (time, finding), measurement, pairing=pairing)


def test_more_instructions_confirm_a_slower_time():
    settled = settled_by_counts(suspect(Verdict.INCONCLUSIVE, 1.12, 112_000), record(100_000))
    assert settled.verdict is Verdict.REGRESSION
    assert settled.findings[0].reason == "confirmed by its count of instructions"


def test_equal_instructions_clear_an_open_time():
    settled = settled_by_counts(suspect(Verdict.INCONCLUSIVE, 1.12, 100_000), record(100_000))
    assert settled.verdict is Verdict.UNCHANGED
    assert "executes no more instructions" in settled.findings[0].reason


@pytest.mark.parametrize(("paces", "lost"), [((1.5, 1.4), 0.0), ((1.0,), 0.4)])
def test_equal_instructions_clear_a_slowdown_on_a_slow_machine(paces, lost):
    slow = suspect(Verdict.REGRESSION, 1.8, 100_000, paces=paces, lost=lost)
    assert settled_by_counts(slow, record(100_000)).verdict is Verdict.UNCHANGED


@pytest.mark.parametrize("verdict", [Verdict.REGRESSION, Verdict.INCONCLUSIVE])
def test_a_clear_slowdown_at_full_speed_stands(verdict):
    """Caches and waiting do not show in counts."""
    suspected = suspect(verdict, 1.8, 100_000)
    assert settled_by_counts(suspected, record(100_000)) == suspected


def test_a_test_that_waits_is_not_cleared():
    waiting = suspect(Verdict.INCONCLUSIVE, 1.12, 100_000, busy=0.3)
    assert settled_by_counts(waiting, record(100_000)) == waiting


def test_a_pair_has_the_last_word():
    pairing = Pairing("main", Measurement(), "", pinned=True)
    paired = suspect(Verdict.INCONCLUSIVE, 1.12, 100_000, pairing=pairing)
    assert not needs_witness(paired)
    assert settled_by_counts(paired, record(100_000)) == paired


def test_only_open_and_suspect_times_need_a_witness():
    assert needs_witness(suspect(Verdict.INCONCLUSIVE, 1.1, 100_000))
    unchanged = Comparison("t", Verdict.UNCHANGED, (Finding("time", "s", Verdict.UNCHANGED, 1.0, 1.0),))
    assert not needs_witness(unchanged)
    assert not needs_witness(replace(unchanged, broken="SIGSEGV"))
