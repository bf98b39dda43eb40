"""`AsyncObjectPool`: the object pool for the tasks of one event loop."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from pytest_perfguard.core.tool_errors import PoolClosed, PoolTimeout
from pytest_perfguard.tools.pools.base import wait_limit
from pytest_perfguard.tools.pools.event_loop import AsyncBlock, LoopBound, awaited, waker
from pytest_perfguard.tools.pools.items import AlreadyPooled, NotInUse, PooledItem, Waiter, caller_stack, short_repr
from pytest_perfguard.tools.pools.object_pool import MAX_SIZE, TIMEOUT, ObjectPoolBase, remaining

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")

_log = logging.getLogger("perfguard.pool")


class AsyncObjectPool(ObjectPoolBase[T], LoopBound):
    """`ObjectPool` for the tasks of one event loop.

    `async with pool.item() as obj:`, or `await acquire()` and `await release(obj)`. `create`, `reset` and `destroy` may be
    coroutine functions. The parameters are those of `ObjectPool`. The initial objects are created by the first `acquire`,
    or by `async with pool:`. `timeout` covers the creation of objects by a coroutine function, which continues for the
    next borrower. Objects of a loop that has been closed are dropped, and created anew in the next loop.
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
        super().__init__(
            create, reset=reset, destroy=destroy, initial=initial, max_size=max_size, timeout=timeout, name=name,
            trace=trace,
        )  # fmt: skip
        self._bind()
        self._missing = self._initial
        self._creating: set[asyncio.Task[object]] = set()
        self._ending: set[asyncio.Task[object]] = set()

    def begin_anew(self) -> None:
        """Forget all objects without closing them, in a forked child: they belong to the parent process."""
        super().begin_anew()
        self._loop = None
        self._forget_tasks()

    async def open(self) -> None:
        """Create the initial objects; a second call does nothing."""
        self._enter_loop(self.name)
        number, self._missing = self._missing, 0
        for _ in range(number):
            if not self._step(self._state.reserve):
                return
            try:
                item: PooledItem[T] = PooledItem(await awaited(self._create()))
            except BaseException:
                self._step(self._state.not_made)
                raise
            await self._adopt(item)

    async def acquire(self, timeout: float | None = -1) -> T:
        """Borrow an object, as `ObjectPool.acquire`. The time limit covers its creation."""
        if self._loop is not self._running_loop():
            self._enter_loop(self.name)
        if self._missing:
            self._fill()
        with self._lock:  # `_step`, in place: a call would take as long as the rest
            if self._inside:
                raise self._nested()
            try:
                self._inside = True
                item = self._state.checkout()
            finally:
                self._inside = False
        if item is None:
            item = await self._wait(wait_limit(timeout, self._timeout))
        if self._trace:
            item.stack = caller_stack()
        return item.obj

    async def release(self, obj: T) -> None:
        """Return an object to the pool, as `ObjectPool.release`."""
        if self._loop is not self._running_loop():
            self._enter_loop(self.name)
        try:
            if self._reset is None:
                dropped = self._step(self._state.release, obj)
                if dropped is not None:
                    await self._end(dropped)
                return
            item = self._step(self._state.begin_release, obj)
        except NotInUse as error:
            if self._is_parents(obj):
                return
            raise self._not_lent(obj, error) from None
        try:
            await awaited(self._reset(obj))
        except BaseException as error:
            self._step(self._state.discard, item)
            await self._end(item)
            if not isinstance(error, Exception):
                raise
            _log.warning("%s: %s could not be reset and was dropped", self._state.name, short_repr(obj), exc_info=True)
            return
        if not self._step(self._state.end_release, item):
            await self._end(item)

    def item(self, timeout: float | None = -1) -> AsyncLease[T]:
        """Borrow an object for a block: `async with pool.item() as obj:`. It is returned at the end in any case."""
        return AsyncLease(self, timeout)

    def shrink(self, size: int, /) -> Destroyed:
        """Destroy idle objects until at most `size` are left; `await` the result for their number.

        Safe to call from any thread without awaiting, as `MemoryManager.register_pool` does: the objects are then
        destroyed in the pool's event loop. Where that loop has been closed they are dropped.
        """
        return Destroyed(*self._end_in_loop(self._step(self._state.shrink, size)))

    async def close(self) -> None:
        """Destroy the idle objects, and the others as they are released. Waiting borrowers get `PoolClosed`."""
        import asyncio

        self._enter_loop(self.name)
        items = self._step(self._state.close)
        tasks = [task for task in self._creating if task is not asyncio.current_task()]
        await self._end_all(items)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, *self._ending, return_exceptions=True)

    async def __aenter__(self) -> AsyncObjectPool[T]:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _drop_all(self) -> None:
        self._state = self._state.empty()
        self._forget_tasks()

    def _forget_tasks(self) -> None:
        self._missing = 0 if self._state.closed else self._initial
        self._creating, self._ending = set(), set()

    def _fill(self) -> None:
        """Create the initial objects but one in the background: the first borrower creates that one."""
        number, self._missing = self._missing, 0
        for _ in range(number - 1):
            if self._step(self._state.reserve):
                self._in_background(self._create_spare(), self._creating)

    async def _create_spare(self) -> None:
        import asyncio

        await self._adopt_result(asyncio.ensure_future(self._created()))

    async def _created(self) -> T:
        created: T = await awaited(self._create())
        return created

    async def _wait(self, seconds: float | None) -> PooledItem[T]:
        import asyncio

        deadline = None if seconds is None else time.monotonic() + seconds
        served: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter: Waiter[T] = Waiter(waker(served))
        self._step(self._state.request, waiter)
        if not served.done():
            try:
                await asyncio.wait([served], timeout=seconds)
            except BaseException:  # cancelled
                dropped = self._step(self._state.cancel, waiter)
                if dropped is not None:
                    await self._end(dropped)
                raise
        if not served.done() and self._step(self._state.time_out, waiter):
            raise self._timed_out(seconds)
        if waiter.may_create:
            return await self._made(waiter, deadline, seconds)
        if waiter.item is None:
            raise PoolClosed(self._state.name, "the pool was closed while it was waited for")
        return waiter.item

    async def _made(self, waiter: Waiter[T], deadline: float | None, seconds: float | None) -> PooledItem[T]:
        import asyncio

        try:
            created = self._create()
        except BaseException:
            self._step(self._state.not_made)
            raise
        if isinstance(created, Awaitable):
            created = await self._in_time(asyncio.ensure_future(awaited(created)), deadline, seconds)
        item: PooledItem[T] = PooledItem(created)
        try:
            self._step(self._state.made, item, waiter)
        except AlreadyPooled:
            raise self._already_pooled(self._create, "create") from None
        return item

    async def _in_time(self, task: asyncio.Task[T], deadline: float | None, seconds: float | None) -> T:
        """Return the created object. Where the borrower leaves first, the pool takes the object in when it is there."""
        import asyncio

        try:
            await asyncio.wait([task], timeout=remaining(deadline))
        except BaseException:  # cancelled
            self._in_background(self._adopt_result(task), self._creating)
            raise
        if not task.done():
            self._in_background(self._adopt_result(task), self._creating)
            self._step(self._count_timeout)
            raise self._timed_out(seconds)
        try:
            return task.result()
        except BaseException:
            self._step(self._state.not_made)
            raise

    async def _adopt_result(self, task: asyncio.Future[T]) -> None:
        try:
            item: PooledItem[T] = PooledItem(await task)
        except BaseException as error:
            self._step(self._state.not_made)
            if not isinstance(error, Exception):
                raise
            _log.warning("%s: an object could not be created", self._state.name, exc_info=True)
        else:
            await self._adopt(item)

    async def _adopt(self, item: PooledItem[T]) -> None:
        try:
            kept = self._step(self._state.adopt, item)
        except AlreadyPooled:
            raise self._already_pooled(self._create, "create") from None
        if not kept:
            await self._end(item)

    def _count_timeout(self) -> None:
        self._state.timeouts += 1

    def _timed_out(self, seconds: float | None) -> PoolTimeout:
        return PoolTimeout(self._state.name, self._read(lambda: self._state.timeout_text(seconds or 0.0)))

    def _in_background(self, work: Coroutine[object, None, None], tasks: set[asyncio.Task[object]]) -> None:
        import asyncio

        task = asyncio.ensure_future(work)
        tasks.add(task)  # the loop itself holds tasks weakly
        task.add_done_callback(tasks.discard)

    def _end_in_loop(self, items: list[PooledItem[T]]) -> tuple[int, asyncio.Future[None] | None]:
        """Destroy items in the pool's event loop; return their number, and a future that is done afterwards."""
        loop = self._loop
        if not items or loop is None or loop.is_closed():
            return len(items), None
        done = loop.create_future()

        async def end() -> None:
            try:
                await self._end_all(items)
            finally:
                waker(done)()

        loop.call_soon_threadsafe(lambda: self._in_background(end(), self._ending))
        return len(items), done

    async def _end_all(self, items: list[PooledItem[T]]) -> None:
        """Destroy all items, also where this task is cancelled; what ends the program is raised after the last one."""
        import asyncio

        if items:
            errors = await asyncio.shield(asyncio.gather(*(self._caught(self._end(item)) for item in items)))
            for error in errors:
                if error is not None:
                    raise error

    @staticmethod
    async def _caught(work: Coroutine[object, None, None]) -> BaseException | None:
        try:
            await work
        except BaseException as error:
            return error
        return None

    async def _end(self, item: PooledItem[T]) -> None:
        if self._destroy is not None:
            try:
                await awaited(self._destroy(item.obj))
            except Exception:
                problem = "%s: %s could not be destroyed"
                _log.warning(problem, self._state.name, short_repr(item.obj), exc_info=True)


class AsyncLease(AsyncBlock[AsyncObjectPool[T], T]):
    """An object that is borrowed for an `async with` block."""

    __slots__ = ()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._pool.release(self._obj)


class Destroyed:
    """Number of objects that `shrink` has removed; awaiting it waits until they are destroyed."""

    __slots__ = ("_done", "number")

    def __init__(self, number: int, done: asyncio.Future[None] | None) -> None:
        self.number = number
        self._done = done

    def __await__(self) -> Generator[object, None, int]:
        if self._done is not None:
            yield from self._done.__await__()
        return self.number
