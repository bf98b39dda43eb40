"""`ConnectionPool`: connections to one or several servers, for threads."""

from __future__ import annotations

import logging
import threading
import time
from functools import partial
from types import TracebackType
from typing import Final, Generic, TypeVar

from pytest_perfguard.core.tool_errors import PoolClosed, PoolTimeout
from pytest_perfguard.tools.pools.base import check_sizes, lock_timeout, wait_limit
from pytest_perfguard.tools.pools.items import NotInUse, PooledItem, Waiter, caller_stack
from pytest_perfguard.tools.pools.maintenance import MAX_JOIN, ThreadedMaintenance, not_awaitable
from pytest_perfguard.tools.pools.object_pool import remaining

C = TypeVar("C")

#: Seconds that `wait` waits by default.
WAIT: Final = 30.0

_log = logging.getLogger("perfguard.pool")


class ConnectionPool(ThreadedMaintenance[C]):
    """Lends connections and takes them back. Safe to use from several threads.

    `with pool.connection() as connection:`, or `acquire()` and `release(connection)`. Connections are made in background
    threads, so that a server that hangs delays no borrower beyond its time limit. Borrowers are served in the order of
    their arrival. The pool opens with the first acquisition, or as a context manager, and ends with `close()`. A forked
    child makes connections of its own and leaves those of its parent alone.

    Parameters
    ----------
    connect
        makes a connection, a new one at each call. It should have a time limit of its own.
    targets
        instead of `connect`, for several servers: one function each by name. A new connection goes to the server with the
        fewest. A server that cannot be connected to is skipped and tried again after 0.1 s, doubled up to 30 s; after less
        than 1 s while borrowers wait and no server is healthy.
    configure
        prepares a new connection. Where it raises, the connection is closed and the attempt has failed.
    check
        checks a connection: it returns False or raises where the connection is broken. Called before a connection is lent
        that was idle for `check_after` seconds or longer, after a block that raised, and every `check_interval` seconds
        for idle connections.
    reset
        prepares a returned connection for the next borrower, for example by a rollback. Where it raises, the connection is
        closed.
    commit
        called at the end of a block (`connection()`) without an error. What it raises is raised from the block.
    close
        closes a connection; by default its method `close`.
    min_size, max_size
        connections that are kept (2, or `max_size`), and the maximum, including those that are being made.
    max_connecting
        connections that are made to one server at the same time.
    max_waiting
        borrowers that may wait; further ones get `TooManyWaiting`, a `PoolTimeout`, at once. 0: no limit.
    timeout
        seconds that `acquire` waits by default; None: no limit.
    max_idle, max_lifetime
        seconds after which an idle connection beyond `min_size` is closed, and any connection is replaced once it is idle.
        Lifetimes are shortened at random by up to 10 %.
    reconnect_timeout, reconnect_failed
        a function that is called with the pool, once for each outage, when a server could not be connected to for so many
        seconds.
    name
        name of the pool in errors, statistics, logs and thread names.
    trace
        record the stack of each borrower for `not_returned()`; costs some microseconds for each acquisition.
    clock
        seconds, for tests.
    """

    def wait(self, timeout: float | None = WAIT) -> None:
        """Open the pool and wait until `min_size` connections have been made, at most `timeout` seconds.

        Raises
        ------
        PoolTimeout, PoolClosed
        """
        self.open()
        filled = self._wait_until(lambda: self._state.filled or self._state.closed, timeout)
        if self._state.closed:
            raise PoolClosed(self._state.name, "the pool is closed")
        if not filled:
            raise PoolTimeout(self._state.name, self._read(lambda: self._not_filled_text(timeout or 0.0)))

    def acquire(self, timeout: float | None = -1) -> C:
        """Borrow a connection that passes the check; return it by `release`.

        Parameters
        ----------
        timeout
            seconds to wait; None: no limit; by default the pool's.

        Raises
        ------
        PoolTimeout
            with the number of connections in use, and the reason why none could be made.
        PoolClosed
        """
        now = self._clock()
        with self._lock:  # `_step`, in place: a call would take as long as the rest
            if self._inside:
                raise self._nested()
            try:
                self._inside = True
                item = self._state.checkout(now)
            finally:
                self._inside = False
        if self._deferred:
            self._run_deferred()
        if item is None or (self._check is not None and self._must_check(item, now)):
            item = self._checked_item(item, wait_limit(timeout, self._timeout))
        if self._trace:
            item.stack = caller_stack()
        return item.obj

    def release(self, connection: C, *, broken: bool = False) -> None:
        """Return a connection to the pool; a `broken` one is closed and replaced.

        Raises
        ------
        NotLent
            the pool has not lent the connection: it was released already, or is not the pool's.
        """
        now = self._clock()
        fast = not broken and self._reset is None
        with self._lock:  # `_step`, in place
            if self._inside:
                self._deferred.append(partial(self.release, connection, broken=broken))
                return
            try:
                self._inside = True
                done = fast and self._state.fast_release(connection, now)
            finally:
                self._inside = False
        if self._deferred:
            self._run_deferred()
        if not done:
            self._release_slowly(connection, broken=broken)

    def connection(self, timeout: float | None = -1) -> ConnectionLease[C]:
        """Borrow a connection for a block: `with pool.connection() as connection:`.

        At the end of the block `commit` is called; after an error the connection is checked instead.
        """
        return ConnectionLease(self, timeout)

    def resize(self, min_size: int, max_size: int) -> None:
        """Change the sizes. Connections in use beyond the maximum are closed when they are released."""
        check_sizes(min_size, max_size)
        self._do(self._step(self._state.resize, min_size, max_size, self._clock()))

    def shrink(self, size: int, /) -> None:
        """Close idle connections until at most `size` are left, or the minimum in all. Safe to call from any thread."""
        self._do(self._step(self._state.shrink, size))

    def close(self) -> None:
        """Stop lending, and close idle connections now and the others as they are released. Waiters get `PoolClosed`."""
        if self._deferred_if_nested(self.close):
            return
        actions = self._step(self._state.close)
        self._wake.set()
        self._returned(actions)
        thread = self._maintenance
        if thread is not None and thread is not threading.current_thread() and thread.is_alive():
            thread.join(MAX_JOIN)  # it may be in a check that hangs

    def drain(self, timeout: float | None = None, *, close: bool = True) -> None:
        """Close the pool and wait until every connection has been released.

        With `close=False` the pool stays open: connections are replaced by new ones, those in use when they are released,
        and the call waits for these.

        Raises
        ------
        PoolTimeout
            after `timeout` seconds, with the number of connections that are still in use.
        """
        if close:
            self.close()
            returned = self._wait_until(lambda: self._state.all_returned, timeout)
        else:
            old = self._read(lambda: {id(item) for item in self._state.in_use.values()})
            self._do(self._step(self._state.replace_all, self._clock()))
            returned = self._wait_until(lambda: not self._lent_of(old), timeout)
        if not returned:
            number = len(self.not_returned()) if close else self._lent_of(old)
            raise PoolTimeout(self._state.name, f"{number} connections had not come back after {timeout or 0:g} s")

    def __enter__(self) -> ConnectionPool[C]:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _checked_item(self, item: PooledItem[C] | None, seconds: float | None) -> PooledItem[C]:
        """Return this item if it passes the check; else, or without an item, wait for another."""
        self.open()
        deadline = None if seconds is None else time.monotonic() + seconds
        failed = 0
        while True:
            if item is None:
                item = self._wait(deadline, seconds, first=failed > 0)
            if self._check is None or not self._must_check(item, self._clock()):
                return item
            passed = False
            try:
                passed = self._passes(self._check, item.obj, "is broken")
            finally:
                if not passed:
                    self._checkin(self._step(self._state.begin_release, item.obj), broken=True)
            if passed:
                return item
            item, failed = None, failed + 1
            if remaining(deadline) == 0.0:
                raise self._none_passed(seconds, failed)

    def _wait(self, deadline: float | None, seconds: float | None, *, first: bool) -> PooledItem[C]:
        gate = threading.Lock()
        gate.acquire()
        waiter: Waiter[C] = Waiter(gate.release)
        start = self._clock()
        actions = self._step(partial(self._state.request, waiter, start, first=first))
        with self._work() as nested:
            try:
                self._do(actions)
                if not actions.connect:
                    self._wake.set()  # for the maintenance thread to see when a server is tried again
                gate.acquire(timeout=0 if nested else lock_timeout(remaining(deadline)))
            except BaseException:  # Ctrl-C
                self._returned(self._step(self._state.cancel, waiter, self._clock()))
                raise
        return self._received(waiter, start, seconds, nested=nested)

    def _release_slowly(self, connection: C, *, broken: bool) -> None:
        try:
            if broken or self._reset is None:
                self._returned(self._step(partial(self._state.release, connection, self._clock(), broken=broken)))
                return
            item = self._step(self._state.begin_release, connection)
        except NotInUse as error:
            if self._is_parents(connection):
                return
            raise self._not_lent(connection, error) from None
        fine = False
        try:
            with self._work():
                fine = self._passes(self._reset, connection, "could not be reset")
        finally:
            self._checkin(item, broken=not fine)

    def _end_block(self, connection: C, *, failed: bool) -> None:
        """Commit after a block without an error, or check the connection; release it in any case."""
        if self._is_parents(connection):  # the block has forked: the parent process ends the transaction
            return
        if not failed:
            try:
                if self._commit is not None:
                    not_awaitable(self._commit(connection), self._commit)
            except BaseException:
                self._release_checked(connection)
                raise
            self.release(connection)
        else:
            self._release_checked(connection)

    def _release_checked(self, connection: C) -> None:
        fine = False
        try:
            fine = self._check is None or self._passes(self._check, connection, "is broken")
        finally:
            self.release(connection, broken=not fine)


class ConnectionLease(Generic[C]):
    """A connection that is borrowed for a `with` block."""

    __slots__ = ("_connection", "_pool", "_timeout")

    def __init__(self, pool: ConnectionPool[C], timeout: float | None) -> None:
        self._pool = pool
        self._timeout = timeout

    def __enter__(self) -> C:
        self._connection = connection = self._pool.acquire(self._timeout)
        return connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool._end_block(self._connection, failed=kind is not None)
