"""Binding of the asynchronous pools to one event loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pytest_perfguard.core.tool_errors import PoolError

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
PoolT = TypeVar("PoolT", bound="AsyncPool[Any]")

if TYPE_CHECKING:
    import asyncio


class LoopBound:
    """Binds a pool to an event loop. Objects of a loop that has been closed are dropped; a second open loop is refused."""

    _loop: asyncio.AbstractEventLoop | None

    def _bind(self) -> None:
        from asyncio import get_running_loop

        self._running_loop = get_running_loop
        self._loop = None

    def _enter_loop(self, name: str) -> None:
        loop = self._running_loop()
        if self._loop is loop:
            return
        if self._loop is not None and not self._loop.is_closed():
            raise PoolError(name, "the pool belongs to another event loop that is still open: make a pool for each")
        stale, self._loop = self._loop is not None, loop
        if stale:
            self._drop_all()

    def _drop_all(self) -> None:
        """Forget all objects: they were bound to a loop that has been closed."""
        raise NotImplementedError


def waker(future: asyncio.Future[None]) -> Callable[[], None]:
    """Return a function that wakes the task that waits for this future, from any thread."""
    from asyncio import _get_running_loop

    loop = future.get_loop()

    def wake() -> None:
        if not future.done():
            future.set_result(None)

    def wake_from_anywhere() -> None:
        if _get_running_loop() is loop:
            wake()
        elif not loop.is_closed():
            loop.call_soon_threadsafe(wake)

    return wake_from_anywhere


async def awaited(result: Any) -> Any:
    """Return a result, awaited where it is awaitable."""
    return await result if isinstance(result, Awaitable) else result


class AsyncPool(Protocol[T_co]):
    """What a block needs of its pool."""

    def acquire(self, timeout: float | None = -1) -> Awaitable[T_co]: ...


class AsyncBlock(Generic[PoolT, T]):
    """An object that is borrowed for an `async with` block. Subclasses return it at its end."""

    __slots__ = ("_obj", "_pool", "_timeout")

    def __init__(self, pool: PoolT, timeout: float | None) -> None:
        self._pool = pool
        self._timeout = timeout

    async def __aenter__(self) -> T:
        self._obj: T = await self._pool.acquire(self._timeout)
        return self._obj
