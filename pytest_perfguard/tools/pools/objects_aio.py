"""`AsyncObjectPool`: the same for asyncio. Its steps need no lock, since none of them awaits anything."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pytest_perfguard.core.tool_errors import PoolClosed, PoolTimeout
from pytest_perfguard.tools.pools.base import PoolBase
from pytest_perfguard.tools.pools.items import PooledItem, Waiter, caller_stack
from pytest_perfguard.tools.pools.object_state import ObjectPoolStats, ObjectState
from pytest_perfguard.tools.pools.objects import INITIAL, MAX_SIZE, TIMEOUT, describe, least_size

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

_log = logging.getLogger("perfguard.pool")


class AsyncObjectPool(PoolBase, Generic[T]):
    """`ObjectPool` for the tasks of one event loop.

    `async with pool.item() as thing:`, or `await acquire()` and `await release(thing)`. `create`, `reset` and `destroy` may be
    coroutine functions. The parameters are those of `ObjectPool`; the initial objects are made by the first `acquire`,
    or by `async with pool:`.
    """

    def __init__(
        self,
        create: Callable[[], T | Awaitable[T]],
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
        self._initial = initial
        self._timeout = timeout
        self._trace = trace
        self._guard = contextlib.nullcontext()
        self._state: ObjectState[T] = ObjectState(name, max_size)

    async def open(self) -> None:
        """Make the initial objects; nothing happens the second time."""
        number, self._initial = self._initial, 0
        for _ in range(number):
            if self._state.closed or self._state.size >= self._state.max_size:
                return
            self._state.making += 1
            try:
                entry = PooledItem(await self._create_one())
            except BaseException:
                self._state.not_made()
                raise
            self._state.created += 1
            if not self._state.keep(entry):  # closed meanwhile
                await self._end(entry.thing)

    async def acquire(self, timeout: float | None = -1) -> T:
        """As `ObjectPool.acquire`."""
        if self._initial:
            await self.open()
        entry = self._state.quick()
        if entry is None:
            entry = await self._wait(self._timeout if timeout == -1 else timeout)
        if self._trace:
            entry.stack = caller_stack()
        return entry.thing

    async def release(self, thing: T) -> None:
        """As `ObjectPool.release`."""
        entry = self._state.come_back(thing)
        if self._reset is not None:
            try:
                await awaited(self._reset(thing))
            except BaseException as error:
                self._state.drop()
                await self._end(thing)
                if not isinstance(error, Exception):
                    raise
                _log.warning("%s: %r could not be reset and was dropped", self._state.name, thing, exc_info=True)
                return
        if not self._state.keep(entry):
            await self._end(thing)

    @contextlib.asynccontextmanager
    async def item(self, timeout: float | None = -1) -> AsyncIterator[T]:
        """`async with pool.item() as thing:`: given back at the end, whatever happens."""
        thing = await self.acquire(timeout)
        try:
            yield thing
        finally:
            await self.release(thing)

    async def shrink(self, size: int, /) -> int:
        """As `ObjectPool.shrink`."""
        gone = self._state.shrink(size)
        await self._end_all(gone)
        return len(gone)

    async def close(self) -> None:
        """As `ObjectPool.close`."""
        await self._end_all(self._state.close())

    def stats(self) -> ObjectPoolStats:
        """The numbers of this moment."""
        return self._state.stats()

    async def __aenter__(self) -> AsyncObjectPool[T]:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return describe(type(self).__name__, self._state)

    async def _wait(self, timeout: float | None) -> PooledItem[T]:
        import asyncio

        served: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ticket: Waiter[T] = Waiter(waker(served))
        self._state.take(ticket)
        try:
            await asyncio.wait([served], timeout=timeout)
        except BaseException:  # cancelled
            refused = self._state.give_up(ticket)
            if refused is not None:
                await self._end(refused.thing)
            raise
        if not served.done():
            self._state.give_up(ticket, timed_out=True)
            raise PoolTimeout(self._state.name, self._state.timeout_text(timeout or 0.0))
        if ticket.may_create:
            return await self._made(ticket)
        if ticket.entry is None:
            raise PoolClosed(self._state.name, "the pool was closed while it was waited for")
        return ticket.entry

    async def _made(self, ticket: Waiter[T]) -> PooledItem[T]:
        try:
            entry = PooledItem(await self._create_one())
        except BaseException:
            self._state.not_made()
            raise
        self._state.made(entry, ticket)
        return entry

    async def _create_one(self) -> T:
        return cast(T, await awaited(self._create()))

    async def _end_all(self, entries: list[PooledItem[T]]) -> None:
        """All of them, also where this very task is cancelled meanwhile."""
        import asyncio

        if entries:
            await asyncio.shield(asyncio.gather(*(self._end(entry.thing) for entry in entries)))

    async def _end(self, thing: T) -> None:
        if self._destroy is not None:
            try:
                await awaited(self._destroy(thing))
            except Exception:
                _log.warning("%s: %r could not be destroyed", self._state.name, thing, exc_info=True)


def waker(future: asyncio.Future[None]) -> Callable[[], None]:
    """Wakes up who waits for this future; one that was cancelled is left alone."""

    def wake() -> None:
        if not future.done():
            future.set_result(None)

    return wake


async def awaited(result: Any) -> Any:
    return await result if isinstance(result, Awaitable) else result
