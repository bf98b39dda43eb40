"""Single flight for tasks: one task of its own works, so that whoever is cancelled does not take it along."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine, Hashable
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_perfguard.tools.caches.single_flight import CURRENT, Flight, check_no_circle

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


class TaskFlight(Flight):
    """One whose result tasks wait for."""

    __slots__ = ("task", "waiting")

    def __init__(self, key: Hashable, work: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(key)
        self.waiting = 0
        token = CURRENT.set(self)  # what the task copies
        try:
            self.task = loop.create_task(work)
        finally:
            CURRENT.reset(token)


class AsyncFlights:
    """The work under way, by event loop and key."""

    def __init__(self) -> None:
        self._flights: dict[tuple[asyncio.AbstractEventLoop, Hashable], TaskFlight] = {}

    async def run(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `work()` returns or raises, of the first who came; the work is cancelled once nobody waits any more."""
        import asyncio

        loop = asyncio.get_running_loop()
        flight = self._flights.get((loop, key))
        if flight is None:
            flight = self._started(key, work, loop)
        else:
            check_no_circle(flight)
        current = CURRENT.get()
        if current is not None:
            current.waits_for = flight
        flight.waiting += 1
        try:
            result: T = await asyncio.shield(flight.task)
            return result
        finally:
            flight.waiting -= 1
            if current is not None:
                current.waits_for = None
            if not flight.waiting and not flight.task.done() and not loop.is_closed():
                self._land(loop, flight)
                flight.task.cancel()

    def forget(self, key: Hashable) -> None:
        """Who comes from now on begins anew."""
        for loop, known in list(self._flights):
            if known == key:
                self._flights.pop((loop, known), None)

    def forget_all(self) -> None:
        """The same for all keys."""
        self._flights.clear()

    def begin_anew(self) -> None:
        """In a child process: the work is the parent's."""
        self._flights.clear()

    def _started(
        self, key: Hashable, work: Callable[[], Coroutine[Any, Any, T]], loop: asyncio.AbstractEventLoop
    ) -> TaskFlight:
        for known in [known for known in self._flights if known[0].is_closed()]:
            with contextlib.suppress(RuntimeError):  # it awaits something at its end, which nobody can do any more
                self._flights.pop(known).task.get_coro().close()  # gives its claim back
        flight = self._flights[loop, key] = TaskFlight(key, work(), loop)
        flight.task.add_done_callback(lambda _task: self._land(loop, flight))
        return flight

    def _land(self, loop: asyncio.AbstractEventLoop, flight: TaskFlight) -> None:
        if self._flights.get((loop, flight.key)) is flight:
            del self._flights[loop, flight.key]
