"""Repeat a call on an interval in the background, in a thread that always ends."""

from __future__ import annotations

import logging
import os
import threading
import weakref
from collections.abc import Callable
from types import MethodType, TracebackType
from typing import Final, TypeVar

from pytest_perfguard.core.event import ReentrantEvent

_Self = TypeVar("_Self", bound="Ticking")

_log = logging.getLogger("perfguard")


class Ticker:
    """Calls a bound method every `interval` seconds in a daemon thread, the first time after one interval.

    The thread ends with `stop()`, with the interpreter, and when the method's object is garbage: the ticker does not keep it alive. An
    error of the method is logged, and the next call follows after the interval. A forked child has a thread of its own.
    """

    def __init__(self, method: Callable[[], object], interval: float, name: str) -> None:
        if not interval > 0:
            raise ValueError(f"interval is {interval!r}: it must be more than 0 seconds")
        if not isinstance(method, MethodType):
            raise TypeError(f"{method!r} is not a bound method")
        self._method = weakref.WeakMethod(method)
        self._interval = interval
        self._name = name
        self._stopped = ReentrantEvent()
        self._thread: threading.Thread | None = None
        self._current = [self._stopped]
        # The thread would sleep until the end of its interval.
        weakref.finalize(method.__self__, _set_all, self._current)
        _tickers.add(self)

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if not self.running:
            self._start()

    def stop(self) -> None:
        """End the thread and wait for it. If the method itself calls this, the thread ends when it returns."""
        self._stopped.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def restart_in_child(self) -> None:
        """Start a thread in a forked child if the parent had one; threads are not copied."""
        had_thread, self._thread = self._thread is not None and not self._stopped.is_set(), None
        self._stopped = self._current[0] = ReentrantEvent()
        if had_thread and self._method() is not None:
            self._start()

    def _start(self) -> None:
        self._stopped.clear()
        arguments = self._method, self._interval, self._stopped
        self._thread = threading.Thread(target=_tick, args=arguments, name=self._name, daemon=True)
        self._thread.start()


class Ticking:
    """Base of classes with a ticker: `start()` and `stop()` it, or use the object as a context manager."""

    _ticker: Ticker

    @property
    def running(self) -> bool:
        """Whether the background thread is running."""
        return self._ticker.running

    def start(self) -> None:
        """Work in the background every interval, in a daemon thread that ends with `stop()` or with this object."""
        self._ticker.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._ticker.stop()

    def __enter__(self: _Self) -> _Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _set_all(events: list[ReentrantEvent]) -> None:
    for event in events:
        event.set()


def _tick(method: weakref.WeakMethod[Callable[[], object]], interval: float, stopped: ReentrantEvent) -> None:
    while not stopped.wait(interval):
        call = method()
        if call is None:
            return
        try:
            call()
        except Exception:
            _log.exception("%s failed; it is tried again in %g s", getattr(call, "__qualname__", call), interval)
        del call  # the thread would keep the object alive while it waits


_tickers: Final[weakref.WeakSet[Ticker]] = weakref.WeakSet()


def _restart_all() -> None:
    for ticker in list(_tickers):
        ticker.restart_in_child()


# Registered after the hook of `core.fork`, and therefore called after it: a thread must not meet locks of the parent.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_restart_all)
