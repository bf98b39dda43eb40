"""State machine of an object pool: which borrower gets which object, may create one, or waits. No thread and no loop.

Each call is one step under the shell's lock. A released object, or room for a new one, goes to the borrower that has
waited for longest. A pool of threads may let others pass for some milliseconds: a released object is idle at once, the
first borrower is woken, and a thread that runs already may be there before it. That saves a switch of threads for each
acquisition. A borrower that has waited for `max_passing` seconds is passed by nobody.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from pytest_perfguard.core.tool_errors import PoolClosed
from pytest_perfguard.tools.pools.items import AlreadyPooled, NotInUse, PooledItem, Waiter

T = TypeVar("T")


@dataclass(frozen=True)
class ObjectPoolStats:
    """Statistics of an object pool. `size` includes the objects that are being created."""

    size: int
    idle: int
    in_use: int
    waiting: int
    created: int
    """Since the pool was made; so are `reused`, `destroyed`, `acquisitions`, `timeouts`, `high_water`."""
    reused: int
    destroyed: int
    acquisitions: int
    timeouts: int
    high_water: int
    """Largest number of objects in use at one time."""


class ObjectState(Generic[T]):
    """The objects of one pool and its borrowers."""

    def __init__(
        self, name: str, max_size: int, max_passing: float = 0.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.max_size = max_size
        self.max_passing = max_passing
        """Seconds of waiting during which others may pass; 0: in the order of arrival always."""
        self._clock = clock
        self.closed = False
        self.idle: list[PooledItem[T]] = []
        """The most recently used item is last."""
        self.in_use: dict[int, PooledItem[T]] = {}
        """By identity of the object."""
        self.waiting: deque[Waiter[T]] = deque()
        self.making = 0
        self._ids: set[int] = set()
        self.created = self.destroyed = self.acquisitions = self.reused = self.timeouts = self.high_water = 0

    def empty(self) -> ObjectState[T]:
        """Return a state without objects and borrowers: that of a forked child, or of the next event loop."""
        state: ObjectState[T] = ObjectState(self.name, self.max_size, self.max_passing, self._clock)
        state.closed = self.closed
        return state

    @property
    def size(self) -> int:
        return len(self.idle) + len(self.in_use) + self.making

    def checkout(self) -> PooledItem[T] | None:
        """Lend an idle object, where there is one. Borrowers that wait then have been woken."""
        if not self.idle or self.closed:
            return None
        item = self.idle.pop()
        self.reused += 1
        # `_assign`, in place: a call would take as long as the rest.
        self.acquisitions = item.number = self.acquisitions + 1
        self.in_use[id(item.obj)] = item
        if len(self.in_use) > self.high_water:
            self.high_water = len(self.in_use)
        return item

    def request(self, waiter: Waiter[T]) -> None:
        """Serve the waiter now, with an object or the permission to create one; or let it wait.

        Raises
        ------
        PoolClosed
        """
        if self.closed:
            raise PoolClosed(self.name, "the pool is closed")
        if (item := self.checkout()) is not None:
            waiter.item = item
            self._wake(waiter)
        elif self.size < self.max_size and not self.waiting:
            self._permit(waiter)
        else:
            waiter.since = self._clock()
            self.waiting.append(waiter)

    def claim(self, waiter: Waiter[T]) -> bool:
        """Serve a waiter that was woken; False: another borrower was faster, and it waits on in its place."""
        if waiter.item is None and not waiter.may_create and not self.closed:
            waiter.item = self.checkout()
            if waiter.item is None:
                waiter.woken = False
                return False
            self.waiting.remove(waiter)
        return True

    def reserve(self) -> bool:
        """Take room for an object that no borrower has requested; False: there is none."""
        if self.closed or self.size >= self.max_size:
            return False
        self.making += 1
        return True

    def made(self, item: PooledItem[T], waiter: Waiter[T]) -> None:
        """Lend the object that a permitted waiter has created.

        Raises
        ------
        AlreadyPooled
            the object is in the pool already. The room is free again.
        """
        self._register(item)
        self.making -= 1
        self._assign(item)
        waiter.item, waiter.may_create = item, False

    def adopt(self, item: PooledItem[T]) -> bool:
        """Take in a created object that no borrower waits for any more; False: it must be destroyed.

        Raises
        ------
        AlreadyPooled
        """
        self._register(item)
        return self.end_release(item)

    def not_made(self) -> None:
        """Record that creating an object failed: the next waiter may try."""
        self.making -= 1
        self._use_room()

    def begin_release(self, obj: T) -> PooledItem[T]:
        """Take an object from its borrower. `end_release` or `discard` must follow.

        Raises
        ------
        NotInUse
        """
        item = self.in_use.pop(id(obj), None)
        if item is None:
            raise NotInUse(any(item.obj is obj for item in self.idle))
        self.making += 1  # it still occupies its place
        return item

    def end_release(self, item: PooledItem[T]) -> bool:
        """Give the object to the first waiter, or keep it; False: there is no place, and it must be destroyed."""
        self.making -= 1
        if self.closed or self.size >= self.max_size:
            self._forget(item)
            return False
        if self.waiting and self._clock() - self.waiting[0].since >= self.max_passing:
            waiter = self.waiting.popleft()
            self.reused += 1
            self._assign(item)
            waiter.item = item
            self._wake(waiter)
            self._wake_for_idle()  # the next one, if this one was woken for an idle object
            return True
        self.idle.append(item)
        self._wake_for_idle()
        return True

    def release(self, obj: T) -> PooledItem[T] | None:
        """Take an object back that needs no reset; return its item where it must be destroyed.

        Raises
        ------
        NotInUse
        """
        if self.waiting or self.closed or (item := self.in_use.pop(id(obj), None)) is None:
            item = self.begin_release(obj)
            return None if self.end_release(item) else item
        self.idle.append(item)
        return None

    def discard(self, item: PooledItem[T]) -> None:
        """Drop a released object that cannot be used again; its room goes to the first waiter."""
        self.making -= 1
        self._forget(item)
        self._use_room()

    def cancel(self, waiter: Waiter[T], *, timed_out: bool = False) -> PooledItem[T] | None:
        """Remove a waiter. An object that it was given meanwhile is passed on, or returned where it must be destroyed."""
        self.timeouts += timed_out
        if waiter.may_create:
            self.not_made()
        elif waiter.item is not None:
            return self.release(waiter.item.obj)
        elif waiter in self.waiting:  # else the pool was closed
            self.waiting.remove(waiter)
            self._wake_for_idle()
        return None

    def time_out(self, waiter: Waiter[T]) -> bool:
        """Remove a waiter whose time is over; False: it was served at the last moment."""
        if waiter.woken and self.claim(waiter):
            return False
        self.cancel(waiter, timed_out=True)
        return True

    def shrink(self, size: int) -> list[PooledItem[T]]:
        """Keep at most `size` idle objects, the most recently used; return the others, which must be destroyed."""
        cut = max(0, len(self.idle) - max(0, size))
        removed, self.idle = self.idle[:cut], self.idle[cut:]
        for item in removed:
            self._forget(item)
            self._use_room()
        return removed

    def close(self) -> list[PooledItem[T]]:
        """Stop lending and wake all waiters with nothing; return the idle objects, which must be destroyed."""
        self.closed = True
        for waiter in self.waiting:
            self._wake(waiter)
        self.waiting.clear()
        return self.shrink(0)

    def timeout_text(self, seconds: float) -> str:
        """Return the problem of a borrower that waited in vain."""
        return (
            f"nothing came free within {seconds:g} s: {len(self.in_use)} of {self.max_size} are in use, "
            f"{len(self.waiting)} others wait"
        )

    def stats(self) -> ObjectPoolStats:
        """Return the statistics of this moment."""
        return ObjectPoolStats(
            self.size, len(self.idle), len(self.in_use), len(self.waiting), self.created, self.reused, self.destroyed,
            self.acquisitions, self.timeouts, self.high_water,
        )  # fmt: skip

    def add(self, items: Iterable[PooledItem[T]]) -> None:
        """Take in the objects that the pool starts with.

        Raises
        ------
        AlreadyPooled
        """
        for item in items:
            self.making += 1
            self._register(item)
            self.making -= 1
            self.idle.append(item)

    def _register(self, item: PooledItem[T]) -> None:
        if id(item.obj) in self._ids:
            self.not_made()
            raise AlreadyPooled
        self._ids.add(id(item.obj))
        self.created += 1

    def _forget(self, item: PooledItem[T]) -> None:
        self._ids.discard(id(item.obj))
        self.destroyed += 1

    def _assign(self, item: PooledItem[T]) -> None:
        self.acquisitions = item.number = self.acquisitions + 1
        self.in_use[id(item.obj)] = item
        self.high_water = max(self.high_water, len(self.in_use))

    def _permit(self, waiter: Waiter[T]) -> None:
        self.making += 1
        waiter.may_create = True
        self._wake(waiter)

    def _wake_for_idle(self) -> None:
        """Wake a waiter for each idle object."""
        for waiter in islice(self.waiting, len(self.idle)):
            self._wake(waiter)

    @staticmethod
    def _wake(waiter: Waiter[T]) -> None:
        if not waiter.woken:
            waiter.woken = True
            waiter.wake()

    def _use_room(self) -> None:
        if self.waiting and self.size < self.max_size:
            self._permit(self.waiting.popleft())
            self._wake_for_idle()
