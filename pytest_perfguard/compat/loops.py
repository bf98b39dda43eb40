"""The loops that obey a plan of rounds: one for plain functions, one for coroutine functions.

They are not those of `drive.py`: here the timer is the user's, the numbers of calls are pytest-benchmark's, and the result
is that of the last call.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
from collections.abc import Iterator
from itertools import repeat
from typing import Any

from pytest_perfguard.compat.call import Arguments, BenchmarkCall
from pytest_perfguard.compat.options import Timer
from pytest_perfguard.compat.plan import Plan, Round
from pytest_perfguard.engine.measure.tracers import pause_tracers


class Stopwatch:
    """A timer, and whether the garbage collector is off while it runs."""

    def __init__(self, timer: Timer, *, disable_gc: bool = False) -> None:
        self._timer = timer
        self._disable_gc = disable_gc

    def time_calls(self, work: BenchmarkCall, arguments: Arguments, wanted: Round) -> tuple[float, Any]:
        """-> (seconds of the round, what its one call returned if that is wanted)."""
        target, timer, calls, result = work.target, self._timer, repeat(None, wanted.iterations), None
        args, kwargs = arguments
        with self._collector():
            if wanted.with_result:
                start = timer()
                result = target(*args, **kwargs)
            else:
                start = timer()
                for _ in calls:
                    target(*args, **kwargs)
            end = timer()
        return end - start, result

    async def time_awaits(self, work: BenchmarkCall, arguments: Arguments, wanted: Round) -> tuple[float, Any]:
        """The same of awaited calls."""
        target, timer, calls, result = work.target, self._timer, repeat(None, wanted.iterations), None
        args, kwargs = arguments
        with self._collector():
            if wanted.with_result:
                start = timer()
                result = await target(*args, **kwargs)
            else:
                start = timer()
                for _ in calls:
                    await target(*args, **kwargs)
            end = timer()
        return end - start, result

    def _collector(self) -> contextlib.AbstractContextManager[None]:
        return _collector_off() if self._disable_gc and gc.isenabled() else _AS_IT_IS


_AS_IT_IS = contextlib.nullcontext()


@contextlib.contextmanager
def _collector_off() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Measuring:
    """Where a plan is, and what its rounds gave: shared by both loops."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.round: Round | None = next(plan, None)
        self.data: list[float] = []
        """Seconds per iteration of the rounds that count."""
        self.iterations = 1
        self.result: Any = None
        """Of the last call, where it was handed on."""

    def timed(self, seconds: float, result: Any) -> None:
        done = self.round
        if done is None:
            raise RuntimeError("no round was asked for")
        self.result = result
        if done.kept:
            self.iterations = done.iterations
            self.data.append(seconds / done.iterations)
        try:
            self.round = self._plan.send(seconds)
        except StopIteration:
            self.round = None


def obey(measuring: Measuring, work: BenchmarkCall, watch: Stopwatch) -> None:
    """Make the rounds with a plain function. Tracers are paused for it, and not for what is called besides.

    Raises
    ------
    TypeError
        where calls return coroutines: only their making would be timed.
    """
    whole, each = (
        (contextlib.nullcontext, pause_tracers) if work.is_arranged else (pause_tracers, contextlib.nullcontext)
    )
    with whole():
        while measuring.round is not None:
            arguments = work.arguments()
            with each():
                seconds, result = watch.time_calls(work, arguments, measuring.round)
            refuse_coroutine(result)
            work.finish(arguments)
            measuring.timed(seconds, result)


async def obey_async(measuring: Measuring, work: BenchmarkCall, watch: Stopwatch) -> None:
    """The same inside the running event loop, so that an iteration is one `await`."""
    whole, each = (
        (contextlib.nullcontext, pause_tracers) if work.is_arranged else (pause_tracers, contextlib.nullcontext)
    )
    with whole():
        while measuring.round is not None:
            arguments = await work.arguments_async()
            with each():
                seconds, result = await watch.time_awaits(work, arguments, measuring.round)
            await work.finish_async(arguments)
            measuring.timed(seconds, result)


def refuse_coroutine(result: object) -> None:
    """A plain function that returns a coroutine has done nothing yet."""
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError(
            f"the benchmarked call returned the coroutine {result.__qualname__}, of which only the making would be timed: "
            "give the coroutine function itself, and await benchmark(...)"
        )
