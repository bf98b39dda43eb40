"""Background threads of `ConnectionPool`: they connect, close, check idle connections and keep the minimum."""

from __future__ import annotations

import inspect
import logging
import math
import threading
import time
import weakref
from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar, cast

from pytest_perfguard.core.callables import must_be_awaited
from pytest_perfguard.core.event import ReentrantEvent
from pytest_perfguard.tools.pools.base import end_all, wait_limit
from pytest_perfguard.tools.pools.connection_base import ConnectionPoolBase
from pytest_perfguard.tools.pools.items import Actions, PooledItem

C = TypeVar("C")
R = TypeVar("R")

#: Seconds that `close` waits for the maintenance thread.
MAX_JOIN: Final = 5.0
#: Maximum seconds of one wait for a condition.
MAX_SLICE: Final = 0.5

_log = logging.getLogger("perfguard.pool")


class ThreadedMaintenance(ConnectionPoolBase[C]):
    """Base class that takes the actions of the state in threads."""

    def _prepare(self) -> None:
        for call in (
            *self._connects.values(), self._configure, self._check, self._reset, self._commit, self._close,
        ):  # fmt: skip
            if must_be_awaited(call):
                raise TypeError(f"{call!r} is a coroutine function: use AsyncConnectionPool")
        self._renew_threads()

    def begin_anew(self) -> None:
        """Forget all connections without closing them, in a forked child: they belong to the parent process."""
        super().begin_anew()
        self._renew_threads()

    def open(self) -> None:
        """Begin to connect; a second call does nothing."""
        thread = self._step(self._new_maintenance) if self._maintenance is None else None
        if thread is not None:
            # The thread sleeps: the end of the pool must wake it.
            weakref.finalize(self, self._wake.set)
            thread.start()  # not under the lock: a new thread may run a finalizer that releases before `start` returns

    def check(self) -> None:
        """Check all idle connections now; broken ones are closed and replaced."""
        if self._check is not None:
            for item in self._read(lambda: list(self._state.idle)):
                self._check_idle(self._check, item)

    def _renew_threads(self) -> None:
        self._wake = ReentrantEvent()
        self._changed = threading.Condition()
        """Notified when a connection was made or came back by the slow path, and when the pool is closed."""
        self._watching = False
        """Whether a call has ever waited for a change."""
        self._maintenance: threading.Thread | None = None

    def _new_maintenance(self) -> threading.Thread | None:
        if self._maintenance is not None or self._state.closed:
            return None
        self._maintenance = threading.Thread(
            target=_maintain, args=(weakref.ref(self), self._wake), name=f"perfguard-{self._state.name}", daemon=True
        )
        return self._maintenance

    def _wait_until(self, holds: Callable[[], bool], timeout: float | None) -> bool:
        seconds = wait_limit(timeout, None)
        deadline = math.inf if seconds is None else time.monotonic() + seconds
        with self._changed:
            self._watching = True
            # In slices: a finalizer of this thread may release a connection just before the wait begins.
            while not self._changed.wait_for(holds, max(0.0, min(deadline - time.monotonic(), MAX_SLICE))):
                if time.monotonic() >= deadline:
                    return False
        return True

    def _notify(self) -> None:
        if self._watching:
            with self._changed:
                self._changed.notify_all()

    def _checkin(self, item: PooledItem[C], *, broken: bool) -> None:
        self._returned(self._step(partial(self._state.checkin, item, self._clock(), broken=broken)))

    def _returned(self, actions: Actions[C]) -> None:
        """Act after a release. The thread that releases to a closed pool closes the connection: the program may be ending."""
        if not self._state.closed:
            self._do(actions)
        else:
            end_all(self._end, actions.close)
        self._notify()

    def _do(self, actions: Actions[C]) -> None:
        self._log_messages(actions)
        for target in actions.connect:
            try:
                self._in_background(self._connect, target)
            except RuntimeError as error:  # no thread can be started
                more, _report = self._connect_failed(target, error)
                self._do(more)
        for item in actions.close:
            try:
                self._in_background(self._end, item)
            except RuntimeError:
                self._end(item)

    def _in_background(self, work: Callable[[Any], object], argument: object) -> None:
        name = f"perfguard-{self._state.name}-{work.__name__.strip('_')}"
        threading.Thread(target=work, args=(argument,), name=name, daemon=True).start()

    def _connect(self, target: str) -> None:
        report = False
        try:
            actions = self._connected(target, self._new_connection(target))
        except BaseException as error:
            actions, report = self._connect_failed(target, error)
            self._wake.set()  # to try again
        self._do(actions)
        self._notify()
        if report and self._reconnect_failed is not None:  # last: it may take long, and end this thread
            self._report(self._reconnect_failed)

    def _new_connection(self, target: str) -> C:
        with self._work():
            return self._configured(target)

    def _configured(self, target: str) -> C:
        connect = cast("Callable[[], C]", self._connects[target])
        connection = not_awaitable(connect(), connect)
        if self._configure is not None:
            try:
                not_awaitable(self._configure(connection), self._configure)
            except BaseException:
                self._passes(self._close, connection, "could not be closed")
                raise
        return connection

    def _report(self, reconnect_failed: Callable[[Any], object]) -> None:
        try:
            reconnect_failed(self)
        except Exception:
            _log.exception("%s: reconnect_failed raised an error", self._state.name)

    def _end(self, item: PooledItem[C]) -> None:
        self._passes(self._close, item.obj, "could not be closed")

    def _passes(self, call: Callable[[C], object], connection: C, problem: str) -> bool:
        """Return whether the call succeeds and does not return False."""
        try:
            return not_awaitable(call(connection), call) is not False
        except Exception as error:
            self._log_failed(problem, error)
            return False

    def _maintain(self) -> float | None:
        """Do what is due; return the seconds until more is, or None where the pool is closed."""
        with self._work():
            return self._do_what_is_due()

    def _do_what_is_due(self) -> float | None:
        now = self._clock()
        if self._state.closed:
            return None
        self._do(self._step(self._state.tick, now))
        if now >= self._next_check:
            self.check()
            self._next_check = self._clock() + self._check_interval
        now = self._clock()
        return self._read(lambda: self._seconds_to_next(now))

    def _check_idle(self, check: Callable[[C], object], item: PooledItem[C]) -> None:
        if not self._step(self._state.take_for_check, item):
            return
        passed = False
        try:
            passed = self._passes(check, item.obj, "is broken")
        finally:
            self._returned(self._step(partial(self._state.checked, item, self._clock(), broken=not passed)))


def not_awaitable(result: R, call: object) -> R:
    """Return the result of a call.

    Raises
    ------
    TypeError
        the result is a coroutine: nothing has been done yet, and no thread would ever do it.
    """
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError(f"{call!r} returned a coroutine: use AsyncConnectionPool")
    return result


def _maintain(reference: weakref.ref[ThreadedMaintenance[Any]], wake: ReentrantEvent) -> None:
    while (pool := reference()) is not None:
        seconds = pool._maintain()
        if seconds is None:
            return
        del pool  # else this thread keeps the pool alive while it sleeps
        wake.wait(seconds)
        wake.clear()
