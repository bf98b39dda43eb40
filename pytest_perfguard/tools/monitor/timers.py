"""Timers: one object per stretch of time, so that overlapping timers of one series are independent."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from pytest_perfguard.core.callables import must_be_awaited
from pytest_perfguard.tools.monitor.registry import TimerSeries

P = ParamSpec("P")
R = TypeVar("R")


class Timer:
    """Times a block as a context manager, or the time between `start()` and `stop()`; as a decorator each call of a function.

    A block that raises an error is timed as well. A stopped timer can be used again.
    """

    __slots__ = ("_started", "_timings", "elapsed")

    def __init__(self, timings: TimerSeries) -> None:
        self._timings = timings
        self._started: float | None = None
        self.elapsed: float | None = None
        """Seconds between the last start and stop."""

    def __enter__(self) -> Timer:
        if self._started is not None:
            raise RuntimeError(f"{self!r} is running already; make another timer for an overlapping block")
        self._started = self._timings.clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        timings = self._timings
        now = timings.clock()
        if self._started is None:
            raise RuntimeError(f"{self!r} is not running: it was stopped already, or never started")
        self.elapsed = elapsed = now - self._started
        self._started = None
        pending = timings.pending
        pending.append(elapsed)  # as `record` does, without its check and without the time of a call
        if len(pending) > timings.room:
            timings.flush()

    def start(self) -> Timer:
        """Start, and return the timer."""
        return self.__enter__()

    def stop(self) -> float:
        """Stop, record, and return the seconds."""
        self.__exit__(None, None, None)
        return cast(float, self.elapsed)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return a function whose calls are timed; also for coroutine functions."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{function!r} is a generator function, whose call only makes a generator: "
                "time inside it, or where it is used"
            )
        if not callable(function):
            raise TypeError(f"{function!r} cannot be called: give a function")
        timings = self._timings
        if must_be_awaited(function):
            awaited = cast("Callable[P, Awaitable[Any]]", function)

            @functools.wraps(function)
            async def timed_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with Timer(timings):
                    return await awaited(*args, **kwargs)

            return cast("Callable[P, R]", timed_async)

        @functools.wraps(function)
        def timed(*args: P.args, **kwargs: P.kwargs) -> R:
            with Timer(timings):
                return function(*args, **kwargs)

        return timed

    def __repr__(self) -> str:
        return f"<Timer {self._timings.series} {'idle' if self._started is None else 'running'}>"
