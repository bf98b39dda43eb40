"""Verdicts against a stored baseline: synthetic numbers with known answers."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Measurement, Record, Verdict
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.engine.verdict.comparability import changed_source
from pytest_perfguard.engine.verdict.stored import (
    MAX_PROCESSES,
    PROCESS_LOOKS,
    SCREENED,
    judge_stored,
    time_threshold,
    unsettled_spread,
)

SETTINGS = resolve(marker={}, command_line={}, ini={})
KERNEL = 300e-6
PROCESSES = 20


#: Processes of a baseline, twelve at full speed and three while the machine was slower.
TIGHT = (*(1 + index / 1000 for index in range(12)), 1.2, 1.4, 1.6)


def record(*, time=100e-6, spread=TIGHT, kernel=KERNEL, memory=None, **metrics) -> Record:
    """A baseline whose processes found a floor at `time`."""
    kept = {"time": recorded([time * factor for factor in spread], "s")}
    if memory is not None:
        kept["memory"] = recorded([memory], "B")
    kept |= metrics
    return Record("hash", "abc", kernel, {"": 5}, kept, {}, paces_of(spread, kernel))


def paces_of(factors, kernel=KERNEL):
    """The kernel beside processes that took so many times as long: from a tenth on, the machine was slower."""
    return tuple(kernel * (factor if factor >= 1.1 else 1.0) for factor in factors)


def recorded(minima, unit):
    return MetricStats(unit, tuple(minima), tuple(minima), 40 * len(minima))


def measured(minima, *, kernel=KERNEL, memory=None, name="time", busy=1.0, **more) -> Measurement:
    """A candidate with these minima, one per process."""
    samples = {name: MetricStats.from_rounds("s", tuple((value, value * 1.1) for value in minima))} if minima else {}
    if memory is not None:
        samples["memory"] = MetricStats.from_rounds("B", tuple((value,) for value in memory))
    count = len(minima) or len(memory)
    return Measurement(samples | more, {"": 5}, kernel, (kernel,) * count, busy, processes=count, seconds=1.0)


def judge(base, now, *, settings=SETTINGS, final=True, screen=False):
    return judge_stored("t", base, now, settings, final=final, screen=screen)


def verdict(*args, **kwargs):
    comparison = judge(*args, **kwargs)
    return comparison.verdict if comparison else None


#: Five processes at full speed, and fifteen while the machine was slower.
FLOOR_AT = [1.0, 1.001, 1.003, 1.004, 1.006, *[1.4] * (PROCESSES - 5)]


def all_processes(factor):
    """Twenty processes, five of which reach the same floor."""
    now = measured([100e-6 * factor * spread for spread in FLOOR_AT])
    return replace(now, paces=paces_of(FLOOR_AT))


def at_pace(now, factor):
    """The same, measured while the kernel took so many times as long."""
    return replace(now, kernel=now.kernel * factor, paces=tuple(pace * factor for pace in now.paces))


def test_one_round_that_comes_down_to_the_baseline_clears_a_test():
    """However slow the others were: interference only ever slows code down."""
    assert verdict(record(), measured([160e-6, 104e-6]), final=False) is Verdict.UNCHANGED


def test_a_test_above_its_limit_is_undecided_until_the_last_process():
    assert judge(record(), measured([110e-6]), final=False) is None


def test_a_test_that_never_comes_down_is_a_regression():
    comparison = judge(record(), all_processes(1.10))
    finding = comparison.findings[0]
    assert comparison.verdict is Verdict.REGRESSION
    assert finding.ratio == pytest.approx(1.10, abs=0.005)
    assert finding.limit == pytest.approx(105e-6)
    assert finding.interval[0] <= 1.10 <= finding.interval[1]


@pytest.mark.parametrize(("factor", "expected"), [(1.049, Verdict.UNCHANGED), (1.06, Verdict.REGRESSION)])
def test_the_threshold_is_the_line(factor, expected):
    assert verdict(record(), all_processes(factor)) is expected


def test_a_faster_test_is_an_improvement():
    faster = [90e-6 * factor for factor in (1.0, 1.004, 1.002, 1.001)]
    assert judge(record(), measured(faster[:3]), final=False) is None
    assert verdict(record(), measured(faster), final=False) is Verdict.IMPROVEMENT


def test_a_lucky_process_is_no_improvement():
    assert verdict(record(), measured([90e-6, 100e-6, 101e-6, 100.5e-6])) is Verdict.UNCHANGED


def test_a_machine_below_its_recorded_speed_leaves_a_suspect_inconclusive():
    finding = judge(record(), at_pace(all_processes(1.10), 1.2)).findings[0]
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert (
        finding.reason == "the machine never reached its recorded speed: the calibration kernel took 1.20 times as long"
    )
    assert 1.2 < finding.smallest < 1.6


@pytest.mark.parametrize("slower", [1.0, 1.02, 1.08])
def test_a_machine_a_little_below_its_recorded_speed_is_fit(slower):
    assert verdict(record(), at_pace(all_processes(1.20), slower)) is Verdict.REGRESSION


@pytest.mark.parametrize("seconds", [150e-6, 180e-6])
def test_what_the_speed_of_the_machine_explains_is_no_regression(seconds):
    """The kernel took 1.8 times as long: so may any code."""
    now = at_pace(measured([seconds] * PROCESSES), 1.8)
    assert verdict(record(), now) is Verdict.INCONCLUSIVE
    assert verdict(record(), measured([seconds] * PROCESSES)) is Verdict.REGRESSION


@pytest.mark.parametrize(("slower", "expected"), [(1.4, Verdict.INCONCLUSIVE), (3.0, Verdict.REGRESSION)])
def test_another_speed_is_possible_where_no_kernel_was_recorded(slower, expected):
    old = replace(record(), kernel=0.0, paces=())
    assert verdict(old, measured([100e-6 * slower] * PROCESSES)) is expected


def test_a_crowded_machine_is_held_to_less():
    now = measured([100e-6 * 1.2] * PROCESSES)
    assert verdict(record(), now) is Verdict.REGRESSION
    assert verdict(record(), replace(now, lost=0.3)) is Verdict.INCONCLUSIVE
    assert verdict(record(), replace(measured([150e-6] * PROCESSES), lost=0.3)) is Verdict.REGRESSION


def test_a_wait_does_not_follow_the_speed_of_the_machine():
    """At half speed a computation of 100 us takes 200 us; a wait takes as long as before."""
    slow = at_pace(measured([200e-6] * PROCESSES, busy=0.05), 2.0)
    assert verdict(record(), slow) is Verdict.REGRESSION
    assert verdict(record(), replace(slow, busy=1.0)) is Verdict.INCONCLUSIVE


def test_no_slow_machine_explains_a_test_four_times_slower():
    assert verdict(record(), replace(all_processes(4.0), kernel=KERNEL * 1.3)) is Verdict.REGRESSION


def test_a_baseline_from_a_slow_moment_of_the_machine_cannot_clear_a_test():
    """Its bar is too high to see a slowdown."""
    slow_then = record(kernel=KERNEL * 1.5)
    assert judge(slow_then, measured([100e-6]), final=False) is None
    assert verdict(slow_then, measured([100e-6] * PROCESSES)) is Verdict.REGRESSION, "at two thirds of the speed then"
    finding = judge(slow_then, measured([85e-6] * PROCESSES)).findings[0]
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "record it again" in finding.reason
    assert verdict(slow_then, measured([70e-6])) is Verdict.UNCHANGED


def test_a_clear_difference_is_told_at_the_first_look():
    doubled = measured([200e-6] * PROCESS_LOOKS[0])
    assert verdict(record(), doubled, final=False) is Verdict.REGRESSION
    assert judge(record(), measured([200e-6] * (PROCESS_LOOKS[0] - 1)), final=False) is None
    assert judge(record(), measured([200e-6] * (PROCESS_LOOKS[0] + 1)), final=False) is None, "not between two looks"


def test_a_baseline_whose_processes_differ_is_ranked():
    """As with code that memory layout moves by 10 %: one lucky process is not the rule."""
    loose = record(spread=tuple(1 + index / 100 for index in range(15)))
    finding = judge(loose, all_processes(1.10)).findings[0]
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "differ from one another" in finding.reason
    assert verdict(loose, all_processes(1.20)) is Verdict.REGRESSION


def test_only_processes_at_full_pace_are_ranked():
    """The slow phases of the machine, when the baseline was recorded, widen nothing."""
    spread = (*TIGHT[:12], *[1.5] * 15)
    base = replace(record(spread=spread), paces=(*[KERNEL] * 12, *[KERNEL * 1.4] * 15))
    assert verdict(base, all_processes(1.10)) is Verdict.REGRESSION
    assert verdict(replace(base, paces=(KERNEL,) * 27), all_processes(1.10)) is Verdict.INCONCLUSIVE


def test_without_processes_at_full_pace_only_large_slowdowns_are_seen():
    now = at_pace(measured([120e-6] * PROCESSES), 1.3)
    assert verdict(record(), now) is Verdict.INCONCLUSIVE
    assert verdict(record(), at_pace(measured([200e-6] * PROCESSES), 1.3)) is Verdict.REGRESSION


@pytest.mark.parametrize("seconds", [110e-6, 260e-6])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_fewer_processes_than_a_look_takes_say_so(seconds, count):
    finding = judge(record(), measured([seconds] * count)).findings[0]
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.reason == f"{count} of the 4 processes that a verdict without pairs needs"


def test_doubts_buy_more_processes():
    """A machine that was slow for twelve processes may be at full speed in the next."""
    suspect = at_pace(measured([110e-6] * 12), 1.3)
    assert judge(record(), suspect, final=False) is None
    assert verdict(record(), measured([110e-6] * 12), final=False) is Verdict.REGRESSION


def test_processes_without_a_common_floor_leave_a_suspect_inconclusive():
    """As with files: 71 us in one process and 240 us in another."""
    wild = measured([100e-6 * (1.2 + 0.1 * index) for index in range(PROCESSES)], busy=0.6)
    finding = judge(record(), wild).findings[0]
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert "no common minimum" in finding.reason
    assert finding.smallest > 2


def test_a_floor_is_a_minimum_that_three_processes_share():
    assert unsettled_spread([1.0, 1.01, 1.02, 3.0]) == 1.0
    assert unsettled_spread([1.0, 1.03, 1.05]) == pytest.approx(1.03)


def test_the_absolute_floor_protects_tiny_tests():
    """2 ns of 20 ns are 10 %, and nothing."""
    tiny = record(time=20e-9)
    assert verdict(tiny, measured([21.9e-9] * PROCESSES)) is Verdict.UNCHANGED
    assert verdict(tiny, measured([22.3e-9] * PROCESSES)) is Verdict.REGRESSION


def test_a_long_call_is_held_to_ten_percent():
    """Its rounds do not fit into the machine's fast moments."""
    slow = record(time=5e-3)
    assert verdict(slow, measured([5.4e-3] * PROCESSES)) is Verdict.UNCHANGED
    assert verdict(slow, measured([5.6e-3] * PROCESSES)) is Verdict.REGRESSION
    assert time_threshold(resolve(marker={"threshold": "30%"}, command_line={}, ini={}), 5e-3) == 0.3


def test_the_threshold_of_the_user_counts():
    generous = resolve(marker={"threshold": "20%"}, command_line={}, ini={})
    assert verdict(record(), all_processes(1.15), settings=generous) is Verdict.UNCHANGED


@pytest.mark.parametrize(
    ("base", "now", "expected"),
    [
        (10_000, [11_100] * 3, Verdict.REGRESSION),
        (10_000, [11_000] * 3, Verdict.UNCHANGED),
        (1_000_000, [1_030_000] * 3, Verdict.REGRESSION),
        (1_000_000, [1_019_000] * 3, Verdict.UNCHANGED),
        (1_000_000, [900_000], Verdict.IMPROVEMENT),
        (1_000_000, [900_000, 1_000_000], Verdict.UNCHANGED),
        (1_000_000, [1_030_000, 1_030_000, 1_001_000], Verdict.UNCHANGED),
    ],
)
def test_memory_has_tight_limits_and_no_statistics(base, now, expected):
    """2 % and 1 KiB; three processes settle it."""
    candidate = measured([100e-6] * len(now), memory=now)
    comparison = judge(record(memory=base), candidate, final=False)
    finding = next(finding for finding in comparison.findings if finding.name == "memory")
    assert finding.verdict is expected


def test_one_process_with_more_memory_is_not_yet_a_regression():
    assert judge(record(memory=10_000), measured([100e-6] * 2, memory=[50_000] * 2), final=False) is None


def test_memory_that_was_low_by_luck_is_no_baseline():
    """One process of the baseline, or of the candidate, is not the rule."""
    base = record(memory=1, sparse=recorded([968.0, 3_000.0, 3_100.0], "B"))
    base = replace(base, metrics={"time": base.metrics["time"], "memory": base.metrics["sparse"]})
    assert verdict(base, measured([100e-6] * 3, memory=[4_000] * 3)) is Verdict.UNCHANGED
    assert verdict(base, measured([100e-6] * 3, memory=[4_200] * 3)) is Verdict.REGRESSION


def test_memory_from_nothing_is_a_regression_without_a_ratio():
    comparison = judge(record(memory=0), measured([100e-6] * 3, memory=[9_000] * 3))
    finding = next(finding for finding in comparison.findings if finding.name == "memory")
    assert (finding.verdict, finding.ratio, finding.interval) == (Verdict.REGRESSION, None, None)


def test_a_block_kept_by_every_call_is_growth():
    base = record(blocks=recorded([0.0], "blocks"))
    for kept, expected in ((0.8, Verdict.UNCHANGED), (1.0, Verdict.REGRESSION)):
        now = measured([100e-6] * 3, blocks=MetricStats.from_rounds("blocks", ((kept,),) * 3))
        assert verdict(base, now) is expected


@pytest.mark.parametrize("count", [1, 2])
def test_memory_of_few_processes_settles_nothing(count):
    """One of a dozen processes is the highest by luck once in a dozen times."""
    comparison = judge(record(memory=10_000), measured([100e-6] * count, memory=[50_000] * count))
    assert comparison.verdict is Verdict.INCONCLUSIVE
    assert ("the only process" if count == 1 else "each of the 2 processes") + " that the budget allowed" in next(
        finding.reason for finding in comparison.findings if finding.name == "memory"
    )


def test_one_metric_is_enough_to_fail():
    comparison = judge(record(memory=10_000), measured([100e-6] * 3, memory=[50_000] * 3))
    assert comparison.verdict is Verdict.REGRESSION
    assert {finding.name: str(finding.verdict) for finding in comparison.findings} == {
        "memory": "regression",
        "time": "unchanged",
    }


def test_cpu_time_counts_in_proportion_to_the_time_of_the_test():
    """40 % more of 300 us of CPU in a wait of 30 ms is nothing; as much more of a computation is a regression."""
    waits = record(time=30e-3, cpu=recorded([300e-6] * 15, "s"))
    now = measured([30e-3] * PROCESSES, cpu=MetricStats.from_rounds("s", ((420e-6,),) * PROCESSES), busy=0.01)
    assert verdict(waits, now) is Verdict.UNCHANGED
    computes = record(time=300e-6, cpu=recorded([300e-6] * 15, "s"))
    now = measured([300e-6] * PROCESSES, cpu=MetricStats.from_rounds("s", ((420e-6,),) * PROCESSES))
    assert verdict(computes, now) is Verdict.REGRESSION


@pytest.mark.parametrize("name", ["single", "collector"])
def test_other_conditions_are_incomparable(name):
    base = replace(record(), conditions={"single": False, "collector": True})
    now = replace(measured([100e-6]), conditions={"single": False, "collector": True} | {name: name == "single"})
    assert verdict(base, now, final=False) is Verdict.INCOMPARABLE
    assert verdict(base, replace(now, conditions=dict(base.conditions)), final=False) is Verdict.UNCHANGED


def test_a_clock_too_coarse_for_the_baseline_accuses_nobody():
    base = record(cpu=recorded([0.0, 0.0], "s"))
    now = measured([100e-6] * PROCESSES, cpu=MetricStats.from_rounds("s", ((90e-6,),) * PROCESSES))
    assert verdict(base, now) is Verdict.INCONCLUSIVE


def test_a_long_call_is_cleared_whatever_the_kernels_beside_it_met():
    assert verdict(record(time=3.0, kernel=KERNEL * 1.5), measured([3.0])) is Verdict.UNCHANGED


def test_other_measurement_points_are_incomparable():
    comparison = judge(record(), measured([100e-6], name="time:parse"), final=False)
    assert comparison.verdict is Verdict.INCOMPARABLE
    assert "no metric in common" in comparison.reason


def test_a_new_point_beside_the_old_is_incomparable():
    now = measured([100e-6], **{"time:parse": MetricStats.from_rounds("s", ((1.0,),))})
    now = replace(now, iterations={"": 5, "parse": 5})
    comparison = judge(record(), now, final=False)
    assert comparison.verdict is Verdict.INCOMPARABLE
    assert "not recorded: time:parse" in comparison.reason


def test_a_metric_that_was_never_recorded_is_left_out():
    comparison = judge(record(), measured([100e-6], memory=[1e9]), final=False)
    assert [finding.name for finding in comparison.findings] == ["time"]


def test_metrics_that_the_user_does_not_want_are_left_out():
    only_time = resolve(marker={"metrics": "time"}, command_line={}, ini={})
    assert verdict(record(memory=1), measured([100e-6]), settings=only_time, final=False) is Verdict.UNCHANGED


def test_a_changed_test_is_another_benchmark():
    assert "source of the test changed" in changed_source(record(), "other")
    assert changed_source(record(), "hash") is None
    assert changed_source(record(), "") is None


def drawn(dice, seconds, count):
    """(minima, paces) of processes on a machine with two speeds: code follows the kernel by its square root at least."""
    speeds = [1.0 if dice.random() < 0.6 else dice.uniform(1.1, 1.6) for _ in range(count)]
    minima = [seconds * math.exp(dice.gauss(0, 0.02)) * speed ** dice.uniform(0.5, 1) for speed in speeds]
    return minima, tuple(KERNEL * speed * dice.uniform(1, 1.01) for speed in speeds)


def sequential(dice, seconds):
    """The verdict as the runner reaches it: process by process, done as soon as it is decided."""
    then, paces = drawn(dice, 100e-6, 10)
    base = Record("hash", "abc", min(paces), {"": 5}, {"time": recorded(then, "s")}, {}, paces)
    minima, paces = drawn(dice, seconds, MAX_PROCESSES)
    for count in range(1, MAX_PROCESSES + 1):
        now = replace(measured(minima[:count]), kernel=min(paces[:count]), paces=paces[:count])
        comparison = judge(base, now, final=count == MAX_PROCESSES)
        if comparison is not None:
            return comparison.verdict
    raise AssertionError("undecided after the last process")


def unseen_minima(dice, seconds, count):
    """Processes of a machine with two speeds 1.6 apart that the kernel beside them does not show."""
    return [
        seconds * dice.uniform(1.0, 1.008) * (1.0 if dice.random() < 0.6 else dice.uniform(1.1, 1.6))
        for _ in range(count)
    ]


def unseen(dice, base, seconds):
    """As `sequential`, with this baseline, and every kernel at its best."""
    minima = unseen_minima(dice, seconds, MAX_PROCESSES)
    for count in range(1, MAX_PROCESSES + 1):
        comparison = judge(base, measured(minima[:count]), final=count == MAX_PROCESSES)
        if comparison is not None:
            return comparison.verdict
    raise AssertionError("undecided after the last process")


@pytest.fixture(scope="module")
def found_unseen():
    """500 verdicts each on identical code, and on code that is 10 % slower."""
    dice = random.Random(7)
    bases = [
        replace(record(spread=sorted(unseen_minima(dice, 1.0, PROCESSES))), paces=(KERNEL,) * PROCESSES)
        for _ in range(50)
    ]
    return [[unseen(dice, dice.choice(bases), seconds) for _ in range(500)] for seconds in (100e-6, 110e-6)]


def test_identical_code_raises_no_alarm_where_no_kernel_shows_the_speed(found_unseen):
    """500 made-up tests; the level allows 0.1 % of them."""
    assert found_unseen[0].count(Verdict.REGRESSION) <= 2


def test_a_slowdown_is_hardly_ever_called_unchanged_where_no_kernel_shows_the_speed(found_unseen):
    """Processes that differ by 60 % for no reason that is seen leave 10 % open."""
    assert found_unseen[1].count(Verdict.UNCHANGED) <= 5, "one in a hundred"


def test_identical_code_raises_no_alarm():
    """500 made-up tests; the level allows 0.1 % of them."""
    dice = random.Random(7)
    found = [sequential(dice, 100e-6) for _ in range(500)]
    assert found.count(Verdict.REGRESSION) <= 1
    assert found.count(Verdict.IMPROVEMENT) <= 1
    assert found.count(Verdict.INCONCLUSIVE) <= 10


@pytest.mark.parametrize(("factor", "least"), [(1.1, 185), (1.3, 198), (1.5, 200), (2.0, 200)])
def test_a_true_slowdown_is_found(factor, least):
    dice = random.Random(8)
    assert [sequential(dice, 100e-6 * factor) for _ in range(200)].count(Verdict.REGRESSION) >= least


def test_the_screen_clears_in_two_processes_or_leaves_it_to_pairs():
    assert verdict(record(), measured([104e-6]), final=False, screen=True) is Verdict.UNCHANGED
    assert judge(record(), measured([110e-6]), final=False, screen=True) is None
    comparison = judge(record(), measured([110e-6] * SCREENED), final=False, screen=True)
    assert (comparison.verdict, comparison.findings[0].reason) == (Verdict.INCONCLUSIVE, "not clearly unchanged")


@pytest.mark.parametrize(
    ("base", "factor", "expected"),
    [
        (100e-6, 1.025, Verdict.UNCHANGED),
        (100e-6, 1.04, Verdict.INCONCLUSIVE),
        (100e-6, 0.975, Verdict.UNCHANGED),
        (100e-6, 0.95, Verdict.INCONCLUSIVE),
        (5e-3, 1.04, Verdict.INCONCLUSIVE),  # the file would accept 10 % of such a call
    ],
)
def test_the_screen_leaves_to_pairs_what_they_can_detect(base, factor, expected):
    now = measured([base * factor] * SCREENED)
    assert verdict(record(time=base), now, settings=SETTINGS.for_pairs(), final=False, screen=True) is expected


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.5, 10.0])
def test_the_screen_calls_nothing_changed(factor):
    """Even an obvious one: pairs measure its size."""
    now = measured([100e-6 * factor] * SCREENED)
    assert verdict(record(), now, final=False, screen=True) is Verdict.INCONCLUSIVE


def test_the_screen_clears_nothing_that_was_recorded_on_a_busy_machine():
    """A baseline that is too slow by 6 % would clear a slowdown of 6 %."""
    base = replace(record(), lost=0.3)
    comparison = judge(base, measured([100e-6]), final=False, screen=True)
    assert comparison.verdict is Verdict.INCONCLUSIVE
    assert comparison.findings[0].reason == "the machine was busy when the baseline was recorded"


@pytest.mark.parametrize(
    ("base", "factor", "speed", "expected"),
    [
        (100e-6, 1.0, 1.05, Verdict.UNCHANGED),
        (100e-6, 1.0, 1.68, Verdict.INCONCLUSIVE),  # identical code takes 1.30 times as long there, or longer
        (100e-6, 1.04, 1.15, Verdict.UNCHANGED),
        (100e-6, 1.0, 0.9, Verdict.INCONCLUSIVE),  # the machine is faster: a slowdown
        (30e-3, 1.0, 1.68, Verdict.UNCHANGED),  # a long call runs at many speeds
    ],
)
def test_the_screen_clears_no_improvement_that_a_slow_machine_hides(base, factor, speed, expected):
    now = replace(measured([base * factor] * SCREENED), paces=(speed * KERNEL,) * SCREENED)
    assert verdict(record(time=base), now, screen=True) is expected


@pytest.mark.parametrize("screen", [True, False])
def test_two_times_below_the_clocks_resolution_are_unchanged(screen):
    nothing = recorded([0.0] * len(TIGHT), "s")
    base = replace(record(), metrics={"time": nothing})
    assert verdict(base, measured([0.0] * SCREENED), screen=screen) is Verdict.UNCHANGED


def test_a_value_is_rounded_as_the_file_keeps_it_on_both_sides():
    """`threshold="0%"`: 1.2345641 was recorded as 1.23456."""
    exact = resolve(marker={"threshold": "0%"}, command_line={}, ini={})
    kept = MetricStats.from_rounds("", ((1.2345641,),) * 3).as_stored()
    base = record(**{"value:loss": kept})
    assert kept.minima == (1.23456,) * 3
    for value, expected in ((1.2345641, Verdict.UNCHANGED), (1.23457, Verdict.REGRESSION)):
        now = measured([100e-6] * 3, **{"value:loss": MetricStats.from_rounds("", ((value,),) * 3)})
        found = {finding.name: finding.verdict for finding in judge(base, now, settings=exact).findings}
        assert found["value:loss"] is expected


@given(st.floats(1e-8, 1.0), st.lists(st.floats(1e-8, 10.0), min_size=1, max_size=25), st.floats(1e-5, 1e-2))
def test_a_final_look_always_ends_in_a_verdict(base, minima, kernel):
    assert verdict(record(time=base), measured(minima, kernel=kernel)) is not None


@given(st.lists(st.floats(1e-6, 1e-3), min_size=1, max_size=20))
def test_another_process_never_turns_cleared_into_suspect(minima):
    """The minimum can only fall: a cleared test stays cleared."""
    if verdict(record(), measured(minima), final=False) in (Verdict.UNCHANGED, Verdict.IMPROVEMENT):
        assert verdict(record(), measured([*minima, 5.0]), final=True) is not Verdict.REGRESSION


def test_modules_that_the_baseline_did_not_import_are_named():
    base, now = record(), all_processes(1)
    base = replace(base, imports=("a", "b"))
    told = judge(base, replace(now, imports=("a", "b", *"hgfedc", *map(str, range(20)))))
    (note,) = told.measurement.notes
    assert note == (
        "imported now, and not when the baseline was recorded: 0, 1, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19 and 14 more"
    )
    assert judge(base, replace(now, imports=("a",))).measurement.notes == ()
    assert judge(record(), replace(now, imports=("a",))).measurement.notes == ()  # none were recorded


def test_processes_whose_interval_lies_below_the_limit_are_unchanged():
    """The baseline has one lucky process: no other comes near its minimum, and their mean does."""
    base = record(spread=(0.93, *[1.0 + index / 1000 for index in range(9)]))
    now = measured([100e-6 * (1 + index / 1000) for index in range(PROCESS_LOOKS[1])])
    assert judge(base, now, final=False).verdict is Verdict.UNCHANGED
    slower = measured([110e-6 * (1 + index / 1000) for index in range(PROCESS_LOOKS[1])])
    assert verdict(base, slower, final=False) is not Verdict.UNCHANGED


def test_a_slowdown_on_a_slow_machine_is_reported_near_its_size():
    """The kernel is twice as slow, code by the square root to the whole of that: 1.5 times as long reads 2.1 to 3 times."""
    slow = replace(measured([100e-6 * 2.0 * 1.5] * 8), paces=(KERNEL * 2,) * 8)
    (found,) = judge(record(), slow).findings
    assert found.verdict is Verdict.REGRESSION
    assert found.ratio == pytest.approx(1.5 * 2**0.25, rel=0.25)
    assert found.interval[0] < 1.5 < found.ratio < found.interval[1]
