"""`ObjectPool`: expensive objects made once and used again, for threads."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Final, Generic, TypeVar

from pytest_perfguard.core.tool_errors import PoolClosed, PoolTimeout
from pytest_perfguard.tools.pools.base import PoolBase
from pytest_perfguard.tools.pools.items import PooledItem, Waiter, caller_stack
from pytest_perfguard.tools.pools.object_state import ObjectPoolStats, ObjectState

T = TypeVar("T")

INITIAL: Final = 10
MAX_SIZE: Final = 100
TIMEOUT: Final = 10.0

_log = logging.getLogger("perfguard.pool")


class ObjectPool(PoolBase, Generic[T]):
    """Lends objects and takes them back. Safe to use from several threads.

    `with pool.item() as thing:`, or `acquire()` and `release(thing)`. Where all `max_size` are lent, borrowers wait, and
    are served in the order in which they came.

    Parameters
    ----------
    create
        makes an object, in the thread of the borrower; what it raises goes to that borrower.
    reset
        makes a returned object as good as new. Where it raises, the object is dropped, not handed on.
    destroy
        ends an object that the pool no longer wants.
    initial, max_size
        objects that are made at once (10, or `max_size`), and the most there are, lent ones included.
    timeout
        seconds that `acquire` waits by default; None: for ever.
    name
        what errors and statistics call the pool.
    trace
        remember who took what, for `not_returned()`; costs some microseconds for each acquisition.
    """

    def __init__(
        self,
        create: Callable[[], T],
        *,
        reset: Callable[[T], object] | None = None,
        destroy: Callable[[T], object] | None = None,
        initial: int | None = None,
        max_size: int = MAX_SIZE,
        timeout: float | None = TIMEOUT,
        name: str = "object pool",
        trace: bool = False,
    ) -> None:
        initial = least_size(initial, INITIAL, max_size)
        self._create = create
        self._reset = reset
        self._destroy = destroy
        self._timeout = timeout
        self._trace = trace
        self._guard = self._lock = threading.Lock()
        self._state: ObjectState[T] = ObjectState(name, max_size)
        try:
            for _ in range(initial):
                self._state.add(PooledItem(create()))
        except BaseException:
            self.close()
            raise

    def acquire(self, timeout: float | None = -1) -> T:
        """An object; to be given back by `release`.

        Parameters
        ----------
        timeout
            seconds to wait for one; None: for ever; by default the pool's.

        Raises
        ------
        PoolTimeout, PoolClosed
        """
        with self._lock:
            entry = self._state.quick()
        if entry is None:
            entry = self._wait(self._timeout if timeout == -1 else timeout)
        if self._trace:
            entry.stack = caller_stack()
        return entry.thing

    def release(self, thing: T) -> None:
        """Give an object back.

        It raises NotLent where the pool has not lent it: it was given back already, or is not the pool's.
        """
        if self._reset is not None:
            self._release_after(self._reset, thing)
            return
        with self._lock:
            kept = self._state.keep(self._state.come_back(thing))
        if not kept:
            self._end(thing)

    @contextlib.contextmanager
    def item(self, timeout: float | None = -1) -> Iterator[T]:
        """`with pool.item() as thing:`: given back at the end, whatever happens."""
        thing = self.acquire(timeout)
        try:
            yield thing
        finally:
            self.release(thing)

    def shrink(self, size: int, /) -> int:
        """Destroy idle objects until at most `size` of them are left; returns how many went."""
        with self._lock:
            gone = self._state.shrink(size)
        self._end_all(gone)
        return len(gone)

    def close(self) -> None:
        """Destroy the idle objects; lent ones go when they come back, and who waits gets `PoolClosed`."""
        with self._lock:
            gone = self._state.close()
        self._end_all(gone)

    def stats(self) -> ObjectPoolStats:
        """The numbers of this moment."""
        with self._lock:
            return self._state.stats()

    def __enter__(self) -> ObjectPool[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return describe(type(self).__name__, self._state)

    def _wait(self, timeout: float | None) -> PooledItem[T]:
        gate = threading.Lock()
        gate.acquire()
        ticket: Waiter[T] = Waiter(gate.release)
        with self._lock:
            self._state.take(ticket)
        try:
            served = gate.acquire(timeout=-1 if timeout is None else max(0.0, timeout))
        except BaseException:  # Ctrl-C
            with self._lock:
                refused = self._state.give_up(ticket)
            if refused is not None:
                self._end(refused.thing)
            raise
        if not served:
            with self._lock:  # it may have been served since
                if ticket.entry is None and not ticket.may_create and not self._state.closed:
                    self._state.give_up(ticket, timed_out=True)
                    raise PoolTimeout(self._state.name, self._state.timeout_text(timeout or 0.0))
        if ticket.may_create:
            return self._made(ticket)
        if ticket.entry is None:
            raise PoolClosed(self._state.name, "the pool was closed while it was waited for")
        return ticket.entry

    def _made(self, ticket: Waiter[T]) -> PooledItem[T]:
        try:
            entry = PooledItem(self._create())
        except BaseException:
            with self._lock:
                self._state.not_made()
            raise
        with self._lock:
            self._state.made(entry, ticket)
        return entry

    def _release_after(self, reset: Callable[[T], object], thing: T) -> None:
        with self._lock:
            entry = self._state.come_back(thing)
        try:
            reset(thing)
        except BaseException as error:
            with self._lock:
                self._state.drop()
            self._end(thing)
            if not isinstance(error, Exception):
                raise
            _log.warning("%s: %r could not be reset and was dropped", self._state.name, thing, exc_info=True)
            return
        with self._lock:
            kept = self._state.keep(entry)
        if not kept:
            self._end(thing)

    def _end_all(self, entries: list[PooledItem[T]]) -> None:
        for entry in entries:
            self._end(entry.thing)

    def _end(self, thing: T) -> None:
        if self._destroy is not None:
            try:
                self._destroy(thing)
            except Exception:
                _log.warning("%s: %r could not be destroyed", self._state.name, thing, exc_info=True)


def least_size(least: int | None, default: int, most: int) -> int:
    """The size to begin with: what was given, or the default where the pool may become so large."""
    least = min(default, most) if least is None else least
    check_sizes(least, most)
    return least


def check_sizes(least: int, most: int) -> None:
    """Refuse sizes that make no pool."""
    if not 0 <= least <= most or most < 1:
        raise ValueError(
            f"sizes {least!r} and {most!r}: the first is at least 0, and at most the second, which is at least 1"
        )


def describe(kind: str, state: ObjectState[T]) -> str:
    """What a pool's repr says."""
    return f"<{kind} {state.name}: {len(state.idle)} idle, {len(state.lent)} in use, {len(state.waiting)} waiting>"
