"""What an object pool decides, as a state machine against a plain model."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pytest_perfguard.core.tool_errors import NotLent, PoolClosed
from pytest_perfguard.tools.pools.items import PooledItem, Waiter
from pytest_perfguard.tools.pools.object_state import ObjectState


class Borrower:
    """A ticket, and whether it was woken up."""

    def __init__(self):
        self.woken = 0
        self.ticket = Waiter(self.wake)

    def wake(self):
        self.woken += 1


class Machine(RuleBasedStateMachine):
    """Borrowers come, make, give back, time out, in any order."""

    @initialize(max_size=st.integers(1, 4), initial=st.integers(0, 4))
    def begin(self, max_size, initial):
        self.max_size = max_size
        self.state = ObjectState("pool", max_size)
        for _ in range(min(initial, max_size)):
            self.state.add(PooledItem(object()))
        self.holding = []
        """Borrowers that have an object."""
        self.making = []
        self.queue = []

    def sort_out(self):
        """Whoever was served leaves the queue: the first in it, always."""
        while self.queue and self.queue[0].woken:
            borrower = self.queue.pop(0)
            assert borrower.woken == 1
            (self.making if borrower.ticket.may_create else self.holding).append(borrower)
        assert not [borrower for borrower in self.queue if borrower.woken], "served out of turn"

    @rule()
    def take(self):
        borrower = Borrower()
        self.queue.append(borrower)
        self.state.take(borrower.ticket)
        self.sort_out()

    @precondition(lambda self: self.making)
    @rule(data=st.data(), works=st.booleans())
    def make(self, data, works):
        borrower = data.draw(st.sampled_from(self.making))
        self.making.remove(borrower)
        if works:
            self.state.made(PooledItem(object()), borrower.ticket)
            self.holding.append(borrower)
        else:
            self.state.not_made()
        self.sort_out()

    @precondition(lambda self: self.holding)
    @rule(data=st.data(), fit=st.booleans())
    def give_back(self, data, fit):
        borrower = data.draw(st.sampled_from(self.holding))
        self.holding.remove(borrower)
        entry = self.state.come_back(borrower.ticket.entry.thing)
        self.state.keep(entry) if fit else self.state.drop()
        with pytest.raises(NotLent):
            if not any(other.ticket.entry is entry for other in (*self.holding, *self.queue)):
                self.state.come_back(entry.thing)
            else:
                raise NotLent("pool", "handed on at once")
        self.sort_out()

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def time_out(self, data):
        borrower = data.draw(st.sampled_from(self.queue))
        self.queue.remove(borrower)
        assert self.state.give_up(borrower.ticket, timed_out=True) is None
        self.sort_out()

    @precondition(lambda self: self.holding or self.making)
    @rule(data=st.data())
    def cancelled_after_being_served(self, data):
        """The wake-up and the cancellation crossed: what it was given is handed on."""
        borrower = data.draw(st.sampled_from(self.holding + self.making))
        (self.holding if borrower in self.holding else self.making).remove(borrower)
        self.state.give_up(borrower.ticket)
        self.sort_out()

    @rule(size=st.integers(0, 4))
    def shrink(self, size):
        self.state.shrink(size)
        assert len(self.state.idle) <= max(size, 0)

    @invariant()
    def never_more_than_max_size(self):
        assert self.state.size <= self.max_size
        assert self.state.size == len(self.state.idle) + len(self.holding) + len(self.making)

    @invariant()
    def nothing_is_lent_twice(self):
        lent = [id(borrower.ticket.entry.thing) for borrower in self.holding]
        assert len(set(lent)) == len(lent)
        assert set(lent) == set(self.state.lent)
        assert not set(lent) & {id(entry.thing) for entry in self.state.idle}

    @invariant()
    def nobody_waits_for_what_is_there(self):
        if self.queue:
            assert not self.state.idle
            assert self.state.size == self.max_size

    @invariant()
    def the_numbers_add_up(self):
        stats = self.state.stats()
        assert stats.created - stats.destroyed == stats.idle + stats.in_use
        assert stats.waiting == len(self.queue)


Machine.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestObjectState = Machine.TestCase


def test_a_closed_pool_wakes_who_waits_and_lends_nothing():
    state = ObjectState("pool", 1)
    first, second = Borrower(), Borrower()
    state.take(first.ticket)
    state.made(PooledItem("thing"), first.ticket)
    state.take(second.ticket)
    assert state.close() == []
    assert (second.woken, second.ticket.entry, second.ticket.may_create) == (1, None, False)
    with pytest.raises(PoolClosed, match="pool: the pool is closed"):
        state.take(Borrower().ticket)
    assert state.keep(state.come_back("thing")) is False  # to be destroyed


def test_what_is_not_the_pools_is_told_from_what_came_back_already():
    state = ObjectState("pool", 1)
    state.add(PooledItem("thing"))
    with pytest.raises(NotLent, match="'thing' was given back already"):
        state.come_back("thing")
    with pytest.raises(NotLent, match="'other' is not one that this pool has lent"):
        state.come_back("other")
