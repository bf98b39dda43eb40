"""The search: which commits are compared next, and which ones are named. Without git and without measuring."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_perfguard.core.model import Verdict
from pytest_perfguard.engine.bisect.search import (
    FROM_NOTHING,
    Outcome,
    Purpose,
    Query,
    SearchResult,
    Step,
    choose,
    find_steps,
)

LIMIT = math.log1p(0.03)


class Commits:
    """Commits with given levels, whose comparisons are exact but for a noise; counts what was compared."""

    def __init__(self, levels, broken=(), noise=0.0, seed=0):
        self.levels = levels
        self.broken = set(broken)
        self.asked: list[Query] = []
        self._dice = random.Random(seed)
        self._noise = noise

    def compare(self, query: Query) -> Outcome:
        self.asked.append(query)
        if query.head in self.broken:
            return Outcome(skipped="does not start")
        assert query.base not in self.broken, "a broken commit cannot be compared with"
        change = self.levels[query.head] - self.levels[query.base] + self._dice.uniform(-self._noise, self._noise)
        return judged(change)

    def search(self) -> SearchResult:
        search = find_steps(len(self.levels) - 1)
        query = next(search)
        while True:
            try:
                query = search.send(self.compare(query))
            except StopIteration as end:
                return end.value


def judged(change, margin=0.01):
    verdict = Verdict.REGRESSION if change > LIMIT else Verdict.IMPROVEMENT if change < -LIMIT else Verdict.UNCHANGED
    return Outcome(change, change - margin, change + margin, LIMIT, verdict)


def levels_of(count, steps):
    """Return the levels of `count` commits after the first, with steps at these commits."""
    return [sum(size for commit, size in steps.items() if commit <= number) for number in range(count + 1)]


def named(found):
    return [(step.before, step.commit) for step in found.steps]


def exactly(steps):
    return [(commit - 1, commit) for commit in sorted(steps)]


@pytest.mark.parametrize("count", [1, 2, 3, 64])
def test_one_step_is_found_wherever_it_is(count):
    for commit in range(1, count + 1):
        commits = Commits(levels_of(count, {commit: 0.05}))
        assert named(commits.search()) == [(commit - 1, commit)]


def test_one_step_among_64_commits_takes_nine_comparisons():
    commits = Commits(levels_of(64, {23: 0.1}))
    commits.search()
    purposes = [query.purpose for query in commits.asked]
    assert purposes == [Purpose.ENDS, *[Purpose.CANDIDATE] * 6, Purpose.CONFIRM, Purpose.REST]
    assert [query.ahead for query in commits.asked] == [9, 8, 7, 6, 5, 4, 3, 2, 1]


def test_the_only_commit_is_compared_once():
    commits = Commits([0.0, 0.2])
    assert named(commits.search()) == [(0, 1)]
    assert [(query.purpose, query.explain) for query in commits.asked] == [(Purpose.ENDS, True)]


def test_equal_ends_end_the_search_after_one_comparison():
    commits = Commits(levels_of(64, {10: 0.2, 20: -0.2}))
    found = commits.search()
    assert found.steps == ()
    assert found.whole.verdict is Verdict.UNCHANGED
    assert len(commits.asked) == 1


planted = st.dictionaries(
    st.integers(1, 64), st.sampled_from([math.log(1.05), math.log(1.1), math.log(1.5)]), min_size=1, max_size=3
)


@settings(max_examples=200, deadline=None)
@given(steps=planted, seed=st.integers(0, 1000))
def test_every_step_is_named_and_no_other_commit(steps, seed):
    """Noise of up to 0.9 % moves no difference of 5 % across the threshold, nor across half of the change."""
    commits = Commits(levels_of(64, steps), noise=0.009, seed=seed)
    found = commits.search()
    assert named(found) == exactly(steps)
    assert found.rest == pytest.approx(0, abs=0.009 * (len(steps) + 1))


@settings(max_examples=200, deadline=None)
@given(steps=planted, broken=st.sets(st.integers(1, 63), max_size=30))
def test_broken_commits_leave_a_range_that_holds_the_step(steps, broken):
    commits = Commits(levels_of(64, steps), broken)
    found = commits.search()
    ranges = [range(step.before + 1, step.commit + 1) for step in found.steps]
    for commit in steps:
        assert any(commit in numbers for numbers in ranges)
    for numbers in ranges:
        assert any(commit in numbers for commit in steps)
        assert all(number in broken for number in numbers[:-1]), "all but the last cannot be measured"
    heads = [query.head for query in commits.asked if query.head in broken]
    assert len(heads) == len(set(heads)), "a broken commit is tried once"


def test_the_shares_of_several_steps_add_up_to_the_whole():
    found = Commits(levels_of(20, {5: 0.1, 15: 0.3})).search()
    assert [found.share(step) for step in found.steps] == pytest.approx([0.25, 0.75])
    assert found.rest == pytest.approx(0)


def test_an_improvement_in_between_is_no_step_and_shares_exceed_the_whole():
    found = Commits(levels_of(30, {5: 0.3, 20: -0.1})).search()
    assert named(found) == [(4, 5)]
    assert found.share(found.steps[0]) == pytest.approx(1.5)


def test_a_rest_counts_if_it_exceeds_the_errors_of_all_parts():
    whole, step = judged(0.3, margin=0.03), Step(0, 1, judged(0.2, margin=0.03), 1)
    assert SearchResult(whole, (step,)).has_rest
    assert not SearchResult(judged(0.3, margin=0.08), (step,)).has_rest
    assert not SearchResult(judged(0.22), (step,)).has_rest
    assert not SearchResult(replace(whole, change=FROM_NOTHING), (step,)).has_rest


def test_where_something_grew_from_nothing_there_is_no_share():
    found = Commits([0.0] * 5 + [FROM_NOTHING] * 5).search()
    assert named(found) == [(4, 5)]
    assert found.share(found.steps[0]) is None


def test_a_wrong_outcome_is_found_out_by_the_confirming_pair():
    """Commit 32 looks fast by mistake, once: the search ends at the wrong place, which its parent refutes."""

    class Mistaken(Commits):
        def compare(self, query):
            outcome = super().compare(query)
            first = [asked.head for asked in self.asked].count(query.head) == 1
            return judged(0.0) if query.head == 32 and first else outcome

    assert named(Mistaken(levels_of(64, {10: 0.1})).search()) == [(9, 10)]


def test_an_inconclusive_comparison_is_repeated_and_pooled():
    class Unsure(Commits):
        def compare(self, query):
            return replace(super().compare(query), verdict=Verdict.INCONCLUSIVE, low=-1.0, high=1.0)

    commits = Unsure([0.0, 0.0, 0.1])
    found = commits.search()
    assert len(commits.asked) == 3
    assert found.whole.change == pytest.approx(0.1)
    assert found.whole.high - found.whole.low == pytest.approx(2 / math.sqrt(3))
    assert found.steps == ()


def test_an_inconclusive_comparison_that_excludes_the_threshold_is_a_step():
    assert Outcome(0.05, 0.001, 0.1, LIMIT, Verdict.INCONCLUSIVE).is_step
    assert not Outcome(0.05, -0.001, 0.1, LIMIT, Verdict.INCONCLUSIVE).is_step
    assert not Outcome(0.02, 0.001, 0.1, LIMIT, Verdict.INCONCLUSIVE).is_step


def test_the_next_commit_is_in_the_middle_and_moves_away_from_broken_ones():
    skipped: set[int] = set()
    chosen = []
    while (number := choose(0, 64, skipped)) is not None and len(chosen) < 7:
        chosen.append(number)
        skipped.add(number)
    assert chosen == [32, 16, 48, 8, 40, 24, 56]
    assert choose(3, 4, set()) is None
    assert choose(3, 6, {4, 5}) is None


def test_an_outcome_survives_json():
    for outcome in (judged(0.1), Outcome(skipped="broken"), Outcome(0.0, verdict=Verdict.LEAK)):
        assert Outcome.from_json(outcome.to_json()) == outcome
