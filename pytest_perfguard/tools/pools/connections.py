"""`ConnectionPool`: connections to one or several servers, for threads."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import TypeVar

from pytest_perfguard.core.tool_errors import PoolClosed, PoolTimeout
from pytest_perfguard.tools.pools.items import PooledItem, Waiter, caller_stack
from pytest_perfguard.tools.pools.maintenance import PATIENCE, ThreadedUpkeep
from pytest_perfguard.tools.pools.objects import check_sizes

C = TypeVar("C")


class ConnectionPool(ThreadedUpkeep[C]):
    """Lends connections and takes them back. Safe to use from several threads.

    `with pool.connection() as connection:`, or `acquire()` and `release(connection)`. Connections are made in threads of
    their own, so that a server that hangs holds nobody up beyond the time given. Borrowers are served in the order in which
    they came. It opens with the first acquisition, or as a context manager, and ends with `close()`.

    Parameters
    ----------
    connect
        makes a connection; it should have a time limit of its own.
    targets
        instead of `connect`, for several servers: a function each by name. A new connection goes to the server with the
        fewest; one that cannot be connected to is left out and tried again after 0.1 s, doubled up to 30 s.
    check
        is a connection fine? It returns False or raises where not. Asked before it is lent, once it has been idle for
        `check_after` seconds, when a block raised, and every `check_interval` seconds of those that are idle.
    reset
        makes a returned connection ready for the next one, such as a rollback; where it raises, the connection is broken.
    close
        closes a connection; by default its method `close`.
    min_size, max_size
        connections that are kept (2, or `max_size`), and the most there are, those that are being made included.
    timeout
        seconds that `acquire` waits by default; None: for ever.
    max_idle, max_lifetime
        seconds after which an idle connection beyond `min_size` is closed, and any is replaced once it is idle; lifetimes are
        shortened by up to 10 % by chance.
    trace
        remember who took what, for `not_returned()`; costs some microseconds for each acquisition.
    """

    def acquire(self, timeout: float | None = -1) -> C:
        """A connection that is fine; to be given back by `release`.

        Parameters
        ----------
        timeout
            seconds to wait for one; None: for ever; by default the pool's.

        Raises
        ------
        PoolTimeout
            which says how many are in use, and why none could be made.
        PoolClosed
        """
        now = self._clock()
        with self._lock:
            entry = self._state.quick(now)
        if entry is None or (self._check is not None and self._must_check(entry, now)):
            entry = self._fine_one(entry, self._seconds(timeout), now)
        if self._trace:
            entry.stack = caller_stack()
        return entry.thing

    def release(self, connection: C, *, broken: bool = False) -> None:
        """Give a connection back; a `broken` one is closed and replaced.

        Raises
        ------
        NotLent
            where the pool has not lent it: it was given back already, or is not the pool's.
        """
        if self._reset is not None and not broken:
            with self._lock:
                entry = self._state.take_out(connection)  # nobody else's while it is reset
            fine = False
            try:
                fine = self._passes(self._reset, connection, "could not be reset")
            finally:
                self._put_back(entry, broken=not fine)
            return
        now = self._clock()
        with self._lock:
            if not broken and self._state.quick_return(connection, now):
                return
            entry = self._state.take_out(connection)
        self._put_back(entry, broken=broken)

    @contextlib.contextmanager
    def connection(self, timeout: float | None = -1) -> Iterator[C]:
        """`with pool.connection() as connection:`; checked at the end if the block raised."""
        connection = self.acquire(timeout)
        try:
            yield connection
        except BaseException:
            fine = False
            try:
                fine = self._check is None or self._passes(self._check, connection, "is broken")
            finally:
                self.release(connection, broken=not fine)
            raise
        self.release(connection)

    def resize(self, min_size: int, max_size: int) -> None:
        """Other sizes from now on; connections that are lent beyond them are closed as they come back."""
        check_sizes(min_size, max_size)
        with self._lock:
            todo = self._state.resize(min_size, max_size, self._clock())
        self._do(todo)

    def shrink(self, size: int, /) -> None:
        """Close idle connections until at most `size` are left, but for the minimum: for a `MemoryManager`."""
        with self._lock:
            todo = self._state.shrink(size)
        self._do(todo)

    def close(self) -> None:
        """Lend nothing any more. Idle connections are closed now, lent ones as they come back; who waits gets `PoolClosed`."""
        with self._lock:
            todo = self._state.close()
        self._wake.set()
        self._returned(todo)
        if self._keeper is not None and self._keeper is not threading.current_thread():
            self._keeper.join(PATIENCE)  # it may be in a check that hangs

    def drain(self, timeout: float | None = None) -> None:
        """`close()`, and wait until every connection has come back.

        Raises
        ------
        PoolTimeout
            after so many seconds, saying how many have not.
        """
        self.close()
        if not self._all_back.wait(timeout):
            out = len(self.not_returned())
            raise PoolTimeout(self._state.name, f"{out} connections had not come back after {timeout:g} s")

    def __enter__(self) -> ConnectionPool[C]:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fine_one(self, entry: PooledItem[C] | None, seconds: float | None, start: float) -> PooledItem[C]:
        """This connection if it is fine; else, or without one, wait for another."""
        self.open()
        deadline = None if seconds is None else start + seconds
        again = False
        while True:
            if entry is None:
                entry = self._wait(deadline, seconds, first=again)
            now = self._clock()
            if self._check is None or not self._must_check(entry, now):
                break
            fine = False
            try:
                fine = self._passes(self._check, entry.thing, "is broken")
            finally:
                if not fine:
                    with self._lock:
                        taken = self._state.take_out(entry.thing)
                    self._put_back(taken, broken=True)
            if fine:
                break
            entry, again = None, True
        return entry

    def _wait(self, deadline: float | None, seconds: float | None, *, first: bool) -> PooledItem[C]:
        gate = threading.Lock()
        gate.acquire()
        ticket: Waiter[C] = Waiter(gate.release)
        start = self._clock()
        with self._lock:
            todo = self._state.join(ticket, start, first=first)
        try:
            self._do(todo)
            if not todo.connect:
                self._wake.set()  # for the keeper to see until when a server is left alone
            gate.acquire(timeout=-1 if deadline is None else max(0.0, deadline - start))
        except BaseException:  # Ctrl-C
            with self._lock:
                todo = self._state.give_up(ticket, self._clock())
            self._returned(todo)
            raise
        with self._lock:  # it may have been served since
            self._waits.append(self._clock() - start)
            if ticket.entry is None and not self._state.closed:
                self._state.give_up(ticket, self._clock(), timed_out=True)
                raise PoolTimeout(self._state.name, self._timeout_text(seconds or 0.0))
        if ticket.entry is None:
            raise PoolClosed(self._state.name, "the pool was closed while a connection was waited for")
        return ticket.entry
