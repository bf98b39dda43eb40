"""`AsyncConnectionPool`: the same for the tasks of one event loop. Its steps need no lock, since none of them awaits."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pytest_perfguard.core.tool_errors import PoolClosed, PoolTimeout
from pytest_perfguard.tools.pools.connection_base import ConnectionPoolBase
from pytest_perfguard.tools.pools.items import Actions, PooledItem, Waiter, caller_stack
from pytest_perfguard.tools.pools.objects import check_sizes
from pytest_perfguard.tools.pools.objects_aio import awaited, waker

if TYPE_CHECKING:
    import asyncio

C = TypeVar("C")

_log = logging.getLogger("perfguard.pool")


class AsyncConnectionPool(ConnectionPoolBase[C]):
    """`ConnectionPool` for asyncio: `async with pool.connection() as connection:`, or `await acquire()` and `await release(...)`.

    The parameters are those of `ConnectionPool`; `connect`, `check`, `reset` and `close` may be coroutine functions. Use it as
    `async with AsyncConnectionPool(...) as pool:`, or end it with `await pool.close()`: its tasks live until then.
    """

    def _prepare(self) -> None:
        self._connecting: set[asyncio.Task[Any]] = set()
        self._closing: set[asyncio.Task[Any]] = set()
        self._keeper: asyncio.Task[Any] | None = None
        self._wake: asyncio.Event | None = None
        self._all_back: asyncio.Event | None = None

    async def open(self) -> None:
        """Begin to connect; nothing happens the second time."""
        import asyncio

        if self._keeper is None and not self._state.closed:
            self._wake, self._all_back = asyncio.Event(), asyncio.Event()
            self._keeper = asyncio.ensure_future(self._keep(self._wake))

    async def acquire(self, timeout: float | None = -1) -> C:
        """As `ConnectionPool.acquire`."""
        now = self._clock()
        entry = self._state.quick(now)
        if entry is None or (self._check is not None and self._must_check(entry, now)):
            entry = await self._fine_one(entry, self._seconds(timeout), now)
        if self._trace:
            entry.stack = caller_stack()
        return entry.thing

    async def release(self, connection: C, *, broken: bool = False) -> None:
        """As `ConnectionPool.release`."""
        if self._reset is not None and not broken:
            entry = self._state.take_out(connection)  # nobody else's while it is reset
            fine = False
            try:
                fine = await self._passes(self._reset, connection, "could not be reset")
            finally:
                self._returned(self._state.put_back(entry, self._clock(), broken=not fine))
        elif broken or not self._state.quick_return(connection, self._clock()):
            self._returned(self._state.come_back(connection, self._clock(), broken=broken))
        if self._state.closed:  # nobody waits for tasks any more
            await self._closed_all()

    @contextlib.asynccontextmanager
    async def connection(self, timeout: float | None = -1) -> AsyncIterator[C]:
        """`async with pool.connection() as connection:`; checked at the end if the block raised."""
        connection = await self.acquire(timeout)
        try:
            yield connection
        except BaseException:
            fine = False
            try:
                fine = self._check is None or await self._passes(self._check, connection, "is broken")
            finally:
                await self.release(connection, broken=not fine)
            raise
        await self.release(connection)

    def resize(self, min_size: int, max_size: int) -> None:
        """As `ConnectionPool.resize`."""
        check_sizes(min_size, max_size)
        self._do(self._state.resize(min_size, max_size, self._clock()))

    def shrink(self, size: int, /) -> None:
        """As `ConnectionPool.shrink`."""
        self._do(self._state.shrink(size))

    async def close(self) -> None:
        """As `ConnectionPool.close`; its tasks have ended afterwards."""
        import asyncio

        self._returned(self._state.close())
        tasks = {*self._connecting, *({self._keeper} if self._keeper is not None else set())} - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._closed_all()

    async def drain(self, timeout: float | None = None) -> None:
        """As `ConnectionPool.drain`."""
        import asyncio

        await self.close()
        if self._state.lent and self._all_back is not None:
            try:
                await asyncio.wait_for(self._all_back.wait(), timeout)
            except asyncio.TimeoutError:
                out = len(self._state.lent)
                problem = f"{out} connections had not come back after {timeout:g} s"
                raise PoolTimeout(self._state.name, problem) from None

    async def __aenter__(self) -> AsyncConnectionPool[C]:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _fine_one(self, entry: PooledItem[C] | None, seconds: float | None, start: float) -> PooledItem[C]:
        await self.open()
        deadline = None if seconds is None else start + seconds
        again = False
        while True:
            if entry is None:
                entry = await self._wait(deadline, seconds, first=again)
            now = self._clock()
            if self._check is None or not self._must_check(entry, now):
                return entry
            fine = False
            try:
                fine = await self._passes(self._check, entry.thing, "is broken")
            finally:
                if not fine:  # or the borrower was cancelled, and nobody knows how the connection is
                    self._returned(self._state.come_back(entry.thing, now, broken=True))
            if fine:
                return entry
            entry, again = None, True

    async def _wait(self, deadline: float | None, seconds: float | None, *, first: bool) -> PooledItem[C]:
        import asyncio

        served: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ticket: Waiter[C] = Waiter(waker(served))
        start = self._clock()
        todo = self._state.join(ticket, start, first=first)
        self._do(todo)
        if not todo.connect and self._wake is not None:
            self._wake.set()  # for the keeper to see until when a server is left alone
        try:
            await asyncio.wait([served], timeout=None if deadline is None else max(0.0, deadline - start))
        except BaseException:  # cancelled
            self._returned(self._state.give_up(ticket, self._clock()))
            raise
        self._waits.append(self._clock() - start)
        if ticket.entry is None and not self._state.closed:
            self._state.give_up(ticket, self._clock(), timed_out=True)
            raise PoolTimeout(self._state.name, self._timeout_text(seconds or 0.0))
        if ticket.entry is None:
            raise PoolClosed(self._state.name, "the pool was closed while a connection was waited for")
        return ticket.entry

    def _returned(self, todo: Actions[C]) -> None:
        """Do what is to be done after something has come back."""
        self._do(todo)
        if self._state.closed and self._state.all_back and self._all_back is not None:
            self._all_back.set()

    async def _closed_all(self) -> None:
        """Wait for what is being closed, whoever began it."""
        import asyncio

        while self._closing:
            await asyncio.gather(*(asyncio.shield(task) for task in self._closing), return_exceptions=True)

    def _do(self, todo: Actions[C]) -> None:
        for target in todo.connect:
            self._in_background(self._connect(target), self._connecting)
        for entry in todo.close:
            self._in_background(self._end(entry), self._closing)

    def _in_background(self, work: Coroutine[Any, Any, None], tasks: set[asyncio.Task[Any]]) -> None:
        import asyncio

        task = asyncio.ensure_future(work)
        tasks.add(task)  # else nobody holds it
        task.add_done_callback(tasks.discard)

    async def _connect(self, target: str) -> None:
        try:
            connection = cast(C, await awaited(self._connects[target]()))
        except BaseException as error:
            problem = f"{type(error).__name__}: {error}"
            todo = self._state.not_connected(target, self._clock(), problem)
            if self._wake is not None:
                self._wake.set()  # to try again
            if not isinstance(error, Exception):
                self._do(todo)
                raise
        else:
            todo = self._state.connected(target, connection, self._clock())
        self._do(todo)

    async def _end(self, entry: PooledItem[C]) -> None:
        await self._passes(self._close, entry.thing, "could not be closed")

    async def _passes(self, call: Callable[[C], object], connection: C, problem: str) -> bool:
        try:
            return await awaited(call(connection)) is not False
        except Exception as error:
            _log.info("%s: a connection %s: %s: %s", self._state.name, problem, type(error).__name__, error)
            return False

    async def _keep(self, wake: asyncio.Event) -> None:
        """Look after the idle connections, until the pool is closed."""
        import asyncio

        while not self._state.closed:
            now = self._clock()
            self._do(self._state.tick(now))
            if self._check is not None and now >= self._next_check:
                for entry in list(self._state.idle):
                    await self._check_idle(self._check, entry)
            now = self._clock()
            if now >= self._next_check:
                self._next_check = now + self._check_interval
            wake.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(wake.wait(), self._sleep(now))

    async def _check_idle(self, check: Callable[[C], object], entry: PooledItem[C]) -> None:
        if self._state.take_for_check(entry):
            fine = False
            try:
                fine = await self._passes(check, entry.thing, "is broken")
            finally:
                self._returned(self._state.checked(entry, self._clock(), broken=not fine))
