"""Single-flight: concurrent callers of one key share one computation. For threads and for tasks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Hashable
from concurrent.futures import Future
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pytest_perfguard.core.shared_lock import SHARED_LOCK, in_shared_step
from pytest_perfguard.core.tool_errors import CacheError

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


class Flight:
    """One computation of a key. `parent` is the computation that started it, `waits_for` the one that it waits for."""

    __slots__ = ("key", "parent", "waits_for")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.parent = CURRENT.get()
        self.waits_for: Flight | None = None


#: The computation that the running code belongs to.
CURRENT: Final[ContextVar[Flight | None]] = ContextVar("perfguard_flight", default=None)


def running_flights() -> list[Flight]:
    """Return the computations that the running code belongs to, the innermost first."""
    own: list[Flight] = []
    current = CURRENT.get()
    while current is not None:
        own.append(current)
        current = current.parent
    return own


def waits_for_itself(flight: Flight) -> bool:
    """Return whether a computation waits, directly or through others, for the running code."""
    own = running_flights()
    waited: Flight | None = flight
    while waited is not None:
        if waited in own:
            return True
        waited = waited.waits_for
    return False


def circular_wait(flight: Flight) -> CacheError:
    """Return the error for a computation that would wait for itself."""
    return CacheError("get_or_compute", f"computing {flight.key!r} asks for {flight.key!r} itself")


class NotBegun(Exception):
    """Internal: the thread that was to compute could not begin, such as within its own computation. Another one may."""


class ThreadFlight(Flight):
    """A computation by a thread, for whose result other threads wait."""

    __slots__ = ("future", "token")

    def __init__(self, key: Hashable) -> None:
        super().__init__(key)
        self.future: Future[Any] = Future()
        self.token: Token[Flight | None] | None = None

    def leave(self) -> None:
        """Let the running code belong to the computation around this one again."""
        if self.token is not None:
            CURRENT.reset(self.token)
            self.token = None


class SingleFlight:
    """The computations in progress, by key. Safe to use from several threads.

    It needs no lock, under which a key's `__eq__` would run: each operation on the dictionary is atomic.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, ThreadFlight] = {}

    def run(self, key: Hashable, compute: Callable[[], T]) -> T:
        """Return the result of `compute()` or raise its error; concurrent callers of the key share one call."""
        flight, is_own = self.join(key)
        if not is_own:
            result: T = self.wait(flight)
            return result
        try:
            value = compute()
        except BaseException as error:
            self.set_error(flight, error)
            raise
        self.finish(flight, value)
        return value

    def join(self, key: Hashable) -> tuple[ThreadFlight, bool]:
        """Return the computation of a key, and whether the caller must make it, and then call `finish` or `set_error`.

        A finalizer in the middle of a step does not wait for another thread: it makes a computation of its own.

        Raises
        ------
        CacheError
            if the computation in progress waits for the caller.
        """
        own = ThreadFlight(key)
        # Before it can be found: a finalizer may run in this thread from there on, and request the same key.
        own.token = CURRENT.set(own)
        try:
            flight = self._flights.setdefault(key, own)
        except BaseException:  # raised by the key's __hash__ or __eq__
            own.leave()
            raise
        is_own = flight is own or in_shared_step()
        if not is_own:
            own.leave()
        with SHARED_LOCK:  # of all caches: a computation may wait for one in another cache
            circular = flight is not own and waits_for_itself(flight)
            if own.parent is not None and not circular:
                own.parent.waits_for = own if is_own else flight
        if circular:
            own.leave()
            raise circular_wait(flight)
        return (own, True) if is_own else (flight, False)

    def wait(self, flight: ThreadFlight) -> Any:
        """Return the result of another thread's computation, or raise its error."""
        try:
            return flight.future.result()
        finally:
            _stop_waiting(CURRENT.get())

    def finish(self, flight: ThreadFlight, value: object) -> None:
        """Pass the result to all waiting threads."""
        self._remove(flight)
        flight.future.set_result(value)
        self._leave(flight)

    def set_error(self, flight: ThreadFlight, error: BaseException) -> None:
        """Pass an error to all waiting threads. An interrupt or an exit concerns only the computing thread."""
        self._remove(flight)
        if not isinstance(error, Exception):
            problem = f"computing {flight.key!r} was abandoned because of {type(error).__name__}"
            error = CacheError("get_or_compute", problem)
        flight.future.set_exception(error)
        self._leave(flight)

    def forget(self, key: Hashable) -> None:
        """Let callers from now on begin a new computation of the key."""
        self._flights.pop(key, None)

    def forget_all(self) -> None:
        """Let callers from now on begin new computations."""
        self._flights.clear()

    def begin_anew(self) -> None:
        """Reset in a forked child: the computations belong to the parent."""
        self._flights = {}

    def _remove(self, flight: ThreadFlight) -> None:
        if self._flights.get(flight.key) is flight:
            removed = self._flights.pop(flight.key, None)
            if removed is not None and removed is not flight:  # replaced by another thread between the two lines
                self._flights.setdefault(flight.key, removed)

    @staticmethod
    def _leave(flight: ThreadFlight) -> None:
        """Leave a computation that has its result. Until then, code of a finalizer must be known as a part of it."""
        flight.leave()
        _stop_waiting(flight.parent)


def _stop_waiting(flight: Flight | None) -> None:
    if flight is not None:
        flight.waits_for = None


class TaskFlight(Flight):
    """A computation by a task of its own, so that a cancelled caller does not cancel it for the others."""

    __slots__ = ("task", "waiting")

    def __init__(
        self, key: Hashable, computation: Coroutine[object, None, object], loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(key)
        self.waiting = 0
        token = CURRENT.set(self)  # the task copies the context
        try:
            self.task: asyncio.Task[Any] = loop.create_task(computation)
        finally:
            CURRENT.reset(token)


class AsyncSingleFlight:
    """The computations in progress, by event loop and key."""

    def __init__(self) -> None:
        self._flights: dict[tuple[asyncio.AbstractEventLoop, Hashable], TaskFlight] = {}

    async def run(self, key: Hashable, compute: Callable[[], Coroutine[object, None, T]]) -> T:
        """Return the result of `compute()` or raise its error; concurrent callers of the key share one call.

        The computation is cancelled when all callers are.
        """
        import asyncio

        loop = asyncio.get_running_loop()
        flight = self._flights.get((loop, key))
        if flight is None:
            flight = self._started(key, compute, loop)
        elif waits_for_itself(flight):
            raise circular_wait(flight)
        current = CURRENT.get()
        if current is not None:
            current.waits_for = flight
        flight.waiting += 1
        try:
            result: T = await asyncio.shield(flight.task)
            return result
        finally:
            flight.waiting -= 1
            _stop_waiting(current)
            if not flight.waiting and not flight.task.done() and not loop.is_closed():
                self.finish(loop, flight)
                flight.task.cancel()

    def forget(self, key: Hashable) -> None:
        """Let callers from now on begin a new computation of the key."""
        for loop, known in list(self._flights):
            if known == key:
                self._flights.pop((loop, known), None)

    def forget_all(self) -> None:
        """Let callers from now on begin new computations."""
        self._flights.clear()

    def begin_anew(self) -> None:
        """Reset in a forked child: the computations belong to the parent."""
        self._flights = {}

    def finish(self, loop: asyncio.AbstractEventLoop, flight: TaskFlight) -> None:
        """Remove a computation that has ended, or that no caller waits for."""
        if self._flights.get((loop, flight.key)) is flight:
            del self._flights[loop, flight.key]

    def _started(
        self, key: Hashable, compute: Callable[[], Coroutine[object, None, T]], loop: asyncio.AbstractEventLoop
    ) -> TaskFlight:
        for known in [known for known in list(self._flights) if known[0].is_closed()]:
            with contextlib.suppress(RuntimeError):  # it awaits something at its end, which is impossible by now
                self._flights.pop(known).task.get_coro().close()  # releases its lease
        flight = self._flights[loop, key] = TaskFlight(key, compute(), loop)
        flight.task.add_done_callback(lambda _task: self.finish(loop, flight))
        return flight
