"""What an object pool decides, as a state machine against a plain model."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pytest_perfguard.core.tool_errors import PoolClosed
from pytest_perfguard.tools.pools.items import AlreadyPooled, NotInUse, PooledItem, Waiter, not_lent
from pytest_perfguard.tools.pools.object_state import ObjectState


class Borrower:
    """A waiter, and whether it was woken up."""

    def __init__(self):
        self.woken = 0
        self.waiter = Waiter(self.wake)

    def wake(self):
        self.woken += 1


def served(borrower):
    return borrower.waiter.item is not None or borrower.waiter.may_create


class Machine(RuleBasedStateMachine):
    """Borrowers request, create, release and time out, in any order, in pools that let others pass and in those that do not."""

    @initialize(max_size=st.integers(1, 4), initial=st.integers(0, 4), max_passing=st.sampled_from([0, 5]))
    def begin(self, max_size, initial, max_passing):
        self.max_size, self.max_passing = max_size, max_passing
        self.now = 100
        self.state = ObjectState("pool", max_size, max_passing, lambda: self.now)
        for _ in range(min(initial, max_size)):
            self.state.add([PooledItem(object())])
        self.holding = []
        """Borrowers that have an object."""
        self.making = []
        self.queue = []

    def sort_out(self):
        """Whoever was served leaves the queue: the first in it, always."""
        while self.queue and served(self.queue[0]):
            self.leave(self.queue.pop(0))
        assert not [borrower for borrower in self.queue if served(borrower)], "served out of turn"

    def leave(self, borrower):
        assert borrower.woken == 1
        (self.making if borrower.waiter.may_create else self.holding).append(borrower)

    @rule()
    def take(self):
        borrower, idle = Borrower(), len(self.state.idle)
        self.state.request(borrower.waiter)
        if served(borrower):
            assert idle or not self.queue
            self.leave(borrower)
        else:
            self.queue.append(borrower)

    @rule(seconds=st.integers(1, 6))
    def wait(self, seconds):
        self.now += seconds

    @precondition(lambda self: any(borrower.woken for borrower in self.queue))
    @rule(data=st.data())
    def claim(self, data):
        """A woken borrower takes an idle object, or waits on where others were faster."""
        borrower = data.draw(st.sampled_from([borrower for borrower in self.queue if borrower.woken]))
        idle = len(self.state.idle)
        assert self.state.claim(borrower.waiter) == bool(idle)
        if idle:
            self.queue.remove(borrower)
            self.leave(borrower)
        else:
            borrower.woken -= 1

    @precondition(lambda self: self.making)
    @rule(data=st.data(), works=st.booleans())
    def make(self, data, works):
        borrower = data.draw(st.sampled_from(self.making))
        self.making.remove(borrower)
        if works:
            self.state.made(PooledItem(object()), borrower.waiter)
            self.holding.append(borrower)
        else:
            self.state.not_made()
        self.sort_out()

    @precondition(lambda self: self.holding)
    @rule(data=st.data(), fit=st.booleans())
    def release(self, data, fit):
        borrower = data.draw(st.sampled_from(self.holding))
        self.holding.remove(borrower)
        next_one = self.queue[0] if self.queue else None
        item = self.state.begin_release(borrower.waiter.item.obj)
        self.state.end_release(item) if fit else self.state.discard(item)
        if next_one and self.now - next_one.waiter.since >= self.max_passing:
            assert served(next_one)
        with pytest.raises(NotInUse):
            if not any(other.waiter.item is item for other in (*self.holding, *self.queue)):
                self.state.begin_release(item.obj)
            else:
                raise NotInUse(idle=False)  # passed on at once
        self.sort_out()

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def time_out(self, data):
        borrower = data.draw(st.sampled_from(self.queue))
        self.queue.remove(borrower)
        in_time = bool(borrower.woken and self.state.idle)
        assert self.state.time_out(borrower.waiter) == (not in_time)
        if in_time:
            self.leave(borrower)
        self.sort_out()

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def cancelled_while_waiting(self, data):
        borrower = data.draw(st.sampled_from(self.queue))
        self.queue.remove(borrower)
        assert self.state.cancel(borrower.waiter) is None
        self.sort_out()

    @precondition(lambda self: self.holding or self.making)
    @rule(data=st.data())
    def cancelled_after_being_served(self, data):
        """The wake-up and the cancellation crossed: what it was given is handed on."""
        borrower = data.draw(st.sampled_from(self.holding + self.making))
        (self.holding if borrower in self.holding else self.making).remove(borrower)
        self.state.cancel(borrower.waiter)
        self.sort_out()

    @rule(size=st.integers(0, 4))
    def shrink(self, size):
        self.state.shrink(size)
        assert len(self.state.idle) <= max(size, 0)
        self.sort_out()

    @invariant()
    def never_more_than_max_size(self):
        assert self.state.size <= self.max_size
        assert self.state.size == len(self.state.idle) + len(self.holding) + len(self.making)

    @invariant()
    def nothing_is_lent_twice(self):
        lent = [id(borrower.waiter.item.obj) for borrower in self.holding]
        assert len(set(lent)) == len(lent)
        assert set(lent) == set(self.state.in_use)
        assert not set(lent) & {id(item.obj) for item in self.state.idle}

    @invariant()
    def no_borrower_sleeps_beside_an_idle_item(self):
        if self.queue:
            assert self.state.size == self.max_size
            assert self.max_passing or not self.state.idle
            assert all(borrower.woken == 1 for borrower in self.queue[: len(self.state.idle)])
        assert all(borrower.woken <= 1 for borrower in self.queue), "a second wake-up of a thread that is awake"

    @invariant()
    def the_numbers_add_up(self):
        stats = self.state.stats()
        assert stats.created - stats.destroyed == stats.idle + stats.in_use
        assert stats.waiting == len(self.queue)


Machine.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestObjectState = Machine.TestCase


def test_a_woken_borrower_that_leaves_wakes_the_next_one():
    state = ObjectState("pool", 1, max_passing=5, clock=lambda: 0)
    state.add([PooledItem("thing")])
    state.checkout()
    first, second = Borrower(), Borrower()
    state.request(first.waiter)
    state.request(second.waiter)
    state.release("thing")
    assert (first.woken, second.woken) == (1, 0)
    state.cancel(first.waiter)
    assert second.woken == 1
    assert not state.time_out(second.waiter)
    assert second.waiter.item.obj == "thing"


@pytest.mark.parametrize("reuses", [True, False], ids=["the object", "its room"])
def test_a_woken_borrower_that_is_served_otherwise_wakes_the_next_one(reuses):
    now = [0]
    state = ObjectState("pool", 2, max_passing=5, clock=lambda: now[0])
    state.add([PooledItem("one"), PooledItem("other")])
    state.checkout(), state.checkout()
    first, second = Borrower(), Borrower()
    state.request(first.waiter)
    state.request(second.waiter)
    state.release("one")
    assert (first.woken, second.woken) == (1, 0)
    now[0] = 5  # from now on a released object goes to the first
    item = state.begin_release("other")
    state.end_release(item) if reuses else state.discard(item)
    assert (served(first), second.woken) == (True, 1)
    assert state.claim(second.waiter)
    assert second.waiter.item.obj == "one"


def test_a_closed_pool_wakes_waiters_and_lends_nothing():
    state = ObjectState("pool", 1)
    first, second = Borrower(), Borrower()
    state.request(first.waiter)
    state.made(PooledItem("thing"), first.waiter)
    state.request(second.waiter)
    assert state.close() == []
    assert (second.woken, second.waiter.item, second.waiter.may_create) == (1, None, False)
    with pytest.raises(PoolClosed, match="pool: the pool is closed"):
        state.request(Borrower().waiter)
    assert state.release("thing").obj == "thing"  # to be destroyed


def test_an_object_that_is_not_the_pools_is_distinguished_from_one_released_already():
    state = ObjectState("pool", 1)
    state.add([PooledItem("thing")])
    with pytest.raises(NotInUse) as caught:
        state.release("thing")
    assert str(not_lent("pool", "thing", idle=caught.value.idle)) == "pool: 'thing' was released already"
    with pytest.raises(NotInUse) as caught:
        state.release("other")
    problem = "pool: 'other' is not one that this pool has lent"
    assert str(not_lent("pool", "other", idle=caught.value.idle)) == problem


def test_an_object_that_is_in_the_pool_already_is_refused_and_its_room_is_free_again():
    state = ObjectState("pool", 3)
    thing = object()
    state.add([PooledItem(thing)])
    borrower = Borrower()
    assert state.checkout().obj is thing
    state.request(borrower.waiter)
    with pytest.raises(AlreadyPooled):
        state.made(PooledItem(thing), borrower.waiter)
    assert (state.size, state.stats().created) == (1, 1)
    assert state.reserve()
    with pytest.raises(AlreadyPooled):
        state.adopt(PooledItem(thing))
    assert state.size == 1
