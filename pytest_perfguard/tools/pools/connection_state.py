"""State machine of a connection pool: which borrower gets which connection, which are made, checked and closed.

No thread, loop or clock. Each call is one step under the shell's lock, and returns the actions that the shell must take
outside of the lock. Borrowers are served in the order of their arrival. A connection in the making counts towards the
size, and is made while others are borrowed and released.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Generic, TypeVar

from pytest_perfguard.core.tool_errors import PoolClosed, TooManyWaiting
from pytest_perfguard.tools.pools.items import (
    Actions,
    AlreadyPooled,
    Limits,
    NotInUse,
    PooledItem,
    Waiter,
    split_expired,
)
from pytest_perfguard.tools.pools.targets import Targets

C = TypeVar("C")


class ConnectionState(Generic[C]):
    """The connections of one pool and its borrowers."""

    def __init__(
        self,
        name: str,
        limits: Limits,
        targets: Iterable[str],
        random: Callable[[], float],
        max_waiting: int = 0,
    ) -> None:
        self.name = name
        self.limits = limits
        self.max_waiting = max_waiting
        """Maximum number of waiting borrowers; 0: no limit."""
        self.targets = Targets(targets, random)
        self._single = len(self.targets.by_name) == 1
        self._random = random
        self.closed = False
        self.idle: list[PooledItem[C]] = []
        """The most recently used item is last."""
        self.in_use: dict[int, PooledItem[C]] = {}
        """By identity of the connection."""
        self.checking: dict[int, PooledItem[C]] = {}
        """Connections that are being checked or reset: neither idle nor in use."""
        self.waiting: OrderedDict[Waiter[C], None] = OrderedDict()
        self.connecting = 0
        self._too_large = False
        self.created = self.destroyed = self.acquisitions = self.timeouts = self.failed = 0

    def empty(self) -> ConnectionState[C]:
        """Return a state without connections and borrowers: that of a forked child, or of the next event loop."""
        names = list(self.targets.by_name)
        state: ConnectionState[C] = ConnectionState(self.name, self.limits, names, self._random, self.max_waiting)
        state.closed = self.closed
        return state

    @property
    def size(self) -> int:
        return len(self.idle) + len(self.in_use) + len(self.checking) + self.connecting

    @property
    def filled(self) -> bool:
        """Return whether the minimum number of connections has been made."""
        return self.size - self.connecting >= self.limits.min_size

    @property
    def all_returned(self) -> bool:
        """Return whether no connection is in use or being checked."""
        return not self.in_use and not self.checking

    def checkout(self, now: float) -> PooledItem[C] | None:
        """Lend an idle connection where there is one and no borrower waits; of several targets, one of the least used."""
        if not self.idle or self.waiting or self.closed:
            return None
        item = self.idle.pop() if self._single else self._pop_least_used()
        if item.expires_at <= now:
            self.idle.append(item)  # for `tick` to close
            return None
        # `_lend`, in place: a call would take as long as the rest.
        self.acquisitions = item.number = self.acquisitions + 1
        item.in_use = True
        self.in_use[id(item.obj)] = item
        item.target.in_use += 1
        return item

    def request(self, waiter: Waiter[C], now: float, *, first: bool = False) -> Actions[C]:
        """Serve the waiter now or let it wait, `first` in the queue if it has waited already.

        Raises
        ------
        PoolClosed
        TooManyWaiting
        """
        if self.closed:
            raise PoolClosed(self.name, "the pool is closed")
        self.waiting[waiter] = None
        if first:
            self.waiting.move_to_end(waiter, last=False)
        actions = self.tick(now)
        if self.max_waiting and len(self.waiting) > self.max_waiting and not first:
            del self.waiting[waiter]
            self.failed += 1
            raise TooManyWaiting(self.name, f"{self.max_waiting} borrowers wait already (max_waiting)")
        return actions

    def cancel(self, waiter: Waiter[C], now: float, *, timed_out: bool = False) -> Actions[C]:
        """Remove a waiter. A connection that it was given meanwhile is passed on."""
        self.timeouts += timed_out
        if waiter.item is not None:
            return self.release(waiter.item.obj, now)
        self.waiting.pop(waiter, None)
        return Actions()

    def time_out(self, waiter: Waiter[C]) -> bool:
        """Remove a waiter whose time is over; False: it was served at the last moment, or the pool has been closed."""
        if waiter.item is not None or self.closed:
            return False
        self.cancel(waiter, 0.0, timed_out=True)
        return True

    def fast_release(self, obj: C, now: float) -> bool:
        """Take back a connection that no borrower waits for and that may stay; False: use `release`."""
        item = self.in_use.get(id(obj))
        if item is None or self.waiting or self.closed or item.expires_at <= now or self._too_large:
            return False
        del self.in_use[id(obj)]
        item.target.in_use -= 1
        item.in_use, item.stack = False, ()
        item.idle_since = now
        self.idle.append(item)
        return True

    def release(self, obj: C, now: float, *, broken: bool = False) -> Actions[C]:
        """Take a connection back: `begin_release`, then `checkin`."""
        return self.checkin(self.begin_release(obj), now, broken=broken)

    def begin_release(self, obj: C) -> PooledItem[C]:
        """Take a connection from its borrower. `checkin` must follow.

        Raises
        ------
        NotInUse
        """
        item = self.in_use.pop(id(obj), None)
        if item is None:
            raise NotInUse(any(item.obj is obj for item in self.idle))
        item.target.in_use -= 1
        item.in_use, item.stack = False, ()
        self.checking[id(obj)] = item
        return item

    def checkin(self, item: PooledItem[C], now: float, *, broken: bool) -> Actions[C]:
        """Give the connection to the first waiter, keep it, or close and replace it."""
        self.checking.pop(id(item.obj), None)
        return self._place(item, now, broken=broken)

    def connected(self, target: str, obj: C, now: float) -> Actions[C]:
        """Take in a new connection.

        Raises
        ------
        AlreadyPooled
            `not_connected` must follow.
        """
        if id(obj) in self.in_use or id(obj) in self.checking or any(item.obj is obj for item in self.idle):
            raise AlreadyPooled
        self.connecting -= 1
        self.created += 1
        self.targets.by_name[target].connecting -= 1
        recovered = self.targets.succeeded(target)
        lifetime = self.limits.max_lifetime * (1 - self.limits.jitter * self._random())
        actions = self._place(PooledItem(obj, now, now + lifetime, self.targets.by_name[target]), now)
        if recovered:
            actions.log.append((logging.INFO, f"{target} can be connected to again"))
        return actions

    def not_connected(self, target: str, now: float, problem: str) -> Actions[C]:
        """Record a failed attempt: the target is skipped for a while, and another one is tried."""
        self.connecting -= 1
        self.targets.by_name[target].connecting -= 1
        self.targets.by_name[target].connections -= 1
        first = self.targets.failed(target, now, problem)
        actions = self.tick(now)
        if first:
            actions.log.append((logging.WARNING, f"{target} cannot be connected to: {problem}"))
        return actions

    def take_for_check(self, item: PooledItem[C]) -> bool:
        """Take an idle connection out for a check. `checked` must follow; False: it is in use or gone."""
        if item not in self.idle:
            return False
        self.idle.remove(item)
        self.checking[id(item.obj)] = item
        return True

    def checked(self, item: PooledItem[C], now: float, *, broken: bool) -> Actions[C]:
        """Take a checked connection back. A check does not count as use."""
        since = item.idle_since
        actions = self.checkin(item, now, broken=broken)
        if not item.in_use:
            item.idle_since = since
        return actions

    def tick(self, now: float) -> Actions[C]:
        """Serve waiters, close what is too old or idle for too long, and connect for waiters and up to the minimum."""
        actions: Actions[C] = Actions()
        self._too_large = self.size > self.limits.max_size
        self._serve(now, actions)
        self._expire(now, actions)
        while self._wants_more():
            target = self.targets.pick(
                now,
                spare=self.size + 1 < self.limits.max_size,
                urgent=bool(self.waiting),
                max_connecting=self.limits.max_connecting,
            )
            if target is None:
                break
            target.connections += 1
            target.connecting += 1
            self.connecting += 1
            actions.connect.append(target.name)
        return actions

    def next_tick(self, now: float) -> float | None:
        """Return the time at which `tick` has work without a further event; None: there is none."""
        times = [item.expires_at for item in self.idle]
        if self.size > self.limits.min_size:
            times += [item.idle_since + self.limits.max_idle for item in self.idle]
        if self._wants_more() and (retry := self.targets.next_retry(now, urgent=bool(self.waiting))) is not None:
            times.append(retry)
        return min(times, default=None)

    def resize(self, min_size: int, max_size: int, now: float) -> Actions[C]:
        """Change the sizes. Connections in use beyond the maximum are closed when they are released."""
        self.limits = replace(self.limits, min_size=min_size, max_size=max_size)
        return self.tick(now)

    def shrink(self, size: int) -> Actions[C]:
        """Close the least recently used idle connections until at most `size` are left, or the minimum in all."""
        actions: Actions[C] = Actions()
        while len(self.idle) > max(0, size) and self.size > self.limits.min_size:
            self._retire(self.idle.pop(0), actions)
        return actions

    def replace_all(self, now: float) -> Actions[C]:
        """Close the idle connections and make new ones. Those in use are closed when they are released."""
        for item in (*self.idle, *self.in_use.values(), *self.checking.values()):
            item.expires_at = min(item.expires_at, now)
        return self.tick(now)

    def close(self) -> Actions[C]:
        """Stop lending, wake all waiters with nothing, and close the idle connections."""
        self.closed = True
        for waiter in self.waiting:
            waiter.wake()
        self.waiting.clear()
        actions: Actions[C] = Actions()
        for item in self.idle:
            self._retire(item, actions)
        self.idle = []
        return actions

    def _wants_more(self) -> bool:
        if self.closed or self.size >= self.limits.max_size:
            return False
        return self.targets.promising < len(self.waiting) or self.size < self.limits.min_size

    def _place(self, item: PooledItem[C], now: float, *, broken: bool = False) -> Actions[C]:
        """Keep a connection that is neither idle nor in use, or retire it."""
        actions: Actions[C] = Actions()
        if broken or self.closed or item.expires_at <= now or self.size >= self.limits.max_size:
            self._retire(item, actions)
        else:
            item.idle_since = now
            self.idle.append(item)
        more = self.tick(now)
        return Actions(more.connect, actions.close + more.close)

    def _serve(self, now: float, actions: Actions[C]) -> None:
        """Lend idle connections to the waiters."""
        while self.waiting and self.idle:
            item = self._pop_least_used()
            if item.expires_at <= now:
                self._retire(item, actions)
                continue
            waiter, _none = self.waiting.popitem(last=False)
            self._lend(item)
            waiter.item = item
            waiter.wake()

    def _lend(self, item: PooledItem[C]) -> None:
        self.acquisitions += 1
        item.number = self.acquisitions
        item.in_use = True
        self.in_use[id(item.obj)] = item
        item.target.in_use += 1

    def _pop_least_used(self) -> PooledItem[C]:
        """Return the most recently used idle connection of the target with the fewest in use."""
        if self._single:
            return self.idle.pop()
        places = range(len(self.idle))
        return self.idle.pop(max(places, key=lambda place: (-self.idle[place].target.in_use, place)))

    def _expire(self, now: float, actions: Actions[C]) -> None:
        self.idle, expired = split_expired(self.idle, now, self.limits, self.size)
        for item in expired:
            self._retire(item, actions)

    def _retire(self, item: PooledItem[C], actions: Actions[C]) -> None:
        self.destroyed += 1
        item.target.connections -= 1
        actions.close.append(item)
