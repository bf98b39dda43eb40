"""Single flight: of all who want the same at the same time, one works for it. Here for threads."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from contextvars import ContextVar
from typing import Any, Final, TypeVar

from pytest_perfguard.core.tool_errors import CacheError

T = TypeVar("T")


class Flight:
    """Work for a key. `parent` is the flight in whose work it began; `waits_for` the one that its own work waits for."""

    __slots__ = ("key", "parent", "waits_for")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.parent = CURRENT.get()
        self.waits_for: Flight | None = None


#: The flight that the running code works for.
CURRENT: Final[ContextVar[Flight | None]] = ContextVar("perfguard_flight", default=None)


def check_no_circle(flight: Flight) -> None:
    """Refuse to wait for a flight that waits, by whatever detour, for the code that asks.

    Raises
    ------
    CacheError
    """
    own: list[Flight] = []
    current = CURRENT.get()
    while current is not None:
        own.append(current)
        current = current.parent
    waited: Flight | None = flight
    while waited is not None:
        if waited in own:
            raise CacheError("get_or_compute", f"computing {flight.key!r} asks for {flight.key!r} itself")
        waited = waited.waits_for


class ThreadFlight(Flight):
    """One whose result threads wait for."""

    __slots__ = ("future",)

    def __init__(self, key: Hashable) -> None:
        super().__init__(key)
        self.future: Future[Any] = Future()


class Flights:
    """The work under way, by key. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._flights: dict[Hashable, ThreadFlight] = {}

    def run(self, key: Hashable, work: Callable[[], T]) -> T:
        """What `work()` returns or raises, of the first who came; the others wait for it."""
        own = ThreadFlight(key)
        try:
            with _circles:  # of all caches, since their flights may wait for one another
                flight = self._joined(own)
                if flight is not own:
                    check_no_circle(flight)
                if own.parent is not None:
                    own.parent.waits_for = flight
            if flight is not own:
                result: T = flight.future.result()
                return result
            return self._fly(own, work)
        finally:
            if own.parent is not None:
                own.parent.waits_for = None

    def forget(self, key: Hashable) -> None:
        """Who comes from now on begins anew."""
        with self._lock:
            self._flights.pop(key, None)

    def forget_all(self) -> None:
        """The same for all keys."""
        with self._lock:
            self._flights.clear()

    def begin_anew(self) -> None:
        """In a child process: the work is the parent's."""
        self._flights.clear()
        self._lock = threading.Lock()

    def _joined(self, own: ThreadFlight) -> ThreadFlight:
        with self._lock:
            return self._flights.setdefault(own.key, own)

    def _fly(self, flight: ThreadFlight, work: Callable[[], T]) -> T:
        token = CURRENT.set(flight)
        try:
            value = work()
        except BaseException as error:
            self._land(flight)
            flight.future.set_exception(_for_others(flight.key, error))
            raise
        finally:
            CURRENT.reset(token)
        self._land(flight)
        flight.future.set_result(value)
        return value

    def _land(self, flight: ThreadFlight) -> None:
        with self._lock:
            if self._flights.get(flight.key) is flight:
                del self._flights[flight.key]


_circles: Final = threading.Lock()

if hasattr(os, "register_at_fork"):  # a child must not find it locked by a thread that it has not
    os.register_at_fork(before=_circles.acquire, after_in_parent=_circles.release, after_in_child=_circles.release)


def _for_others(key: Hashable, error: BaseException) -> BaseException:
    """What those who wait are told: a Ctrl-C or an exit is their own thread's alone."""
    if isinstance(error, Exception):
        return error
    return CacheError("get_or_compute", f"computing {key!r} was given up by {type(error).__name__}")
