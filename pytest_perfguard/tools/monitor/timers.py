"""Timers: one for each stretch of time, so that those of one series never disturb each other."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

from pytest_perfguard.tools.monitor.registry import TimerSeries

P = ParamSpec("P")
R = TypeVar("R")


class Timer:
    """One stretch of time: a context manager, or `start()` and `stop()`; a decorator makes a new one for each call.

    What raises is timed as well. It can be used again once it has stopped.
    """

    __slots__ = ("_started", "_timings", "elapsed")

    def __init__(self, timings: TimerSeries) -> None:
        self._timings = timings
        self._started: float | None = None
        self.elapsed: float | None = None
        """Seconds of the stretch that ended last."""

    def __enter__(self) -> Timer:
        if self._started is not None:
            raise RuntimeError(f"{self!r} runs already; make another one for a stretch of time that overlaps")
        self._started = self._timings.clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        timings = self._timings
        now = timings.clock()
        if self._started is None:
            raise RuntimeError(f"{self!r} does not run: it was stopped already, or never started")
        self.elapsed = elapsed = now - self._started
        self._started = None
        pending = timings.pending
        pending.append(elapsed)  # `record` without its check, and without the time of a call
        if len(pending) > timings.room:
            timings.flush()

    def start(self) -> Timer:
        """Begin; returns itself."""
        return self.__enter__()

    def stop(self) -> float:
        """End and record; returns the seconds."""
        self.__exit__(None, None, None)
        return cast(float, self.elapsed)

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Time every call of a function or a coroutine function."""
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(
                f"{function!r} is a generator function, of which only the making would be timed: "
                "time inside it, or where it is used up"
            )
        timings = self._timings
        if inspect.iscoroutinefunction(function):
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
