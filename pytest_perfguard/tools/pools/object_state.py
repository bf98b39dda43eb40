"""What an object pool decides: who gets which object, who may make one, who waits. No thread, no loop, no clock.

Each call is one step under the shell's lock. Borrowers are served in the order in which they came: an object that comes
back, or room for a new one, goes to whoever waits the longest.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Generic, TypeVar

from pytest_perfguard.core.tool_errors import PoolClosed
from pytest_perfguard.tools.pools.items import PooledItem, Waiter, not_lent

T = TypeVar("T")


@dataclass(frozen=True)
class ObjectPoolStats:
    """Numbers of an object pool. `size` counts those that are being made, too."""

    size: int
    idle: int
    in_use: int
    waiting: int
    created: int
    """Ever."""
    reused: int
    destroyed: int
    acquisitions: int
    timeouts: int
    high_water: int
    """The most that were in use at one time."""


class ObjectState(Generic[T]):
    """The objects of one pool and its borrowers."""

    def __init__(self, name: str, max_size: int) -> None:
        self.name = name
        self.max_size = max_size
        self.closed = False
        self.idle: list[PooledItem[T]] = []
        self.lent: dict[int, PooledItem[T]] = {}
        """By identity of the object."""
        self.waiting: deque[Waiter[T]] = deque()
        self.making = 0
        self.created = self.destroyed = self.acquisitions = self.reused = self.timeouts = self.high_water = 0

    @property
    def size(self) -> int:
        return len(self.idle) + len(self.lent) + self.making

    def add(self, entry: PooledItem[T]) -> None:
        """One more, to begin with."""
        self.created += 1
        self.idle.append(entry)

    def quick(self) -> PooledItem[T] | None:
        """Lend an idle object, where there is one: nobody waits then."""
        if not self.idle or self.closed:
            return None
        entry = self.idle.pop()
        self.reused += 1
        self._assign(entry)
        return entry

    def take(self, ticket: Waiter[T]) -> None:
        """Serve the ticket now, with an object or the permission to make one; or let it wait.

        Raises
        ------
        PoolClosed
        """
        if self.closed:
            raise PoolClosed(self.name, "the pool is closed")
        if (entry := self.quick()) is not None:
            ticket.entry = entry
            ticket.call()
        elif self.size < self.max_size and not self.waiting:
            self._permit(ticket)
        else:
            self.waiting.append(ticket)

    def made(self, entry: PooledItem[T], ticket: Waiter[T]) -> None:
        """The ticket that was permitted to make an object has made this one, and takes it."""
        self.making -= 1
        self.created += 1
        self._assign(entry)
        ticket.entry, ticket.may_create = entry, False

    def not_made(self) -> None:
        """Making one failed: the next one may try."""
        self.making -= 1
        self._use_room()

    def come_back(self, thing: T) -> PooledItem[T]:
        """An object is given back; it is nobody's until `keep` or `drop` says what becomes of it.

        Raises
        ------
        NotLent
        """
        entry = self.lent.pop(id(thing), None)
        if entry is None:
            raise not_lent(self.name, thing, self.idle)
        self.making += 1  # it still takes its place
        return entry

    def keep(self, entry: PooledItem[T]) -> bool:
        """Give it to whoever waits, or keep it; False: there is no place for it, and it is to be destroyed."""
        self.making -= 1
        if self.closed or self.size >= self.max_size:
            self.destroyed += 1
            return False
        if self.waiting:
            ticket = self.waiting.popleft()
            self.reused += 1
            self._assign(entry)
            ticket.entry = entry
            ticket.call()
            return True
        self.idle.append(entry)
        return True

    def drop(self) -> None:
        """What came back is no longer fit: its room goes to whoever waits."""
        self.making -= 1
        self.destroyed += 1
        self._use_room()

    def give_up(self, ticket: Waiter[T], *, timed_out: bool = False) -> PooledItem[T] | None:
        """The borrower no longer wants to wait. An object that it was given meanwhile is handed on by `come_back`, or
        returned here where it must be destroyed."""
        self.timeouts += timed_out
        if ticket.may_create:
            self.not_made()
        elif ticket.entry is not None:
            entry = self.come_back(ticket.entry.thing)
            return None if self.keep(entry) else entry
        elif ticket in self.waiting:  # else the pool was closed
            self.waiting.remove(ticket)
        return None

    def shrink(self, size: int) -> list[PooledItem[T]]:
        """Keep at most so many idle objects, those that were used last; the others are to be destroyed."""
        cut = max(0, len(self.idle) - size)
        gone, self.idle = self.idle[:cut], self.idle[cut:]
        self.destroyed += len(gone)
        return gone

    def close(self) -> list[PooledItem[T]]:
        """Lend nothing any more; who waits is woken up with nothing. The idle objects are to be destroyed."""
        self.closed = True
        for ticket in self.waiting:
            ticket.call()
        self.waiting.clear()
        return self.shrink(0)

    def timeout_text(self, seconds: float) -> str:
        """What is said to who has waited in vain."""
        return (
            f"nothing came free within {seconds:g} s: {len(self.lent)} of {self.max_size} are in use, "
            f"{len(self.waiting)} others wait"
        )

    def stats(self) -> ObjectPoolStats:
        return ObjectPoolStats(
            self.size, len(self.idle), len(self.lent), len(self.waiting), self.created, self.reused, self.destroyed,
            self.acquisitions, self.timeouts, self.high_water,
        )  # fmt: skip

    def _assign(self, entry: PooledItem[T]) -> None:
        self.acquisitions += 1
        entry.number = self.acquisitions
        self.lent[id(entry.thing)] = entry
        if len(self.lent) > self.high_water:
            self.high_water = len(self.lent)

    def _permit(self, ticket: Waiter[T]) -> None:
        self.making += 1
        ticket.may_create = True
        ticket.call()

    def _use_room(self) -> None:
        if self.waiting and self.size < self.max_size:
            self._permit(self.waiting.popleft())
