"""Verdicts on pairs: synthetic numbers with known answers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Measurement, Verdict
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.core.stats.moderated import VarianceEstimate
from pytest_perfguard.engine.verdict.looks import PAIR_LOOKS, TEST_ALPHA, Spent
from pytest_perfguard.engine.verdict.paired import (
    LARGE,
    MAX_PAIRS,
    PAIR_PRIOR,
    Pairs,
    judge_paired,
    look_level,
    paired_threshold,
    spread_of,
)


def settings(**marker):
    return resolve(marker=marker, command_line={}, ini={}).for_pairs()


def measured(times, *, memory=None, cpu=None, name="time", **more) -> Measurement:
    """One arm: a tuple of rounds per process."""
    samples = {name: MetricStats.from_rounds("s", tuple(times))}
    if cpu is not None:
        samples["cpu"] = MetricStats.from_rounds("s", tuple(cpu))
    if memory is not None:
        samples["memory"] = MetricStats.from_rounds("B", tuple((value,) for value in memory))
    return Measurement(samples, {"": 5}, processes=len(times), seconds=2.0, **more)


def pairs(changes, *, base=100e-6, pinned=True, memory=(None, None), **more) -> Pairs:
    """Pairs in which the head took `exp(change)` times as long, one per change; paces of the machine differ."""
    paces = [base * (1 + index % 3) for index in range(len(changes))]
    before = [(pace, pace * 1.6, pace) for pace in paces]
    after = [
        tuple(value * math.exp(change) for value in rounds) for rounds, change in zip(before, changes, strict=True)
    ]
    return Pairs("main (abc)", measured(before, memory=memory[0]), measured(after, memory=memory[1]), pinned, **more)


def judge(given_pairs, *, spent=Spent.LITTLE, family=1, prior=PAIR_PRIOR, **marker):
    return judge_paired("t", given_pairs, settings(**marker), family=family, spent=spent, prior=prior)


def verdict(*args, **kwargs):
    comparison = judge(*args, **kwargs)
    return comparison and comparison.verdict


STEADY = (0.001, -0.001, 0.0005, -0.0005)


@pytest.mark.parametrize("count", range(1, MAX_PAIRS + 1))
def test_only_looks_decide(count):
    """Each look uses a share of the significance level."""
    decided = judge(pairs([0.0001 * (index % 2) for index in range(count)]))
    assert (decided is not None) == (count in PAIR_LOOKS)


def test_identical_code_is_unchanged_at_the_first_look():
    assert verdict(pairs(STEADY)) is Verdict.UNCHANGED


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (0.04, None),
        (0.02, None),
        (0.005, Verdict.UNCHANGED),
        (-0.005, Verdict.UNCHANGED),
        (-0.04, None),
        (-0.10, None),
        (0.10, None),
        (0.30, Verdict.REGRESSION),
        (-0.30, Verdict.IMPROVEMENT),
    ],
)
def test_four_steady_pairs_settle_what_is_far_from_the_bound(change, expected):
    """Four pairs that agree do not show that the next one agrees, too."""
    assert verdict(pairs([value / 10 + change for value in STEADY])) is expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [(0.04, Verdict.REGRESSION), (-0.04, Verdict.IMPROVEMENT), (0.02, Verdict.UNCHANGED), (-0.02, Verdict.UNCHANGED)],
)
def test_more_pairs_settle_what_is_near_the_bound(change, expected):
    assert verdict(pairs([value / 10 + change for value in STEADY * 5])) is expected


@pytest.mark.parametrize("mean", [0.02, -0.02])
def test_unchanged_means_that_the_interval_ends_below_the_limit(mean):
    """A ratio of 1.02 with an interval from 0.9 to 1.2 is not unchanged, and no more is its mirror image."""
    (finding,) = judge(pairs((mean - 0.06, mean + 0.06) * 3), spent=Spent.ALL).findings
    assert finding.verdict is Verdict.INCONCLUSIVE
    reported = finding.interval if mean > 0 else tuple(1 / end for end in reversed(finding.interval))
    assert reported[0] < 1 < 1.03 < reported[1]


@pytest.mark.parametrize("slowdown", [2, 5, 50])
def test_a_large_slowdown_is_settled_by_four_pairs_that_disagree_on_its_size(slowdown):
    """As with a call of 300 ms on a busy machine: four times between 2.9 and 6.1 are slower, whatever their spread."""
    changes = [math.log(slowdown * factor) for factor in (0.9, 1.22, 0.88, 1.0)]
    assert verdict(pairs(changes), family=50) is Verdict.REGRESSION
    assert verdict(pairs([-change for change in changes]), family=50) is Verdict.IMPROVEMENT


def test_pairs_whose_spread_explains_their_sign_need_more_of_them():
    """As with pairs of identical code that differ by 30 %: four on one side are nothing special."""
    wide = (0.3, 1.4, 0.35, 1.2)
    assert judge(pairs(wide)) is None
    assert verdict(pairs(wide * 2)) is Verdict.REGRESSION


def test_one_pair_that_shows_no_large_slowdown_leaves_it_to_the_next():
    large = (1.5, 0.4, 1.0)
    assert judge(pairs((*large, 0.0))) is None
    assert verdict(pairs((*large, 0.0, *large, *large))) is Verdict.REGRESSION


def test_pairs_that_are_as_often_much_faster_are_not_slower():
    """Half of them are faster by a quarter, the others slower by a half: this machine cannot decide."""
    assert verdict(pairs((-0.3, 0.4) * 10), spent=Spent.ALL) is Verdict.INCONCLUSIVE
    assert verdict(pairs((0.3, -0.4) * 10), spent=Spent.ALL) is Verdict.INCONCLUSIVE


def test_a_change_that_the_pairs_disagree_on_needs_more_of_them():
    wide = (0.02, 0.10, 0.04, 0.12)
    assert judge(pairs(wide)) is None
    assert verdict(pairs(wide * 5)) is Verdict.REGRESSION


def test_what_stays_open_says_what_could_have_been_told():
    comparison = judge(pairs((-0.3, 0.4) * 10), spent=Spent.ALL)
    (finding,) = comparison.findings
    assert comparison.verdict is Verdict.INCONCLUSIVE
    assert finding.reason == "not decided: its 20 pairs lie between -26 % and +49 %"
    assert finding.smallest == pytest.approx(math.exp(0.32), rel=0.1)
    assert finding.ratio == pytest.approx(math.exp(0.05))


def test_pairs_that_are_far_apart_are_shown_as_factors():
    (finding,) = judge(pairs((0.1, 2.9) * 4), spent=Spent.ALL).findings
    assert finding.reason == "not decided: its 8 pairs lie between 1.1x and 18x"


def test_a_budget_that_ends_early_says_so():
    comparison = judge(pairs((0.1, 0.1)), spent=Spent.ALL)
    assert comparison.verdict is Verdict.INCONCLUSIVE
    assert "after 2 of at least 4 pairs; raise it with --perf-budget" in comparison.findings[0].reason


def test_one_pair_is_no_statistics():
    (finding,) = judge(pairs((0.3,)), spent=Spent.ALL).findings
    assert finding.verdict is Verdict.INCONCLUSIVE
    assert finding.interval is None
    assert finding.smallest is None


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5])
def test_a_large_change_is_measured_beyond_the_budget(count, sign):
    """Half as slow again, or a third faster, and the budget is spent: the test gets the pairs that a verdict needs."""
    wild = tuple(sign * ratio for ratio in (0.9, 0.1, 0.8, 0.0, 0.9, 0.7))
    assert judge(pairs(wild[:count]), spent=Spent.BUDGET) is None
    assert verdict(pairs(wild[:count]), spent=Spent.ALL) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("mean", [LARGE - 0.02, 0.02 - LARGE])
def test_a_smaller_change_ends_with_the_budget(mean):
    assert verdict(pairs((mean, mean)), spent=Spent.BUDGET) is Verdict.INCONCLUSIVE


def test_the_budget_decides_between_two_looks():
    assert judge(pairs((*STEADY, 0.0))) is None
    assert verdict(pairs((*STEADY, 0.0)), spent=Spent.BUDGET) is Verdict.UNCHANGED


def test_an_apparent_improvement_is_looked_into_as_a_slowdown_is():
    faster = (-0.03, -0.12, -0.01, -0.12)
    assert judge(pairs(faster)) is None
    assert verdict(pairs(faster), spent=Spent.ALL) is Verdict.INCONCLUSIVE
    assert verdict(pairs(faster * 5)) is Verdict.IMPROVEMENT


def test_what_the_run_knows_of_its_spread_narrows_and_widens():
    near = pairs([0.034 + value for value in (*STEADY, 0.0, 0.0)])
    assert judge(near) is None
    assert verdict(near, prior=VarianceEstimate(0.005**2, 6)) is Verdict.REGRESSION
    ten = pairs([0.10 + value for value in (*STEADY, 0.0, 0.0)])
    assert verdict(ten) is Verdict.REGRESSION
    assert judge(ten, prior=VarianceEstimate(0.08**2, 6)) is None


def test_pairs_that_differ_more_than_the_prior_are_believed():
    wide = pairs((0.02, 0.22, 0.05, 0.19))
    assert judge(wide, prior=VarianceEstimate(0.001**2, 6)) is None


def test_slices_that_scatter_widen_the_interval_although_the_pairs_agree():
    def scattered(width):
        base = [(100e-6,) * 6] * 6
        head = [tuple(100e-6 * math.exp(0.1 + sign * width) for sign in (1, -1) * 3)] * 6
        return judge(Pairs("r", measured(base), measured(head), True), spent=Spent.ALL).findings[0]

    steady, wild = scattered(0.001), scattered(0.5)
    assert (steady.verdict, wild.verdict) == (Verdict.REGRESSION, Verdict.INCONCLUSIVE)
    assert wild.interval[1] - wild.interval[0] > 2 * (steady.interval[1] - steady.interval[0])


def test_metrics_of_a_test_share_its_chance_of_a_false_alarm():
    alone = pairs([0.040 + value for value in (*STEADY, 0.0, 0.0)])
    assert verdict(alone) is Verdict.REGRESSION
    twice = [(100e-6,) * 3] * 6
    timed = with_timer(alone, twice, twice, "time")
    for name in ("time:a", "time:b", "time:c"):
        samples = timed.base.samples["time"]
        timed = replace(
            timed,
            base=replace(timed.base, samples={**timed.base.samples, name: samples}),
            head=replace(timed.head, samples={**timed.head.samples, name: samples}),
        )
    findings = judge(timed, spent=Spent.BUDGET).findings
    assert {finding.name: finding.verdict for finding in findings}["time"] is Verdict.INCONCLUSIVE


def test_a_value_of_more_digits_than_the_file_keeps_equals_itself():
    """`threshold="0%"`: the sides of pairs are compared with all their digits."""
    for memory, expected in ((1.2345641, Verdict.UNCHANGED), (1.2345642, Verdict.REGRESSION)):
        base, head = measured([(1e-4,)] * 6), measured([(1e-4,)] * 6)
        base = replace(base, samples={"value:loss": MetricStats.from_rounds("", ((1.2345641,),) * 6)})
        head = replace(head, samples={"value:loss": MetricStats.from_rounds("", ((memory,),) * 6)})
        assert verdict(Pairs("r", base, head, True), threshold="0%") is expected


def test_the_spread_of_a_test_is_that_of_its_time():
    variance, freedom = spread_of(pairs((0.01, 0.03, 0.02)))
    assert (variance, freedom) == (pytest.approx(1e-4), 2)
    assert spread_of(pairs((0.01,))) is None
    nothing = Measurement(processes=4)
    assert spread_of(Pairs("r", nothing, nothing, True)) is None


def test_the_interval_and_both_medians_are_told():
    (finding,) = judge(pairs([0.1 + value for value in (*STEADY, 0.0, 0.0)])).findings
    assert finding.baseline == pytest.approx(200e-6)
    assert finding.candidate == pytest.approx(200e-6 * math.exp(0.1), rel=1e-3)
    assert finding.interval[0] < finding.ratio < finding.interval[1]
    assert finding.ratio == pytest.approx(math.exp(0.1), rel=1e-6)
    assert finding.rounds == 18
    assert finding.limit == pytest.approx(200e-6 * 1.03)


def test_differences_below_the_floor_are_nothing():
    tiny = pairs([0.3 + value for value in STEADY], base=1e-9)
    assert verdict(tiny) is Verdict.UNCHANGED
    assert verdict(tiny, floor="0ns") is Verdict.REGRESSION


def test_unpinned_pairs_are_held_to_less():
    eight = [0.08 + value for value in STEADY * 5]
    assert verdict(pairs(eight, pinned=False)) is Verdict.UNCHANGED
    assert verdict(pairs(eight)) is Verdict.REGRESSION
    assert paired_threshold(settings(threshold="20%"), pinned=False) == 0.20


def test_cpu_time_counts_in_proportion_to_the_time_of_the_test():
    """A tenth more CPU in a test that waits 99 % of its time is a thousandth of that time."""
    waiting = [(30e-3,) * 3] * 4
    before = measured(waiting, cpu=[(300e-6,) * 3] * 4)
    after = measured(waiting, cpu=[(330e-6,) * 3] * 4)
    assert verdict(Pairs("r", before, after, True)) is Verdict.UNCHANGED
    busy_before = measured([(300e-6,) * 3] * 6, cpu=[(300e-6,) * 3] * 6)
    busy_after = measured([(300e-6,) * 3] * 6, cpu=[(330e-6,) * 3] * 6)
    assert verdict(Pairs("r", busy_before, busy_after, True)) is Verdict.REGRESSION


def test_memory_is_judged_beside_time():
    assert judge(pairs(STEADY, memory=([1e5] * 4, [2e5] * 4)), spent=Spent.ALL) is None, (
        "four of four is luck once in 70 times"
    )
    comparison = judge(pairs((*STEADY, 0.0, 0.0), memory=([1e5] * 6, [2e5] * 6)))
    assert [(item.name, item.verdict) for item in comparison.findings] == [
        ("time", Verdict.UNCHANGED),
        ("memory", Verdict.REGRESSION),
    ]


def test_memory_that_could_not_be_taken_often_enough_stays_open():
    comparison = judge(pairs((*STEADY, 0.0, 0.0), memory=([1e5] * 2, [2e5] * 2)))
    assert comparison.verdict is Verdict.INCONCLUSIVE


def test_arms_without_a_common_metric_are_incomparable():
    nothing = Measurement(processes=4)
    comparison = judge(Pairs("r", nothing, nothing, True))
    assert comparison.verdict is Verdict.INCOMPARABLE
    assert "none of the requested metrics could be measured" in comparison.reason


def test_an_absolute_budget_is_judged_too():
    assert verdict(pairs(STEADY), max_time="1us", spent=Spent.ALL) is Verdict.OVER_LIMIT


def test_arms_that_were_measured_differently_are_incomparable():
    other = pairs(STEADY)
    assert verdict(replace(other, head=replace(other.head, conditions={"single": True}))) is Verdict.INCOMPARABLE
    renamed = Measurement({"time:parse": other.head.samples["time"]}, {"parse": 5}, processes=4)
    comparison = judge(replace(other, head=renamed))
    assert comparison.verdict is Verdict.INCOMPARABLE
    assert "time:parse" in comparison.reason


def test_a_clock_that_reads_nothing_settles_nothing():
    nothing = measured([(0.0,) * 3] * 4)
    comparison = judge(Pairs("r", nothing, nothing, True), spent=Spent.ALL)
    assert comparison.verdict is Verdict.INCONCLUSIVE
    assert comparison.findings[0].reason == "the clock is too coarse for so short a call"


def test_the_verdict_knows_its_base():
    comparison = judge(pairs(STEADY, why="suspected"))
    assert (comparison.pairing.revision, comparison.pairing.why) == ("main (abc)", "suspected")
    assert comparison.pairing.measurement.processes == 4


def test_more_tests_need_stronger_evidence_each():
    """The run's chance of a false alarm is shared by its tests."""
    suspicious = pairs([0.05, 0.06, 0.055, 0.05, 0.055, 0.06])
    assert verdict(suspicious, family=1) is Verdict.REGRESSION
    assert judge(suspicious, family=100_000) is None


@pytest.mark.parametrize("family", [1, 10, 50])
def test_all_the_looks_together_spend_the_level_and_no_more(family):
    spent = (len(PAIR_LOOKS) - 1) * look_level(settings(), family, final=False) + look_level(
        settings(), family, final=True
    )
    assert spent == pytest.approx(min(TEST_ALPHA, 0.01 / family))


@given(st.lists(st.floats(-0.5, 0.4), min_size=1, max_size=MAX_PAIRS), st.integers(1, 1000))
def test_the_last_look_always_says_something(changes, family):
    comparison = judge(pairs(changes), spent=Spent.ALL, family=family)
    assert comparison.verdict in (
        Verdict.REGRESSION, Verdict.IMPROVEMENT, Verdict.UNCHANGED, Verdict.INCONCLUSIVE
    )  # fmt: skip


MIRRORED = {Verdict.REGRESSION: Verdict.IMPROVEMENT, Verdict.IMPROVEMENT: Verdict.REGRESSION}
#: Of one kind of change, as a list of log ratios.
some_changes = st.lists(st.floats(-1, 1), min_size=4, max_size=MAX_PAIRS)


@given(some_changes, st.integers(1, 1000), st.sampled_from([Spent.LITTLE, Spent.ALL]))
def test_swapping_the_arms_mirrors_what_changed(changes, family, spent):
    """What is open may be unchanged the other way round: only the upper end of the interval is held to the limit."""
    there = verdict(pairs(changes), spent=spent, family=family, floor="0ns")
    back = verdict(pairs([-value for value in changes]), spent=spent, family=family, floor="0ns")
    assert MIRRORED.get(there) is (back if back in MIRRORED else None)


@given(some_changes, st.floats(0, 2), st.integers(1, 1000))
def test_a_slowdown_added_to_every_pair_never_makes_red_less_red(changes, more, family):
    if verdict(pairs(changes), spent=Spent.ALL, family=family) is Verdict.REGRESSION:
        slower = pairs([value + more for value in changes])
        assert verdict(slower, spent=Spent.ALL, family=family) is Verdict.REGRESSION


@given(some_changes, st.integers(1, 100))
def test_a_larger_family_never_makes_a_test_redder(changes, family):
    if verdict(pairs(changes), spent=Spent.ALL, family=10 * family) is Verdict.REGRESSION:
        assert verdict(pairs(changes), spent=Spent.ALL, family=family) is Verdict.REGRESSION


@given(some_changes)
def test_unchanged_is_said_only_of_an_interval_within_the_bounds(changes):
    (finding,) = judge(pairs(changes), spent=Spent.ALL).findings
    if finding.verdict is Verdict.UNCHANGED:
        assert abs(math.log(finding.ratio)) <= math.log(1.03)
        assert finding.interval[1] < 1.03


@given(st.permutations([0.01, -0.2, 0.3, 0.05, 0.12, 0.0]))
def test_the_order_of_the_pairs_says_nothing(changes):
    known = judge(pairs((0.01, -0.2, 0.3, 0.05, 0.12, 0.0)), spent=Spent.ALL).findings[0]
    (finding,) = judge(pairs(changes), spent=Spent.ALL).findings
    assert finding.interval == pytest.approx(known.interval)


def with_timer(given, base, head, kind="p95"):
    """The pairs with a timer beside the test's own time: a tuple of rounds per process on each side."""
    name = f"{kind}:db"
    return replace(
        given,
        base=replace(given.base, samples={**given.base.samples, name: MetricStats.from_rounds("s", base)}),
        head=replace(given.head, samples={**given.head.samples, name: MetricStats.from_rounds("s", head)}),
    )


def test_a_timer_that_has_other_rounds_on_one_side_is_left_out():
    given = with_timer(pairs(STEADY), ((1e-6, 1e-6),) * 4, ((1e-6,),) * 4, "time")
    comparison = judge(given, spent=Spent.ALL)
    assert [finding.name for finding in comparison.findings] == ["time"]


def test_a_tail_is_held_against_itself_not_against_all_calls_together():
    given = with_timer(pairs([0.001, -0.001, 0.001, -0.001] * 2), ((1e-6,),) * 8, ((5e-6,),) * 8)
    given = with_timer(given, ((100e-6,),) * 8, ((100e-6,),) * 8, "time")
    found = {finding.name: finding.verdict for finding in judge(given, spent=Spent.ALL).findings}
    assert found["p95:db"] is Verdict.REGRESSION


def test_a_tail_that_stays_open_makes_no_test_inconclusive():
    values = tuple((value * 1e-6,) for value in (1, 9, 2, 7))
    comparison = judge(with_timer(pairs(STEADY[:4]), values, values[::-1]), spent=Spent.ALL)
    found = {finding.name: finding.verdict for finding in comparison.findings}
    assert found["p95:db"] is Verdict.INCONCLUSIVE
    assert comparison.verdict is found["time"]
