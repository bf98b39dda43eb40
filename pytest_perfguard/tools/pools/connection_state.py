"""What a connection pool decides: who gets which connection, which are made, checked, closed. No thread, no loop, no clock.

Each call is one step under the shell's lock, and returns what the shell must do outside of it. Borrowers are served in the
order in which they came. A connection that is being made counts, and is made while others lend and return.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Generic, TypeVar

from pytest_perfguard.core.tool_errors import PoolClosed
from pytest_perfguard.tools.pools.items import Actions, Limits, PooledItem, Waiter, not_lent, sorted_out
from pytest_perfguard.tools.pools.targets import Targets

C = TypeVar("C")


class ConnectionState(Generic[C]):
    """The connections of one pool and its borrowers."""

    def __init__(self, name: str, limits: Limits, targets: Iterable[str], random: Callable[[], float]) -> None:
        self.name = name
        self.limits = limits
        self.targets = Targets(targets, random)
        self._single = len(self.targets.by_name) == 1
        self._random = random
        self.closed = False
        self.idle: list[PooledItem[C]] = []
        """The one that was used last is last."""
        self.lent: dict[int, PooledItem[C]] = {}
        """By identity of the connection."""
        self.checking: set[int] = set()
        """Identities of those that are out for a check, and not lent."""
        self.waiting: OrderedDict[Waiter[C], None] = OrderedDict()
        self.connecting = 0
        self._too_large = False
        self.created = self.destroyed = self.acquisitions = self.timeouts = 0

    @property
    def size(self) -> int:
        return len(self.idle) + len(self.lent) + len(self.checking) + self.connecting

    @property
    def all_back(self) -> bool:
        """Is nothing lent, nor out for a check?"""
        return not self.lent and not self.checking

    def quick(self, now: float) -> PooledItem[C] | None:
        """Lend an idle connection, where there is one and nobody waits; of several targets one of the least used."""
        if not self.idle or self.waiting or self.closed:
            return None
        entry = self.idle.pop() if self._single else self._pop_least_used()
        if entry.dies <= now:
            self.idle.append(entry)  # for `tick` to close
            return None
        # `_lend`, in place: a call would take as long as the rest.
        self.acquisitions = entry.number = self.acquisitions + 1
        entry.lent = True
        self.lent[id(entry.thing)] = entry
        entry.target.in_use += 1
        return entry

    def join(self, ticket: Waiter[C], now: float, *, first: bool = False) -> Actions[C]:
        """Serve the ticket now or let it wait, `first` in the queue if it has waited already; or PoolClosed is raised."""
        if self.closed:
            raise PoolClosed(self.name, "the pool is closed")
        self.waiting[ticket] = None
        if first:
            self.waiting.move_to_end(ticket, last=False)
        return self.tick(now)

    def give_up(self, ticket: Waiter[C], now: float, *, timed_out: bool = False) -> Actions[C]:
        """The borrower no longer wants to wait; a connection that it was given meanwhile is handed on."""
        self.timeouts += timed_out
        if ticket.entry is not None:
            return self.come_back(ticket.entry.thing, now)
        self.waiting.pop(ticket, None)
        return Actions()

    def quick_return(self, thing: C, now: float) -> bool:
        """Take back a connection that nobody waits for and that may stay."""
        entry = self.lent.get(id(thing))
        if entry is None or self.waiting or self.closed or entry.dies <= now or self._too_large:
            return False
        del self.lent[id(thing)]
        entry.target.in_use -= 1
        entry.lent, entry.stack = False, ()
        entry.idle_since = now
        self.idle.append(entry)
        return True

    def come_back(self, thing: C, now: float, *, broken: bool = False) -> Actions[C]:
        """A connection is given back, as `take_out` and `put_back`."""
        return self.put_back(self.take_out(thing), now, broken=broken)

    def take_out(self, thing: C) -> PooledItem[C]:
        """A connection is given back; it is nobody's until `put_back` says how it is; or NotLent is raised."""
        entry = self.lent.pop(id(thing), None)
        if entry is None:
            raise not_lent(self.name, thing, self.idle)
        entry.target.in_use -= 1
        entry.lent, entry.stack = False, ()
        self.checking.add(id(thing))
        return entry

    def put_back(self, entry: PooledItem[C], now: float, *, broken: bool) -> Actions[C]:
        """It goes to whoever waits, to the idle ones, or is closed and replaced."""
        self.checking.discard(id(entry.thing))
        return self._settle(entry, now, broken=broken)

    def connected(self, target: str, thing: C, now: float) -> Actions[C]:
        """A connection was made."""
        self.connecting -= 1
        self.created += 1
        self.targets.by_name[target].connecting -= 1
        self.targets.succeeded(target)
        lifetime = self.limits.max_lifetime * (1 - self.limits.jitter * self._random())
        return self._settle(PooledItem(thing, now, now + lifetime, self.targets.by_name[target]), now)

    def not_connected(self, target: str, now: float, problem: str) -> Actions[C]:
        """Making one failed: the target is left alone for a while, another one may do."""
        self.connecting -= 1
        self.targets.by_name[target].connecting -= 1
        self.targets.by_name[target].connections -= 1
        self.targets.failed(target, now, problem)
        return self.tick(now)

    def take_for_check(self, entry: PooledItem[C]) -> bool:
        """Take an idle connection out for a check: it is nobody's until `checked` says how it is. False: it is lent or gone."""
        if entry not in self.idle:
            return False
        self.idle.remove(entry)
        self.checking.add(id(entry.thing))
        return True

    def checked(self, entry: PooledItem[C], now: float, *, broken: bool) -> Actions[C]:
        """How a check came out; to be checked is not to be used."""
        since = entry.idle_since
        todo = self.put_back(entry, now, broken=broken)
        if not entry.lent:
            entry.idle_since = since
        return todo

    def tick(self, now: float) -> Actions[C]:
        """Close what is too old, or idle for too long; connect for those who wait, and up to the minimum."""
        todo: Actions[C] = Actions()
        self._too_large = self.size > self.limits.max_size
        self._serve(now, todo)
        self._expire(now, todo)
        while self._wants_more():
            target = self.targets.pick(now, spare=self.size + 1 < self.limits.max_size)
            if target is None:
                break
            target.connections += 1
            target.connecting += 1
            self.connecting += 1
            todo.connect.append(target.name)
        return todo

    def next_tick(self, now: float) -> float | None:
        """When `tick` will have something to do by itself; None: not before something happens."""
        times = [entry.dies for entry in self.idle]
        if self.size > self.limits.min_size:
            times += [entry.idle_since + self.limits.max_idle for entry in self.idle]
        if self._wants_more() and (retry := self.targets.next_retry(now)) is not None:
            times.append(retry)
        return min(times, default=None)

    def resize(self, min_size: int, max_size: int, now: float) -> Actions[C]:
        """Other sizes from now on; what is lent beyond them is closed when it comes back."""
        self.limits = replace(self.limits, min_size=min_size, max_size=max_size)
        return self.tick(now)

    def shrink(self, size: int) -> Actions[C]:
        """Close idle connections until at most `size` are left, those that were used last, and the minimum in all."""
        todo: Actions[C] = Actions()
        while len(self.idle) > size and self.size > self.limits.min_size:
            self._retire(self.idle.pop(0), todo)
        return todo

    def close(self) -> Actions[C]:
        """Lend nothing any more: who waits is woken up with nothing, the idle ones are closed, the others as they come."""
        self.closed = True
        for ticket in self.waiting:
            ticket.call()
        self.waiting.clear()
        todo: Actions[C] = Actions()
        for entry in self.idle:
            self._retire(entry, todo)
        self.idle = []
        return todo

    def _wants_more(self) -> bool:
        if self.closed or self.size >= self.limits.max_size:
            return False
        return self.targets.promising < len(self.waiting) or self.size < self.limits.min_size

    def _settle(self, entry: PooledItem[C], now: float, *, broken: bool = False) -> Actions[C]:
        """An entry that is nobody's: keep it, or retire it."""
        todo: Actions[C] = Actions()
        if broken or self.closed or entry.dies <= now or self.size >= self.limits.max_size:
            self._retire(entry, todo)
        else:
            entry.idle_since = now
            self.idle.append(entry)
        more = self.tick(now)
        return Actions(more.connect, todo.close + more.close)

    def _serve(self, now: float, todo: Actions[C]) -> None:
        """Give idle connections to those who wait."""
        while self.waiting and self.idle:
            entry = self._pop_least_used()
            if entry.dies <= now:
                self._retire(entry, todo)
                continue
            ticket, _none = self.waiting.popitem(last=False)
            self._lend(entry)
            ticket.entry = entry
            ticket.call()

    def _lend(self, entry: PooledItem[C]) -> None:
        self.acquisitions += 1
        entry.number = self.acquisitions
        entry.lent = True
        self.lent[id(entry.thing)] = entry
        entry.target.in_use += 1

    def _pop_least_used(self) -> PooledItem[C]:
        """The idle connection used last among those of the least used target."""
        if self._single:
            return self.idle.pop()
        places = range(len(self.idle))
        return self.idle.pop(max(places, key=lambda place: (-self.idle[place].target.in_use, place)))

    def _expire(self, now: float, todo: Actions[C]) -> None:
        self.idle, gone = sorted_out(self.idle, now, self.limits, self.size)
        for entry in gone:
            self._retire(entry, todo)

    def _retire(self, entry: PooledItem[C], todo: Actions[C]) -> None:
        self.destroyed += 1
        entry.target.connections -= 1
        todo.close.append(entry)
