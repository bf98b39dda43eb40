"""From recorded numbers of calls and one profile to the functions to blame, on made-up numbers."""

from __future__ import annotations

import pytest

from pytest_perfguard.core.explanation import CallChange
from pytest_perfguard.engine.profile.explanation_by_counts import explain_counts
from tests.engine.profile.made import DUMPS, MATCH, PRICE, TEST, TOTAL, US, side


def test_counts_of_a_baseline_name_what_is_called_more_often():
    head = side(
        {TEST: (1, 1, 142), TOTAL: (1, 20, 141), MATCH: (40, 40, 40), PRICE: (40, 40, 81), DUMPS: (40, 41, 41)},
        {(TEST, TOTAL): (1, 141), (TOTAL, MATCH): (40, 40), (TOTAL, PRICE): (40, 81), (PRICE, DUMPS): (40, 41)},
    )
    counts = {TEST: 1.0, TOTAL: 1.0, MATCH: 1.0, PRICE: 40.0, DUMPS: 40.0}
    explained = explain_counts(counts, head, metric="time", loss=45 * US)
    (blame,) = explained.blames
    assert explained.basis == "counts"
    assert (blame.location.name, blame.calls, blame.caller.name) == ("match", CallChange(1, 40), "total")
    assert blame.amount == pytest.approx(39 * US)
    same = {function: cost.calls for function, cost in head.calls.costs.items()}
    assert explain_counts(same, head, metric="time", loss=45 * US).blames == ()


def test_of_a_function_that_the_baseline_did_not_keep_nothing_is_known():
    head = side({TOTAL: (1, 20, 141), PRICE: (40, 121, 121)}, {(TOTAL, PRICE): (40, 121)})
    assert explain_counts({TOTAL: 1.0}, head, metric="time", loss=45 * US, complete=False).blames == ()
    (blame,) = explain_counts({TOTAL: 1.0}, head, metric="time", loss=45 * US).blames
    assert (blame.location.name, blame.calls) == ("price", CallChange(0, 40))


def test_most_of_a_loss_lies_in_the_function_that_takes_longer_than_all_others_together():
    """71 of 136 us are new, and all but `total` takes 6 us."""
    head = side(
        {TEST: (1, 4, 136), TOTAL: (1, 130, 132), PRICE: (1, 2, 2)}, {(TEST, TOTAL): (1, 132), (TOTAL, PRICE): (1, 2)}
    )
    explained = explain_counts({TEST: 1.0, TOTAL: 1.0, PRICE: 1.0}, head, metric="time", loss=71 * US)
    (blame,) = explained.blames
    assert (blame.location.name, blame.at_least, blame.calls) == ("total", True, None)
    assert 59 * US < blame.amount < 65 * US  # less the error of the profile
    assert blame.amount + explained.rest == pytest.approx(71 * US)
    assert explained.longest == ()


def test_where_several_functions_could_have_lost_it_the_longest_are_listed():
    head = side(
        {TEST: (1, 4, 136), TOTAL: (1, 90, 132), PRICE: (1, 42, 42)}, {(TEST, TOTAL): (1, 132), (TOTAL, PRICE): (1, 42)}
    )
    explained = explain_counts({TEST: 1.0, TOTAL: 1.0, PRICE: 1.0}, head, metric="time", loss=71 * US)
    assert explained.blames == ()
    assert [each.location.name for each in explained.longest] == ["total", "price"]
    assert [each.seconds for each in explained.longest] == pytest.approx([90 * US, 42 * US])


def test_a_function_that_is_called_more_often_is_not_said_to_be_called_as_often():
    """`total` is called three times in place of once: its calls account for the loss."""
    head = side({TEST: (1, 4, 136), TOTAL: (3, 132, 132)}, {(TEST, TOTAL): (3, 132)})
    (blame,) = explain_counts({TEST: 1.0, TOTAL: 1.0}, head, metric="time", loss=71 * US).blames
    assert (blame.location.name, blame.at_least, blame.calls) == ("total", False, CallChange(1, 3))


def test_a_share_of_the_time_proves_nothing_about_instructions():
    head = side({TEST: (1, 4, 136), TOTAL: (1, 132, 132)}, {(TEST, TOTAL): (1, 132)})
    explained = explain_counts({TEST: 1.0, TOTAL: 1.0}, head, metric="instructions", unit="instructions", loss=71 * US)
    assert (explained.blames, explained.longest, explained.unit) == ((), (), "instructions")
