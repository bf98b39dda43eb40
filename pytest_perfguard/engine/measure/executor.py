"""Execute the steps of a measurement: one loop for plain callables, one for coroutine functions.

Both loops follow the same generator of steps, which decides on the calls and makes none itself.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Awaitable, Callable, Generator
from itertools import repeat
from typing import Final, NamedTuple

from pytest_perfguard.core.originals import CLOCKS
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.measure.preemption import context_switches, lost_ns
from pytest_perfguard.engine.measure.stack_offset import AwaitShifted, call_shifted


class CallStep(NamedTuple):
    """One step: this many timed calls; or, for 0, the test's own `setup`, untimed."""

    iterations: int
    settle: bool = False
    """With 0 iterations: give the event loop some turns instead of calling `setup`."""
    empty: bool = False
    """With 0 iterations: call a function that does nothing, in the way in which the test is called."""
    rival: bool = False
    """True: call the rival, the second of two calls that are compared."""
    offset: int = 0
    """Machine words by which the frames of the calls lie further up the stack."""
    count_switches: bool = True
    """True: read the context switches. False around calls whose memory is measured, which would include the readings."""


RUN_SETUP: Final = CallStep(0)
#: Completes the callbacks and ending tasks that a call has left to the event loop, before a count.
SETTLE_LOOP: Final = CallStep(0, settle=True)
SETTLE_LOOP_TURNS: Final = 10
#: Takes what a round takes beside the calls of the test.
EMPTY_CALL: Final = CallStep(0, empty=True)
CallSteps = Generator[CallStep, Timing, None]
_UNTIMED: Final = Timing(0, 0)
#: Never recorded as a failure of the measured call; these must propagate.
_MUST_PROPAGATE: Final = (KeyboardInterrupt, GeneratorExit)


def execute(
    steps: CallSteps,
    call: Callable[[], object],
    setup: Callable[[], object] | None,
    rival: Callable[[], object] | None = None,
) -> object:
    """Execute `steps` with a plain callable, and with the `rival` where a step selects it.

    Returns the result of the first call; raises its exception if no call has returned.
    """
    with contextlib.closing(steps):  # an interrupt also closes the contexts that the steps have opened
        progress = _Execution(steps)
        while (step := progress.step) is not None:
            try:
                if step.iterations:
                    chosen = rival if rival and step.rival else call
                    progress.record_call(
                        *call_shifted(step.offset, time_calls, chosen, step.iterations, step.count_switches)
                    )
                elif step.empty:
                    progress.record_setup(call_shifted(step.offset, time_calls, _do_nothing, 1, step.count_switches))
                else:
                    progress.record_setup(setup() if setup is not None and not step.settle else None)
            except _MUST_PROPAGATE:
                raise
            except BaseException as error:  # a test runner's outcomes and CancelledError are no Exceptions
                progress.record_error(error)
    return call() if progress.nothing_called else progress.result()


async def execute_async(
    steps: CallSteps,
    call: Callable[[], Awaitable[object]],
    setup: Callable[[], object] | None,
    rival: Callable[[], Awaitable[object]] | None = None,
) -> object:
    """Execute a plan inside the running event loop: an iteration is one `await`, and no loop is started for it."""
    with contextlib.closing(steps):
        progress = _Execution(steps)
        while (step := progress.step) is not None:
            try:
                if step.iterations:
                    chosen = rival if rival and step.rival else call
                    progress.record_call(
                        *await AwaitShifted(step.offset, time_awaits(chosen, step.iterations, step.count_switches))
                    )
                elif step.empty:
                    nothing = time_awaits(_await_nothing, 1, step.count_switches)
                    progress.record_setup(await AwaitShifted(step.offset, nothing))
                elif step.settle:
                    await _settle_loop()
                    progress.record_setup(None)
                else:
                    done = setup() if setup is not None else None
                    progress.record_setup(await done if isinstance(done, Awaitable) else done)
            except _MUST_PROPAGATE:
                raise
            except BaseException as error:
                if _is_being_cancelled():
                    raise
                progress.record_error(error)
    return await call() if progress.nothing_called else progress.result()


def time_calls(call: Callable[[], object], iterations: int, count_switches: bool = True) -> tuple[Timing, object]:
    """Time `iterations` calls; return the timing and the result of the last call.

    A call with a method `time_itself` takes its own timing.
    """
    own: Callable[[int], tuple[Timing, object]] | None = getattr(call, "time_itself", None)
    if own is not None:
        return own(iterations)
    perf_counter_ns, process_time_ns, *_ = CLOCKS
    others = repeat(None, iterations - 1)
    before = context_switches() if count_switches else None
    cpu_ns = process_time_ns()
    wall_ns = perf_counter_ns()
    for _ in others:
        call()
    result = call()
    wall_ns = perf_counter_ns() - wall_ns
    cpu_ns = process_time_ns() - cpu_ns
    lost = lost_ns(wall_ns, cpu_ns, before, context_switches()) if before is not None else 0
    return Timing(wall_ns, cpu_ns, lost_ns=lost), result


async def time_awaits(
    call: Callable[[], Awaitable[object]], iterations: int, count_switches: bool = True
) -> tuple[Timing, object]:
    """Time `iterations` awaited calls; return the timing and the result of the last call."""
    perf_counter_ns, process_time_ns, *_ = CLOCKS
    others = repeat(None, iterations - 1)
    before = context_switches() if count_switches else None
    cpu_ns = process_time_ns()
    wall_ns = perf_counter_ns()
    for _ in others:
        await call()
    result = await call()
    wall_ns = perf_counter_ns() - wall_ns
    cpu_ns = process_time_ns() - cpu_ns
    lost = lost_ns(wall_ns, cpu_ns, before, context_switches()) if before is not None else 0
    return Timing(wall_ns, cpu_ns, lost_ns=lost), result


def _do_nothing() -> None:
    pass


async def _await_nothing() -> None:
    pass


async def _settle_loop() -> None:
    """Give asyncio's event loop some turns. Other loops do not accept a bare yield."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is not None and asyncio._get_running_loop() is not None:
        for _ in range(SETTLE_LOOP_TURNS):
            await asyncio.sleep(0)


def _is_being_cancelled() -> bool:
    """Return whether the caller's own task is being cancelled, for example by a time limit, and not one of the measured
    function's."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or asyncio._get_running_loop() is None:
        return False
    task = asyncio.current_task()
    return task is not None and hasattr(task, "cancelling") and task.cancelling() > 0  # new in Python 3.11


class _Execution:
    """The current step, and the results of the calls so far: common to both loops."""

    def __init__(self, steps: CallSteps) -> None:
        self._steps = steps
        self._results: list[object] = []
        self._error: BaseException | None = None
        self.step = next(steps, None)

    def record_call(self, timing: Timing, result: object) -> None:
        if not self._results:
            self._results.append(result)
        del result
        self._advance(timing)

    def record_setup(self, _ignored: object) -> None:
        self._advance(_UNTIMED)

    def _advance(self, timing: Timing) -> None:
        try:
            self.step = self._steps.send(timing)
        except StopIteration:
            self.step = None

    def record_error(self, error: BaseException) -> None:
        self._error = error
        try:
            self.step = self._steps.throw(error)
        except StopIteration:
            self.step = None

    @property
    def nothing_called(self) -> bool:
        """True if the steps made no call. The test continues all the same and needs a result."""
        return not self._results and self._error is None

    def result(self) -> object:
        if not self._results and self._error is not None:
            raise self._error
        return self._results[0] if self._results else None


def error_line(error: BaseException) -> str:
    """Return type and message of an exception on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}" if text else type(error).__name__
