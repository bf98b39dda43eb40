"""Loops that run the rounds of a plan, for plain functions and for coroutine functions.

They differ from `engine/measure/executor.py`: the user chooses the timer, the numbers of calls are pytest-benchmark's, and the
result is that of the last call.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
from collections.abc import Callable, Iterator
from itertools import repeat

from pytest_perfguard.compat.call import Arguments, BenchmarkCall
from pytest_perfguard.compat.options import Timer
from pytest_perfguard.compat.plan import Plan, Round
from pytest_perfguard.engine.measure.tracers import pause_tracers


class Stopwatch:
    """Times rounds with a timer, and disables the garbage collector meanwhile if `disable_gc`."""

    def __init__(self, timer: Timer, *, disable_gc: bool = False) -> None:
        self._timer = timer
        self._disable_gc = disable_gc

    def time_calls(self, call: BenchmarkCall, arguments: Arguments, round_: Round) -> tuple[float, object]:
        """Return the seconds of the round, and the result of its one call if the round needs it."""
        target, timer, calls = call.target, self._timer, repeat(None, round_.iterations)
        result: object = None
        args, kwargs = arguments
        with self._collector():
            if round_.with_result:
                start = timer()
                result = target(*args, **kwargs)
            else:
                start = timer()
                for _ in calls:
                    target(*args, **kwargs)
            end = timer()
        return end - start, result

    async def time_awaits(self, call: BenchmarkCall, arguments: Arguments, round_: Round) -> tuple[float, object]:
        """Return the same as `time_calls`, for awaited calls."""
        target, timer, calls = call.coroutine_function, self._timer, repeat(None, round_.iterations)
        result: object = None
        args, kwargs = arguments
        with self._collector():
            if round_.with_result:
                start = timer()
                result = await target(*args, **kwargs)
            else:
                start = timer()
                for _ in calls:
                    await target(*args, **kwargs)
            end = timer()
        return end - start, result

    def _collector(self) -> contextlib.AbstractContextManager[None]:
        return _collector_off() if self._disable_gc and gc.isenabled() else _UNCHANGED


_Context = Callable[[], contextlib.AbstractContextManager[None]]
_UNCHANGED = contextlib.nullcontext()


@contextlib.contextmanager
def _collector_off() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class RoundRunner:
    """Position in a plan, and the results of its rounds; shared by both loops."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.round: Round | None = next(plan, None)
        self.data: list[float] = []
        """Seconds per iteration of the recorded rounds."""
        self.iterations = 1
        self.result: object = None
        """Result of the last call, if the round returned it."""

    def add(self, seconds: float, result: object) -> None:
        """Record a round, and continue with the next one."""
        done = self.round
        if done is None:
            raise RuntimeError("there is no round to record")
        self.result = result
        if done.recorded:
            self.iterations = done.iterations
            self.data.append(seconds / done.iterations)
        try:
            self.round = self._plan.send(seconds)
        except StopIteration:
            self.round = None


def run_rounds(rounds: RoundRunner, call: BenchmarkCall, stopwatch: Stopwatch) -> None:
    """Run the rounds with a plain function. Tracers are paused for the function, but not for its setup and teardown.

    Raises
    ------
    TypeError
        if calls return coroutines, of which only the creation would be timed.
    """
    whole, each = _pauses(call)
    with whole():
        while rounds.round is not None:
            arguments = call.arguments()
            with each():
                seconds, result = stopwatch.time_calls(call, arguments, rounds.round)
            refuse_coroutine(result)
            call.finish(arguments)
            rounds.add(seconds, result)


async def run_rounds_async(rounds: RoundRunner, call: BenchmarkCall, stopwatch: Stopwatch) -> None:
    """Run the rounds with a coroutine function inside the running event loop; an iteration is one `await`."""
    whole, each = _pauses(call)
    with whole():
        while rounds.round is not None:
            arguments = await call.arguments_async()
            with each():
                seconds, result = await stopwatch.time_awaits(call, arguments, rounds.round)
            await call.finish_async(arguments)
            rounds.add(seconds, result)


def _pauses(call: BenchmarkCall) -> tuple[_Context, _Context]:
    """Return the contexts of all rounds and of each round: one of the two pauses the tracers."""
    if call.has_setup_or_teardown:
        return contextlib.nullcontext, pause_tracers
    return pause_tracers, contextlib.nullcontext


def refuse_coroutine(result: object) -> None:
    """Raise TypeError for a coroutine: the plain function that returned it has not run any code yet."""
    if inspect.iscoroutine(result):
        result.close()
        raise TypeError(
            f"the benchmarked call returned the coroutine {result.__qualname__}, of which only the creation would be timed: "
            "pass the coroutine function itself, and await benchmark(...)"
        )
