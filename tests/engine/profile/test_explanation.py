"""From two profiles and a loss to the functions to blame, on made-up numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_perfguard.core.explanation import CallChange, Explanation, Flame
from pytest_perfguard.engine.profile.explanation import explain_memory, explain_time
from pytest_perfguard.engine.profile.model import AllocatingLine, AllocationProfile
from tests.engine.profile.made import COMPILE, DUMPS, MATCH, PRICE, TEST, TOTAL, US, library, ours, side
from tests.engine.profile.recorded import PLANTED, UNCHANGED

BASE = side(
    {TEST: (1, 1, 103), TOTAL: (1, 20, 102), MATCH: (1, 1, 1), PRICE: (40, 40, 81), DUMPS: (40, 41, 41)},
    {(TEST, TOTAL): (1, 102), (TOTAL, MATCH): (1, 1), (TOTAL, PRICE): (40, 81), (PRICE, DUMPS): (40, 41)},
)


def explain(base, head, loss=None, **more):
    return explain_time(base, head, metric="time", loss=head.seconds - base.seconds if loss is None else loss, **more)


def names(explained):
    return [blame.location.name for blame in explained.blames]


def test_a_call_that_moved_into_a_loop_is_named_with_its_calls_and_its_caller():
    head = side(
        {TEST: (1, 1, 142), TOTAL: (1, 20, 141), MATCH: (40, 40, 40), PRICE: (40, 40, 81), DUMPS: (40, 41, 41)},
        {(TEST, TOTAL): (1, 141), (TOTAL, MATCH): (40, 40), (TOTAL, PRICE): (40, 81), (PRICE, DUMPS): (40, 41)},
    )
    (blame,) = explain(BASE, head).blames
    assert str(blame.location) == "rules.py:10 match"
    assert blame.calls == CallChange(1, 40)
    assert blame.caller is not None
    assert blame.caller.name == "total"
    assert blame.amount == pytest.approx(39 * US)


def test_the_caller_that_makes_more_calls_each_time_is_the_reason_not_those_between():
    """total -> price -> dumps: price is called twice as often, hence dumps is, too."""
    helper = ours("helper")
    base = side(
        {TOTAL: (1, 5, 25), PRICE: (10, 10, 20), helper: (10, 10, 10)},
        {(TOTAL, PRICE): (10, 20), (PRICE, helper): (10, 10)},
    )
    head = side(
        {TOTAL: (1, 5, 45), PRICE: (20, 20, 40), helper: (20, 20, 20)},
        {(TOTAL, PRICE): (20, 40), (PRICE, helper): (20, 20)},
    )
    (blame,) = explain(base, head).blames
    assert (blame.location.name, blame.caller.name) == ("price", "total")
    assert blame.amount == pytest.approx(20 * US)


def test_slower_code_without_another_number_of_calls_is_named_itself():
    head = side(
        {TEST: (1, 1, 153), TOTAL: (1, 20, 152), MATCH: (1, 1, 1), PRICE: (40, 90, 131), DUMPS: (40, 41, 41)},
        {(TEST, TOTAL): (1, 152), (TOTAL, MATCH): (1, 1), (TOTAL, PRICE): (40, 131), (PRICE, DUMPS): (40, 41)},
    )
    (blame,) = explain(BASE, head).blames
    assert (blame.location.name, blame.calls, blame.via) == ("price", None, None)
    assert blame.amount == pytest.approx(50 * US)


def test_library_code_counts_for_the_function_that_calls_it_and_is_told():
    head = side(
        {
            TEST: (1, 1, 183),
            TOTAL: (1, 20, 182),
            MATCH: (1, 1, 81),
            PRICE: (40, 40, 81),
            DUMPS: (40, 41, 41),
            COMPILE: (40, 80, 80),
        },
        {
            (TEST, TOTAL): (1, 182),
            (TOTAL, MATCH): (1, 81),
            (MATCH, COMPILE): (40, 80),
            (TOTAL, PRICE): (40, 81),
            (PRICE, DUMPS): (40, 41),
        },
    )
    (blame,) = explain(BASE, head).blames
    assert blame.location.name == "match"
    assert str(blame.via) == "re.compile"
    assert blame.via_calls == CallChange(0, 40)


def test_a_function_that_takes_over_the_work_of_another_one_costs_the_difference():
    """total called match and calls a new function now."""
    slow = ours("match_slowly")
    base = side({TOTAL: (1, 10, 40), MATCH: (10, 30, 30)}, {(TOTAL, MATCH): (10, 30)})
    head = side({TOTAL: (1, 10, 90), slow: (10, 80, 80)}, {(TOTAL, slow): (10, 80)})
    (blame,) = explain(base, head).blames
    assert (blame.location.name, blame.caller.name, blame.calls) == ("match_slowly", "total", CallChange(0, 10))
    assert blame.amount == pytest.approx(50 * US)


def test_amounts_and_rest_add_up_to_the_measured_loss():
    """The profile sees 50 us more where 30 were measured."""
    head = side(
        {TEST: (1, 1, 153), TOTAL: (1, 30, 152), MATCH: (1, 1, 1), PRICE: (40, 80, 121), DUMPS: (40, 41, 41)},
        {(TEST, TOTAL): (1, 152), (TOTAL, MATCH): (1, 1), (TOTAL, PRICE): (40, 121), (PRICE, DUMPS): (40, 41)},
    )
    explained = explain(BASE, head, loss=30 * US)
    assert names(explained) == ["price", "total"]
    assert [blame.amount for blame in explained.blames] == pytest.approx([24 * US, 6 * US], rel=0.02)
    assert sum(blame.amount for blame in explained.blames) + explained.rest == pytest.approx(30 * US)


def test_recursion_is_named_without_a_caller():
    base = side({TOTAL: (1, 2, 12), MATCH: (1, 10, 10)}, {(TOTAL, MATCH): (1, 10)})
    head = side({TOTAL: (1, 2, 102), MATCH: (100, 100, 100)}, {(TOTAL, MATCH): (1, 100)})
    (blame,) = explain(base, head).blames
    assert (blame.location.name, blame.caller, blame.calls) == ("match", None, CallChange(1, 100))


def test_nothing_is_blamed_for_an_unchanged_pair_whatever_was_measured():
    assert explain(BASE, BASE, loss=20 * US).blames == ()
    assert explain(BASE, BASE, loss=-5 * US).blames == ()
    noisy = side({TEST: (1, 1, 105), TOTAL: (1, 20.5, 104), MATCH: (1, 1, 1), PRICE: (40, 41, 83), DUMPS: (40, 42, 42)}, {
        (TEST, TOTAL): (1, 104), (TOTAL, MATCH): (1, 1), (TOTAL, PRICE): (40, 83), (PRICE, DUMPS): (40, 42)})  # fmt: skip
    explained = explain(BASE, noisy, loss=20 * US)
    assert (explained.blames, explained.rest) == ((), 20 * US)


@pytest.mark.parametrize(("case", "base", "head"), UNCHANGED, ids=[case for case, *_sides in UNCHANGED])
def test_identical_code_is_not_blamed_for_a_loss_that_its_profile_does_not_show(case, base, head):
    assert names(explain(base, head)) == [], case


@pytest.mark.parametrize(("guilty", "base", "head"), PLANTED, ids=[guilty for guilty, *_sides in PLANTED])
def test_recorded_profiles_blame_the_function_that_became_slower(guilty, base, head):
    assert names(explain(base, head))[:1] == [guilty]


def test_a_coroutine_is_not_blamed_for_a_loss_that_sampled_calls_did_not_have():
    poll = library("poll", "select.epoll")
    costs = {TEST: (1, 1, 1000), poll: (10, 990, 990)}
    base = side(costs, {(TEST, poll): (10, 990)}, seconds=1000, stacks={(TEST, TOTAL): 100})
    head = replace(base, seconds=2 * base.seconds, samples=replace(base.samples, stacks={(TEST, TOTAL, MATCH): 100}))
    assert names(explain(base, head)) == []


SHORT = {"stacks": {(TEST, TOTAL): 99, (TEST,): 1}}


def test_samples_confirm_what_the_overhead_of_many_short_calls_hides():
    """`round` is called 40 times: counted exactly, but the profiler's corrected times do not grow."""
    rounding = library("round", "builtins")
    base = side({TEST: (1, 0.1, 2.4), TOTAL: (1, 2.3, 2.3)}, {(TEST, TOTAL): (1, 2.3)}, **SHORT)
    head = side(
        {TEST: (1, 0.1, 2.4), TOTAL: (1, 2.1, 2.3), rounding: (40, 0.2, 0.2)},
        {(TEST, TOTAL): (1, 2.3), (TOTAL, rounding): (40, 0.2)}, seconds=4.2, **SHORT,
    )  # fmt: skip
    assert names(explain(base, head)) == ["total"]
    assert names(explain(base, head, use="calls")) == []


def test_samples_alone_confirm_nothing_where_no_number_of_calls_changed():
    base = side({TEST: (1, 0.1, 2.4), TOTAL: (1, 2.3, 2.3)}, {(TEST, TOTAL): (1, 2.3)}, **SHORT)
    head = side({TEST: (1, 0.1, 2.4), TOTAL: (1, 2.3, 2.3)}, {(TEST, TOTAL): (1, 2.3)}, seconds=4.2, **SHORT)
    assert names(explain(base, head)) == []


def test_a_thread_that_waits_for_another_one_costs_nothing_itself():
    """The deterministic profile has both: the caller in a lock, and what runs in the thread meanwhile."""
    lock = library("acquire", "_thread.lock")
    edges = {(TEST, TOTAL): (1, 199), (TOTAL, lock): (1, 90)}
    base = side(
        {TEST: (1, 1, 200), TOTAL: (1, 9, 99), lock: (1, 90, 90), MATCH: (1, 90, 90)}, edges, threads=1, seconds=100
    )
    head = side(
        {TEST: (1, 1, 400), TOTAL: (1, 9, 199), lock: (1, 190, 190), MATCH: (1, 190, 190)},
        edges,
        threads=1,
        seconds=200,
    )
    explained = explain(base, head)
    assert (explained.basis, names(explained)) == ("calls", ["match"])
    assert explained.blames[0].amount == pytest.approx(100 * US)


def test_samples_decide_where_the_time_is_that_of_threads_from_before():
    """They are not in the deterministic profile: the caller waits for them in a lock."""
    lock = library("acquire", "_thread.lock")
    edges = {(TEST, TOTAL): (1, 99), (TOTAL, lock): (1, 90)}
    base = side(
        {TEST: (1, 1, 100), TOTAL: (1, 9, 99), lock: (1, 90, 90)},
        edges,
        seconds=100,
        stacks={(TOTAL,): 50, (MATCH,): 50},
    )
    head = side(
        {TEST: (1, 1, 200), TOTAL: (1, 9, 199), lock: (1, 190, 190)},
        edges,
        seconds=200,
        stacks={(TOTAL,): 50, (MATCH,): 150},
    )
    explained = explain(base, head)
    assert (explained.basis, names(explained)) == ("samples", ["match"])
    assert explained.blames[0].amount == pytest.approx(100 * US)


def test_samples_decide_where_an_event_loop_waits():
    """Which coroutine waits is not seen by the deterministic profile: poll is called by the loop."""
    poll = library("poll", "select.epoll")
    costs = {TEST: (1, 1, 1000), TOTAL: (1, 5, 5), poll: (10, 990, 990)}
    base = side(costs, {(TEST, poll): (10, 990)}, seconds=1000, stacks={(TEST, TOTAL): 100})
    head = side(costs, {(TEST, poll): (10, 990)}, seconds=9000, stacks={(TEST, TOTAL, MATCH): 100})
    explained = explain(base, head)
    assert (explained.basis, names(explained)) == ("samples", ["match"])


def test_a_new_caller_is_named_where_the_calls_are_as_many_as_before():
    """A coroutine that tasks ran is awaited by a function now."""
    fetch, loop, poll = ours("fetch"), library("Context.run", "asyncio"), library("poll", "select.epoll")
    costs = {TOTAL: (1, 5, 10), fetch: (10, 5, 5), loop: (10, 1, 6), poll: (10, 900, 900)}
    base = side(costs, {(loop, fetch): (10, 5)}, seconds=1000, stacks={(TOTAL,): 100})
    head = side(costs, {(TOTAL, fetch): (10, 5)}, seconds=9000, stacks={(TOTAL, fetch): 100})
    (blame,) = explain(base, head).blames
    assert (blame.location.name, blame.caller.name, blame.calls) == ("fetch", "total", CallChange(0, 10))


def allocations(**sizes):
    lines = {AllocatingLine("prices.py", name.partition("_")[0], name): size for name, size in sizes.items()}
    return AllocationProfile(lines, {line: number for number, line in enumerate(lines, start=18)})


def test_the_line_that_holds_more_memory_is_named():
    base = allocations(build_rows=10_000.0, load_text=5_000.0)
    head = allocations(build_rows=46_000.0, load_text=5_000.0)
    (blame,) = explain_memory(base, head, metric="memory", unit="B", loss=36_000.0).blames
    assert str(blame.location) == "prices.py:18 build"
    assert blame.amount == 36_000.0


def test_an_edited_line_costs_what_it_holds_more_than_the_one_before():
    base, head = allocations(build_rows=10_000.0), allocations(build_list=46_000.0)
    (blame,) = explain_memory(base, head, metric="memory", unit="B", loss=36_000.0).blames
    assert blame.amount == pytest.approx(36_000.0)


def test_equal_allocations_blame_no_line():
    base = allocations(build_rows=10_000.0)
    assert explain_memory(base, base, metric="memory", unit="B", loss=3_000.0).blames == ()


def test_an_explanation_survives_json():
    head = side(
        {TEST: (1, 1, 183), TOTAL: (1, 20, 182), MATCH: (40, 80, 80), PRICE: (40, 40, 81), DUMPS: (40, 41, 41)},
        {(TEST, TOTAL): (1, 182), (TOTAL, MATCH): (40, 80), (TOTAL, PRICE): (40, 81), (PRICE, DUMPS): (40, 41)},
    )
    flame = Flame("", ((("a", "b"), 1e-6),), ((("a",), 2e-6),))
    explanation = Explanation((explain(BASE, head),), (flame,))
    assert Explanation.from_json(explanation.to_json()) == explanation
    with pytest.raises(KeyError):
        Explanation.from_json({"metrics": []})
