"""What a connection pool decides, as a state machine with a clock of its own, and the single rules."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pytest_perfguard.core.tool_errors import PoolClosed
from pytest_perfguard.tools.pools.connection_state import ConnectionState
from pytest_perfguard.tools.pools.items import Limits, NotInUse, Waiter
from pytest_perfguard.tools.pools.targets import MAX_PAUSE, MIN_PAUSE, Targets


class Connection:
    """Something with an identity."""


class Borrower:
    def __init__(self):
        self.woken = 0
        self.waiter = Waiter(self.wake)

    def wake(self):
        self.woken += 1


class Machine(RuleBasedStateMachine):
    """Borrowers, connections that are made or fail, checks, time that passes, in any order."""

    @initialize(sizes=st.tuples(st.integers(0, 3), st.integers(1, 4)), servers=st.integers(1, 3))
    def begin(self, sizes, servers):
        least, most = min(sizes), max(sizes)
        self.limits = Limits(least, most, max_idle=10.0, max_lifetime=60.0, jitter=0.1)
        names = [f"server {number}" for number in range(servers)]
        self.state = ConnectionState("pool", self.limits, names, lambda: 0.5)
        self.now = 0.0
        self.connecting, self.queue, self.holding, self.checking, self.closed = [], [], [], [], set()

    def do(self, actions):
        self.connecting += actions.connect
        for item in actions.close:
            assert id(item.obj) not in self.closed, "closed twice"
            self.closed.add(id(item.obj))
            self.kept = [*getattr(self, "kept", []), item]  # so that no identity is given out again
        while self.queue and self.queue[0].woken:
            borrower = self.queue.pop(0)
            assert (borrower.woken, borrower.waiter.item.in_use) == (1, True)
            self.holding.append(borrower)
        assert not [borrower for borrower in self.queue if borrower.woken], "served out of turn"

    @rule()
    def borrow(self):
        borrower = Borrower()
        borrower.waiter.item = self.state.checkout(self.now)
        if borrower.waiter.item is not None:
            self.holding.append(borrower)
            return
        self.queue.append(borrower)
        self.do(self.state.request(borrower.waiter, self.now))

    @precondition(lambda self: self.connecting)
    @rule(data=st.data(), works=st.booleans())
    def connect(self, data, works):
        target = data.draw(st.sampled_from(self.connecting))
        self.connecting.remove(target)
        if works:
            self.do(self.state.connected(target, Connection(), self.now))
        else:
            self.do(self.state.not_connected(target, self.now, "refused"))

    @precondition(lambda self: self.holding)
    @rule(data=st.data(), broken=st.booleans())
    def release(self, data, broken):
        borrower = data.draw(st.sampled_from(self.holding))
        self.holding.remove(borrower)
        thing = borrower.waiter.item.obj
        if broken or not self.state.fast_release(thing, self.now):
            self.do(self.state.release(thing, self.now, broken=broken))

    @precondition(lambda self: self.queue)
    @rule(data=st.data())
    def time_out(self, data):
        borrower = data.draw(st.sampled_from(self.queue))
        self.queue.remove(borrower)
        self.do(self.state.cancel(borrower.waiter, self.now, timed_out=True))

    @precondition(lambda self: self.holding)
    @rule(data=st.data())
    def cancelled_after_being_served(self, data):
        borrower = data.draw(st.sampled_from(self.holding))
        self.holding.remove(borrower)
        self.do(self.state.cancel(borrower.waiter, self.now))

    @precondition(lambda self: self.holding)
    @rule(data=st.data())
    def broken_when_it_was_lent(self, data):
        """The borrower goes back to the front of the queue."""
        borrower = data.draw(st.sampled_from(self.holding))
        self.holding.remove(borrower)
        self.do(self.state.release(borrower.waiter.item.obj, self.now, broken=True))
        again = Borrower()
        self.queue.insert(0, again)
        self.do(self.state.request(again.waiter, self.now, first=True))

    @precondition(lambda self: self.state.idle)
    @rule(data=st.data())
    def begin_a_check(self, data):
        item = data.draw(st.sampled_from(self.state.idle))
        assert self.state.take_for_check(item)
        assert not self.state.take_for_check(item)
        self.checking.append(item)

    @precondition(lambda self: self.checking)
    @rule(data=st.data(), broken=st.booleans())
    def end_a_check(self, data, broken):
        item = data.draw(st.sampled_from(self.checking))
        self.checking.remove(item)
        self.do(self.state.checked(item, self.now, broken=broken))

    @rule(seconds=st.sampled_from([0.01, 1.0, 11.0, 61.0]))
    def time_passes(self, seconds):
        self.now += seconds
        self.do(self.state.tick(self.now))
        assert not [item for item in self.state.idle if item.expires_at <= self.now]

    @rule(sizes=st.tuples(st.integers(0, 3), st.integers(1, 4)))
    def resize(self, sizes):
        self.do(self.state.resize(min(sizes), max(sizes), self.now))

    @invariant()
    def everything_is_somewhere_once(self):
        state = self.state
        places = [len(state.idle), len(self.holding), len(self.checking), len(self.connecting)]
        assert state.size == sum(places)
        assert state.connecting == len(self.connecting)
        lent = {id(borrower.waiter.item.obj) for borrower in self.holding}
        assert lent == set(state.in_use)
        assert len(lent) == len(self.holding), "lent twice"
        assert not lent & {id(item.obj) for item in state.idle}
        assert not lent & self.closed

    @invariant()
    def never_more_are_made_than_the_limit_allows(self):
        if self.connecting:
            assert self.state.size - len(self.connecting) <= max(4, self.state.limits.max_size)
        assert len(self.state.idle) + len(self.connecting) <= 4

    @invariant()
    def no_borrower_waits_for_an_idle_item(self):
        if self.queue:
            assert not self.state.idle

    @invariant()
    def every_waiter_will_be_served_or_retried(self):
        """A connection that is lent, made or checked; or all targets are left alone for a while, and that ends."""
        if self.queue and not (self.holding or self.connecting or self.checking):
            assert self.state.next_tick(self.now) is not None

    @invariant()
    def targets_know_their_connections(self):
        total = sum(target.connections for target in self.state.targets.by_name.values())
        assert total == self.state.size
        assert sum(target.in_use for target in self.state.targets.by_name.values()) == len(self.state.in_use)


Machine.TestCase.settings = settings(max_examples=150, stateful_step_count=50)
TestConnectionState = Machine.TestCase


def state_of(least=0, most=3, targets=("a",), **limits):
    limits = Limits(least, most, **({"max_idle": 10.0, "max_lifetime": 100.0, "jitter": 0.0} | limits))
    return ConnectionState("pool", limits, targets, lambda: 0.5)


def connected(state, number, now=0.0):
    """So many idle connections."""
    things = []
    for name in itertools.islice(itertools.cycle(state.targets.by_name), number):
        state.connecting += 1
        state.targets.by_name[name].connecting += 1
        state.targets.by_name[name].connections += 1
        things.append(Connection())
        state.connected(name, things[-1], now)
    return things


def test_the_minimum_is_filled_and_kept():
    state = state_of(least=2)
    assert state.tick(0).connect == ["a", "a"]
    assert state.tick(0).connect == []  # they are on their way
    state.connected("a", Connection(), 0)
    state.connected("a", Connection(), 0)
    assert state.tick(50).close == []  # idle for long, and the minimum
    actions = state.tick(100)  # too old, and replaced
    assert (len(actions.close), actions.connect) == (2, ["a", "a"])


def test_idle_connections_are_closed_down_to_the_minimum_the_oldest_first():
    state = state_of(least=1)
    first, second, third = connected(state, 3)
    for _ in range(3):
        state.checkout(5)
    for thing in (second, third, first):
        assert state.fast_release(thing, 5)
    assert state.next_tick(5) == 15
    assert [item.obj for item in state.tick(15).close] == [second, third]


def test_lifetimes_differ_by_the_jitter():
    state = ConnectionState("pool", Limits(0, 3, 10.0, 100.0, 0.1), ["a"], iter([0.0, 1.0, 0.5]).__next__)
    connected(state, 3)
    assert [item.expires_at for item in state.idle] == [100, 90, 95]


def test_a_connection_that_is_too_old_is_not_lent():
    state = state_of()
    connected(state, 1)
    assert state.checkout(100) is None
    borrower = Borrower()
    actions = state.request(borrower.waiter, 100)
    assert (len(actions.close), actions.connect, borrower.woken) == (1, ["a"], 0)


def test_a_new_connection_goes_to_the_target_with_the_fewest():
    state = state_of(least=3, targets=("a", "b"))
    assert sorted(state.tick(0).connect) == ["a", "a", "b"]


def test_of_several_targets_the_least_used_one_lends():
    state = state_of(most=4, targets=("a", "b"))
    connected(state, 4)
    lent = [state.checkout(1).target.name for _ in range(4)]
    assert sorted(lent[:2]) == ["a", "b"]
    assert sorted(lent[2:]) == ["a", "b"]


def test_an_unhealthy_target_is_left_out_and_tried_again():
    state = state_of(least=2, most=4, targets=("a", "b"))
    assert sorted(state.tick(0).connect) == ["a", "b"]
    assert state.not_connected("a", 0, "refused").connect == ["b"]
    assert state.targets.problems() == "a: refused"
    state.connected("b", Connection(), 0)
    state.connected("b", Connection(), 0)
    borrowers = [Borrower() for _ in range(3)]
    actions = [state.request(borrower.waiter, MIN_PAUSE * 2).connect for borrower in borrowers]
    assert actions == [[], [], ["a", "b"]]  # it is tried, and no borrower waits for that alone
    state.connected("b", Connection(), 1)
    assert [borrower.woken for borrower in borrowers] == [1, 1, 1]
    assert state.request(Borrower().waiter, 1).connect == []
    assert state.resize(0, 5, 1).connect == ["b"]


def test_pauses_double_up_to_the_most_and_end_with_a_success():
    targets = Targets(["a"], lambda: 0.5)
    pauses = []
    for _ in range(12):
        targets.failed("a", 0, "refused")
        pauses.append(targets.next_retry(0))
    assert pauses[:3] == [MIN_PAUSE, 2 * MIN_PAUSE, 4 * MIN_PAUSE]
    assert pauses[-1] == MAX_PAUSE
    assert targets.pick(1, spare=True) is None
    assert targets.pick(MAX_PAUSE, spare=False).name == "a"
    targets.succeeded("a")
    assert (targets.pick(0, spare=True).name, targets.problems()) == ("a", "")


def test_a_failed_target_is_tried_by_one_connection_at_a_time():
    state = state_of(least=3)
    assert state.tick(0).connect == ["a"] * 3
    for _ in range(3):
        state.not_connected("a", 0, "refused")
    assert state.tick(0).connect == []
    assert state.tick(state.next_tick(0)).connect == ["a"]
    assert state.connected("a", Connection(), 50).connect == ["a", "a"]


def test_a_smaller_pool_closes_connections_beyond_its_size():
    state = state_of(most=3)
    connected(state, 3)
    lent = state.checkout(0)
    assert len(state.resize(0, 1, 0).close) == 2
    borrower = Borrower()
    state.request(borrower.waiter, 0)
    assert state.release(lent.obj, 0).close == []
    assert borrower.woken == 1


def test_a_closed_pool_wakes_waiters_and_closes_released_connections():
    state = state_of(most=1)
    (thing,) = connected(state, 1)
    state.checkout(0)
    borrower = Borrower()
    state.request(borrower.waiter, 0)
    assert state.close().close == []
    assert (borrower.woken, borrower.waiter.item) == (1, None)
    with pytest.raises(PoolClosed):
        state.request(Borrower().waiter, 0)
    assert [item.obj for item in state.release(thing, 0).close] == [thing]
    with pytest.raises(NotInUse):
        state.release(thing, 0)


def test_shrinking_closes_idle_connections_down_to_the_minimum():
    state = state_of(least=1, most=5)
    connected(state, 5)
    assert len(state.shrink(3).close) == 2
    assert len(state.shrink(0).close) == 2
