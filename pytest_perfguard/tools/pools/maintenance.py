"""The threads behind `ConnectionPool`: those that connect and close, and the one that looks after the idle connections."""

from __future__ import annotations

import inspect
import logging
import threading
import weakref
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from pytest_perfguard.tools.pools.connection_base import ConnectionPoolBase
from pytest_perfguard.tools.pools.items import Actions, PooledItem

C = TypeVar("C")

#: Seconds that a closing pool waits for the thread that looks after it.
PATIENCE: Final = 5.0

_log = logging.getLogger("perfguard.pool")


class ThreadedUpkeep(ConnectionPoolBase[C]):
    """Does outside of the lock what the state wants done. Not to be used by itself."""

    def _prepare(self) -> None:
        for connect in self._connects.values():
            self._refuse_coroutines(connect)
        for call in (self._check, self._reset, self._close):
            self._refuse_coroutines(call)
        self._lock = threading.Lock()
        self._guard = self._lock
        self._all_back = threading.Event()
        self._wake = threading.Event()
        self._keeper: threading.Thread | None = None

    @staticmethod
    def _refuse_coroutines(call: object) -> None:
        if inspect.iscoroutinefunction(call):
            raise TypeError(f"{call!r} is a coroutine function: use AsyncConnectionPool")

    def open(self) -> None:
        """Begin to connect; nothing happens the second time."""
        with self._lock:
            if self._keeper is not None or self._state.closed:
                return
            arguments = weakref.ref(self), self._wake
            self._keeper = threading.Thread(
                target=_keep, args=arguments, name=f"perfguard-{self._state.name}", daemon=True
            )
            # The pool's end wakes its keeper up, which would sleep on.
            weakref.finalize(self, self._wake.set)
            self._keeper.start()

    def _put_back(self, entry: PooledItem[C], *, broken: bool) -> None:
        """What was taken out goes back, or is closed."""
        with self._lock:
            todo = self._state.put_back(entry, self._clock(), broken=broken)
        self._returned(todo)

    def _returned(self, todo: Actions[C]) -> None:
        """Do what is to be done after something has come back; of a closed pool in this thread, since a program that is
        about to end waits for no other."""
        with self._lock:
            closed, all_back = self._state.closed, self._state.all_back
        if not closed:
            self._do(todo)
            return
        for entry in todo.close:
            self._end(entry)
        if all_back:
            self._all_back.set()

    def _do(self, todo: Actions[C]) -> None:
        for target in todo.connect:
            try:
                self._in_background(self._connect, target)
            except RuntimeError as error:  # no more threads to be had
                with self._lock:
                    more = self._state.not_connected(target, self._clock(), str(error))
                self._do(more)
        for entry in todo.close:
            try:
                self._in_background(self._end, entry)
            except RuntimeError:
                self._end(entry)

    def _in_background(self, work: Callable[[Any], object], argument: object) -> None:
        name = f"perfguard-{self._state.name}-{work.__name__.strip('_')}"
        threading.Thread(target=work, args=(argument,), name=name, daemon=True).start()

    def _connect(self, target: str) -> None:
        try:
            connection = cast("Callable[[], C]", self._connects[target])()
        except BaseException as error:
            with self._lock:
                todo = self._state.not_connected(target, self._clock(), f"{type(error).__name__}: {error}")
            self._wake.set()  # to try again
        else:
            with self._lock:
                todo = self._state.connected(target, connection, self._clock())
        self._do(todo)

    def _end(self, entry: PooledItem[C]) -> None:
        self._passes(self._close, entry.thing, "could not be closed")

    def _passes(self, call: Callable[[C], object], connection: C, problem: str) -> bool:
        """Does the call go well with the connection, and not return False?"""
        try:
            return call(connection) is not False
        except Exception as error:
            _log.info("%s: a connection %s: %s: %s", self._state.name, problem, type(error).__name__, error)
            return False

    def _look_after(self) -> float | None:
        """What is due; returns the seconds until more is, or None where the pool is closed."""
        now = self._clock()
        with self._lock:
            if self._state.closed:
                return None
            todo = self._state.tick(now)
            due = self._check is not None and now >= self._next_check
            idle = list(self._state.idle) if due else []
        self._do(todo)
        for entry in idle:
            self._check_idle(entry)
        with self._lock:
            now = self._clock()
            if now >= self._next_check:
                self._next_check = now + self._check_interval
            return self._sleep(now)

    def _check_idle(self, entry: PooledItem[C]) -> None:
        with self._lock:
            if not self._state.take_for_check(entry):
                return
        check = cast("Callable[[C], object]", self._check)
        fine = self._passes(check, entry.thing, "is broken")
        with self._lock:
            todo = self._state.checked(entry, self._clock(), broken=not fine)
        self._returned(todo)


def _keep(reference: weakref.ref[ThreadedUpkeep[Any]], wake: threading.Event) -> None:
    while (pool := reference()) is not None:
        seconds = pool._look_after()
        if seconds is None:
            return
        del pool  # else this thread keeps the pool alive while it sleeps
        wake.wait(seconds)
        wake.clear()
