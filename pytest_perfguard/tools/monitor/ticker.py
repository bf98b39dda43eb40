"""Something done on an interval in the background, by a thread that always ends."""

from __future__ import annotations

import logging
import threading
import weakref
from collections.abc import Callable
from types import MethodType, TracebackType
from typing import TypeVar

_Self = TypeVar("_Self", bound="Ticking")

_log = logging.getLogger("perfguard")


class Ticker:
    """Calls a bound method every `interval` seconds in a daemon thread, the first time after one interval.

    The thread ends with `stop()`, with the interpreter, and when the method's object is no longer referred to: it does
    not keep that alive. What the method raises is logged, and the next interval tries again.
    """

    def __init__(self, method: Callable[[], object], interval: float, name: str) -> None:
        if not interval > 0:
            raise ValueError(f"interval is {interval!r}: it must be more than 0 seconds")
        if not isinstance(method, MethodType):
            raise TypeError(f"{method!r} is no bound method")
        self._method = weakref.WeakMethod(method)
        self._interval = interval
        self._name = name
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        # The owner's end wakes the thread up, which would sleep on to the end of its interval.
        weakref.finalize(method.__self__, self._stopped.set)

    @property
    def running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin; nothing happens where it already runs."""
        if not self.running:
            self._stopped.clear()
            arguments = self._method, self._interval, self._stopped
            self._thread = threading.Thread(target=_tick, args=arguments, name=self._name, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it; from inside the method it ends as soon as that returns."""
        self._stopped.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()


class Ticking:
    """What has a ticker: `start()` and `stop()` it, or use it as a context manager."""

    _ticker: Ticker

    @property
    def running(self) -> bool:
        """Is its thread at work?"""
        return self._ticker.running

    def start(self) -> None:
        """Work in the background, every interval, in a daemon thread that ends with `stop()` or with this object."""
        self._ticker.start()

    def stop(self) -> None:
        """End the thread, and wait for it."""
        self._ticker.stop()

    def __enter__(self: _Self) -> _Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _tick(method: weakref.WeakMethod[Callable[[], object]], interval: float, stopped: threading.Event) -> None:
    while not stopped.wait(interval):
        call = method()
        if call is None:
            return
        try:
            call()
        except Exception:
            _log.exception("%s failed; it is tried again in %g s", getattr(call, "__qualname__", call), interval)
        del call  # else the thread keeps the owner alive while it waits
