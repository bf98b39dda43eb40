"""What a batch's queue decides, without threads, loop and clock."""

from __future__ import annotations

import math
from concurrent.futures import Future

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pytest_perfguard.tools.batches.state import (
    BatchLimits,
    BatchQueue,
    BatchStats,
    WrongResultCount,
    checked_results,
    merge_equal,
)


def pairs(batch):
    return [] if batch is None else list(zip(batch.items, batch.futures, strict=True))


class Queueing(RuleBasedStateMachine):
    """Items come out in the order in which they came, once each, in batches that are due."""

    @initialize(size=st.integers(1, 4), queue=st.integers(1, 6), concurrency=st.integers(1, 2))
    def begin(self, size, queue, concurrency):
        self.now = 0.0
        self.queue = BatchQueue(BatchLimits(size, 10.0, queue, concurrency))
        self.inside, self.outside = [], []
        self.running = []
        self.came = self.cancelled = self.refused = 0

    @rule()
    def offer(self):
        number, future = self.came, Future()
        self.came += 1
        if self.queue.offer(number, future, self.now):
            assert not self.outside
            self.inside.append((number, future))
        else:
            assert len(self.inside) == self.queue.limits.max_queue
            self.outside.append(self.queue.wait(number, future, lambda: self.admitted(number)))

    def admitted(self, number):
        waiting = self.outside.pop(0)
        assert waiting.item == number  # in their turn
        self.admitted_now.append((number, waiting.future))

    @rule(which=st.integers(0, 20))
    def cancel(self, which):
        if self.inside:
            self.inside[which % len(self.inside)][1].cancel()

    @rule(which=st.integers(0, 20))
    def give_up(self, which):
        if self.outside:
            waiting = self.outside.pop(which % len(self.outside))
            assert self.queue.withdraw(waiting)
            assert not self.queue.withdraw(waiting)
            self.refused += 1

    @rule(seconds=st.sampled_from([1.0, 6.0]))
    def wait(self, seconds):
        self.now += seconds

    @rule()
    def flush(self):
        self.queue.flush()

    @precondition(lambda self: self.queue.due(self.now) == 0)
    @rule()
    def take(self):
        limits = self.queue.limits
        self.admitted_now = []
        expected, seen = [], list(self.inside)
        while seen and len(expected) < limits.max_size:
            number, future = seen.pop(0)
            if future.cancelled():
                self.cancelled += 1
            else:
                expected.append((number, future))
        batch = self.queue.take(self.now)
        assert pairs(batch) == expected
        self.inside = seen + self.admitted_now
        if batch:
            self.running.append(batch)
        assert len(self.running) <= limits.concurrency

    @precondition(lambda self: self.running)
    @rule(failed=st.booleans())
    def done(self, failed):
        self.running.pop()
        self.queue.done(failed=failed)

    @rule()
    def close(self):
        self.queue.closed = True

    @invariant()
    def adds_up(self):
        if not hasattr(self, "queue"):
            return
        stats = self.queue.stats()
        assert (stats.queued, stats.waiting, stats.running) == (len(self.inside), len(self.outside), len(self.running))
        assert stats.items + stats.cancelled + stats.refused + stats.queued + stats.waiting == self.came
        assert (stats.cancelled, stats.refused) == (self.cancelled, self.refused)
        assert stats.queued <= self.queue.limits.max_queue
        wait = self.queue.due(self.now)
        if self.inside and len(self.running) < self.queue.limits.concurrency:
            assert 0 <= wait <= 10.0
            if len(self.inside) >= self.queue.limits.max_size or self.queue.closed:
                assert wait == 0
        else:
            assert wait is None


Queueing.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestQueueing = Queueing.TestCase


def queued(*items, limits=None):
    queue = BatchQueue(limits or BatchLimits(3, 10.0))
    for now, item in enumerate(items):
        queue.offer(item, Future(), float(now))
    return queue


def test_a_batch_is_due_when_it_is_full_or_old():
    assert queued().due(0.0) is None
    assert queued("a").due(0.0) == 10.0
    assert queued("a", "b").due(4.0) == 6.0  # of the oldest
    assert queued("a", "b").due(11.0) == 0.0
    assert queued("a", "b", "c").due(2.0) == 0.0


def test_a_flush_does_not_affect_later_items():
    queue = queued("a", limits=BatchLimits(2, 10.0))
    queue.flush()
    assert queue.due(1.0) == 0.0
    assert queue.take(1.0).items == ["a"]
    queue.done()
    queue.offer("b", Future(), 2.0)
    assert queue.due(2.0) == 10.0


def test_the_defaults_are_fifty_items_and_a_tenth_of_a_second():
    limits = BatchLimits()
    assert (limits.max_size, limits.max_delay, limits.max_queue, limits.concurrency) == (50, 0.1, 500, 1)
    with pytest.raises(ValueError, match="max_size is 0"):
        BatchLimits(max_size=0)
    with pytest.raises(ValueError, match="max_delay is -1"):
        BatchLimits(max_delay=-1)


@pytest.mark.parametrize("results", [None, 3, "ab", b"ab", {1: 2, 3: 4}, {1, 2}, [1], [1, 2, 3], object()])
def test_anything_but_one_result_for_each_item_is_an_error(results):
    with pytest.raises(WrongResultCount, match="the processor returned"):
        checked_results(results, 2)


def test_any_iterable_of_the_right_length_will_do():
    assert checked_results((number for number in (1, 2)), 2) == [1, 2]


def test_statistics_of_several_kinds_add_up():
    total = BatchStats(items=4, batches=2, largest=3) + BatchStats(items=5, batches=1, largest=5)
    assert (total.items, total.batches, total.largest, total.mean_size) == (9, 3, 5, 3.0)
    assert math.isnan(BatchStats().mean_size)


def test_what_compares_equal_is_merged_only_if_it_is_the_same():
    items = [1, True, 1.0, 0.0, -0.0, (1,), (True,), (1,), [1], [1]]
    distinct, places = merge_equal(items)
    assert list(map(repr, distinct)) == ["1", "True", "1.0", "0.0", "-0.0", "(1,)", "(True,)", "[1]", "[1]"]
    assert places == [0, 1, 2, 3, 4, 5, 6, 5, 7, 8]
