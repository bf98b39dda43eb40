"""`AsyncConnectionPool`: the connection pool for the tasks of one event loop."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pytest_perfguard.core.tool_errors import PoolClosed, PoolTimeout
from pytest_perfguard.tools.pools.base import check_sizes, wait_limit
from pytest_perfguard.tools.pools.connection_base import ConnectionPoolBase
from pytest_perfguard.tools.pools.connection_pool import WAIT
from pytest_perfguard.tools.pools.event_loop import AsyncBlock, LoopBound, awaited, waker
from pytest_perfguard.tools.pools.items import Actions, NotInUse, PooledItem, Waiter, caller_stack
from pytest_perfguard.tools.pools.object_pool import remaining

if TYPE_CHECKING:
    import asyncio

C = TypeVar("C")

_log = logging.getLogger("perfguard.pool")


class AsyncConnectionPool(ConnectionPoolBase[C], LoopBound):
    """`ConnectionPool` for asyncio: `async with pool.connection() as connection:`, or `await acquire()` and `await release()`.

    The parameters are those of `ConnectionPool`; `connect`, `configure`, `check`, `reset`, `commit` and `close` may be
    coroutine functions. `timeout` covers a check by a coroutine function, too. Use it as
    `async with AsyncConnectionPool(...) as pool:`, or end it with `await pool.close()`: its tasks live until then.
    Connections of a loop that has been closed are dropped, and made anew in the next loop.
    """

    def _prepare(self) -> None:
        self._bind()
        self._renew_tasks()

    def begin_anew(self) -> None:
        """Forget all connections without closing them, in a forked child: they belong to the parent process."""
        super().begin_anew()
        self._loop = None
        self._renew_tasks()

    async def open(self) -> None:
        """Begin to connect; a second call does nothing."""
        self._enter_loop(self.name)
        self._start()

    async def wait(self, timeout: float | None = WAIT) -> None:
        """Open the pool and wait until `min_size` connections have been made, as `ConnectionPool.wait`."""
        await self.open()
        filled = await self._wait_until(lambda: self._state.filled or self._state.closed, timeout)
        if self._state.closed:
            raise PoolClosed(self._state.name, "the pool is closed")
        if not filled:
            raise PoolTimeout(self._state.name, self._read(lambda: self._not_filled_text(timeout or 0.0)))

    async def acquire(self, timeout: float | None = -1) -> C:
        """Borrow a connection, as `ConnectionPool.acquire`. The time limit covers its check."""
        if self._loop is not self._running_loop():
            self._enter_loop(self.name)
        now = self._clock()
        item = self._step(self._state.checkout, now)
        if item is None or (self._check is not None and self._must_check(item, now)):
            item = await self._checked_item(item, wait_limit(timeout, self._timeout))
        if self._trace:
            item.stack = caller_stack()
        return item.obj

    async def release(self, connection: C, *, broken: bool = False) -> None:
        """Return a connection to the pool, as `ConnectionPool.release`."""
        if self._loop is not self._running_loop():
            self._enter_loop(self.name)
        now = self._clock()
        try:
            if broken or self._reset is None:
                if broken or not self._step(self._state.fast_release, connection, now):
                    self._returned(self._step(partial(self._state.release, connection, now, broken=broken)))
            else:
                item, fine = self._step(self._state.begin_release, connection), False
                try:
                    fine = await self._passes(self._reset, connection, "could not be reset")
                finally:
                    self._checkin(item, broken=not fine)
        except NotInUse as error:
            if self._is_parents(connection):
                return
            raise self._not_lent(connection, error) from None
        if self._state.closed:  # no further call waits for the tasks that close
            await self._closed_all()

    def connection(self, timeout: float | None = -1) -> AsyncConnectionLease[C]:
        """Borrow a connection for a block: `async with pool.connection() as connection:`.

        At the end of the block `commit` is called; after an error the connection is checked instead.
        """
        return AsyncConnectionLease(self, timeout)

    async def check(self) -> None:
        """Check all idle connections now; broken ones are closed and replaced."""
        self._enter_loop(self.name)
        if self._check is not None:
            for item in self._read(lambda: list(self._state.idle)):
                await self._check_idle(self._check, item)

    def resize(self, min_size: int, max_size: int) -> None:
        """Change the sizes, as `ConnectionPool.resize`. Safe to call from any thread."""
        check_sizes(min_size, max_size)
        self._do(self._step(self._state.resize, min_size, max_size, self._clock()))

    def shrink(self, size: int, /) -> None:
        """Close idle connections until at most `size` are left, or the minimum in all.

        Safe to call from any thread without awaiting, as `MemoryManager.register_pool` does: the connections are then
        closed in the pool's event loop. Where that loop has been closed they are dropped.
        """
        self._do(self._step(self._state.shrink, size))

    async def close(self) -> None:
        """Stop lending and close idle connections, as `ConnectionPool.close`. The pool's tasks have ended afterwards."""
        import asyncio

        self._enter_loop(self.name)
        self._returned(self._step(self._state.close))
        tasks = {*self._connecting, *({self._maintenance} if self._maintenance is not None else set())}
        tasks.discard(cast("asyncio.Task[object]", asyncio.current_task()))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._closed_all()

    async def drain(self, timeout: float | None = None, *, close: bool = True) -> None:
        """Close the pool and wait until every connection has been released, as `ConnectionPool.drain`."""
        old = self._read(lambda: {id(item) for item in self._state.in_use.values()})
        if close:
            await self.close()
        else:
            self._enter_loop(self.name)
            self._do(self._step(self._state.replace_all, self._clock()))
        if not await self._wait_until(lambda: not self._lent_of(old), timeout):
            number = self._lent_of(old)
            raise PoolTimeout(self._state.name, f"{number} connections had not come back after {timeout or 0:g} s")

    async def __aenter__(self) -> AsyncConnectionPool[C]:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _renew_tasks(self) -> None:

        self._connecting: set[asyncio.Task[object]] = set()
        self._closing: set[asyncio.Task[object]] = set()
        self._maintenance: asyncio.Task[object] | None = None
        self._wake: asyncio.Event | None = None
        self._watchers: set[asyncio.Future[None]] = set()
        """Futures of the calls that wait for a change: a new connection, or one that came back."""

    def _drop_all(self) -> None:
        self._state = self._state.empty()
        self._start_counting()
        self._renew_tasks()

    def _start(self) -> None:
        import asyncio

        if self._maintenance is None and not self._state.closed:
            self._wake = asyncio.Event()
            self._maintenance = asyncio.ensure_future(self._maintain(self._wake))

    async def _wait_until(self, holds: Callable[[], bool], timeout: float | None) -> bool:
        import asyncio

        seconds = wait_limit(timeout, None)
        deadline = None if seconds is None else time.monotonic() + seconds
        while not holds():
            changed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._watchers.add(changed)
            try:
                await asyncio.wait([changed], timeout=remaining(deadline))
            finally:
                self._watchers.discard(changed)
            if not changed.done():
                return holds()
        return True

    def _notify(self) -> None:
        for changed in list(self._watchers):
            waker(changed)()

    async def _checked_item(self, item: PooledItem[C] | None, seconds: float | None) -> PooledItem[C]:
        self._start()
        deadline = None if seconds is None else time.monotonic() + seconds
        failed = 0
        while True:
            if item is None:
                item = await self._wait(deadline, seconds, first=failed > 0)
            if self._check is None or not self._must_check(item, self._clock()):
                return item
            if remaining(deadline) == 0.0:
                self._put_back_unchecked(item)
                self._step(self._count_timeout)
                problem = f"a connection is idle, but no time is left to check it within {seconds or 0.0:g} s"
                raise PoolTimeout(self._state.name, problem)
            passed = False
            try:
                passed = await self._passes_in_time(self._check, item.obj, deadline, seconds)
            finally:
                if not passed:  # also where the borrower was cancelled: the state of the connection is unknown
                    self._checkin(self._step(self._state.begin_release, item.obj), broken=True)
            if passed:
                return item
            item, failed = None, failed + 1
            if remaining(deadline) == 0.0:
                raise self._none_passed(seconds, failed)

    def _put_back_unchecked(self, item: PooledItem[C]) -> None:
        """Put a lent connection back; its idle time goes on, so that the next borrower has it checked."""
        self._step(self._state.begin_release, item.obj)
        self._returned(self._step(partial(self._state.checked, item, self._clock(), broken=False)))

    async def _passes_in_time(
        self, check: Callable[[C], object], connection: C, deadline: float | None, seconds: float | None
    ) -> bool:
        import asyncio

        work = self._passes(check, connection, "is broken")
        if deadline is None:
            return await work
        try:
            return await asyncio.wait_for(work, remaining(deadline))
        except asyncio.TimeoutError:
            self._step(self._count_timeout)
            raise PoolTimeout(self._state.name, f"the check of a connection did not end within {seconds:g} s") from None

    async def _wait(self, deadline: float | None, seconds: float | None, *, first: bool) -> PooledItem[C]:
        import asyncio

        served: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter: Waiter[C] = Waiter(waker(served))
        start = self._clock()
        actions = self._step(partial(self._state.request, waiter, start, first=first))
        self._do(actions)
        if not actions.connect and self._wake is not None:
            self._wake.set()  # for the maintenance to see when a server is tried again
        try:
            await asyncio.wait([served], timeout=remaining(deadline))
        except BaseException:  # cancelled
            self._returned(self._step(self._state.cancel, waiter, self._clock()))
            raise
        return self._received(waiter, start, seconds)

    async def _end_block(self, connection: C, *, failed: bool) -> None:
        """Commit after a block without an error, or check the connection; release it in any case."""
        if self._is_parents(connection):  # the block has forked: the parent process ends the transaction
            return
        if not failed:
            try:
                if self._commit is not None:
                    await awaited(self._commit(connection))
            except BaseException:
                await self._release_checked(connection)
                raise
            await self.release(connection)
        else:
            await self._release_checked(connection)

    async def _release_checked(self, connection: C) -> None:
        fine = False
        try:
            fine = self._check is None or await self._passes(self._check, connection, "is broken")
        finally:
            await self.release(connection, broken=not fine)

    def _checkin(self, item: PooledItem[C], *, broken: bool) -> None:
        self._returned(self._step(partial(self._state.checkin, item, self._clock(), broken=broken)))

    def _returned(self, actions: Actions[C]) -> None:
        self._do(actions)
        self._notify()

    async def _closed_all(self) -> None:
        """Wait for the connections that are being closed."""
        import asyncio

        while self._closing:
            await asyncio.gather(*(asyncio.shield(task) for task in self._closing), return_exceptions=True)

    def _do(self, actions: Actions[C]) -> None:
        """Act in the pool's event loop, from any thread."""
        import asyncio

        self._log_messages(actions)
        if not actions.connect and not actions.close:
            return
        loop = self._loop
        if loop is not None and asyncio._get_running_loop() is loop:
            self._begin_tasks(actions)
        elif loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._begin_tasks, actions)

    def _begin_tasks(self, actions: Actions[C]) -> None:
        for target in actions.connect:
            self._in_background(self._connect(target), self._connecting)
        for item in actions.close:
            self._in_background(self._end(item), self._closing)

    def _in_background(self, work: Coroutine[object, None, None], tasks: set[asyncio.Task[object]]) -> None:
        import asyncio

        task = asyncio.ensure_future(work)
        tasks.add(task)  # the loop itself holds tasks weakly
        task.add_done_callback(tasks.discard)

    async def _connect(self, target: str) -> None:
        report = False
        try:
            actions = self._connected(target, await self._new_connection(target))
        except BaseException as error:
            actions, report = self._connect_failed(target, error)
            if self._wake is not None:
                self._wake.set()  # to try again
            if not isinstance(error, Exception):
                self._do(actions)
                raise
        self._do(actions)
        self._notify()
        if report and self._reconnect_failed is not None:  # last: it may take long
            await self._report(self._reconnect_failed)

    async def _new_connection(self, target: str) -> C:
        connection = cast(C, await awaited(self._connects[target]()))
        if self._configure is not None:
            try:
                await awaited(self._configure(connection))
            except BaseException:
                await self._passes(self._close, connection, "could not be closed")
                raise
        return connection

    async def _report(self, reconnect_failed: Callable[[Any], object]) -> None:
        try:
            await awaited(reconnect_failed(self))
        except Exception:
            _log.exception("%s: reconnect_failed raised an error", self._state.name)

    async def _end(self, item: PooledItem[C]) -> None:
        await self._passes(self._close, item.obj, "could not be closed")

    async def _passes(self, call: Callable[[C], object], connection: C, problem: str) -> bool:
        """Return whether the call succeeds and does not return False."""
        try:
            return await awaited(call(connection)) is not False
        except Exception as error:
            self._log_failed(problem, error)
            return False

    async def _maintain(self, wake: asyncio.Event) -> None:
        """Do what is due, until the pool is closed."""
        import asyncio

        while not self._state.closed:
            now = self._clock()
            self._do(self._step(self._state.tick, now))
            if now >= self._next_check:
                await self.check()
                self._next_check = self._clock() + self._check_interval
            wake.clear()
            now = self._clock()
            pause = self._read(partial(self._seconds_to_next, now))
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(wake.wait(), pause)

    async def _check_idle(self, check: Callable[[C], object], item: PooledItem[C]) -> None:
        if not self._step(self._state.take_for_check, item):
            return
        passed = False
        try:
            passed = await self._passes(check, item.obj, "is broken")
        finally:
            self._returned(self._step(partial(self._state.checked, item, self._clock(), broken=not passed)))


class AsyncConnectionLease(AsyncBlock[AsyncConnectionPool[C], C]):
    """A connection that is borrowed for an `async with` block."""

    __slots__ = ()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool._end_block(self._obj, failed=kind is not None)
