"""Isolate a measurement from costs that are not the code's own: old garbage, tracers, time limits, captured output."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Final

from pytest_perfguard.core.originals import gc, sys
from pytest_perfguard.engine.measure.suppress import NO_CAPTURE, RunnerCapture, suppress_capture
from pytest_perfguard.engine.measure.tracers import pause_time_limits, pause_tracers

_PR_SET_PDEATHSIG: Final = 1


@contextlib.contextmanager
def isolate(
    *, capture: RunnerCapture = NO_CAPTURE, output: bool = True, records: bool = True, shown_warnings: bool = True
) -> Iterator[None]:
    """Freeze the heap, pause tracers, profilers and time limits, and drop output, warnings and log records.

    All but the heap is restored after the block. `output`, `records` and `shown_warnings` are False for a test that examines
    its own.
    The garbage collector stays on or off as the user has it: with it off, code that creates cycles would look cheaper
    than it is. Existing objects are frozen, so that a collection costs only what the test's own objects cost. They stay
    frozen, because after unfreezing the next test's first collection would traverse all of them.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            suppress_capture(capture=capture, output=output, records=records, shown_warnings=shown_warnings)
        )
        stack.enter_context(pause_time_limits())
        stack.enter_context(pause_tracers())
        gc.collect()
        gc.freeze()
        yield


def unfreeze_heap() -> None:
    """Unfreeze the heap and collect garbage. A process that runs many tests needs this from time to time."""
    gc.unfreeze()
    gc.collect()


def stop_with_parent() -> None:
    """Make this process react to SIGINT, and receive it when its parent process dies (Linux).

    A background job of a shell ignores SIGINT, and its child processes inherit that.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def unusual_conditions() -> tuple[str, ...]:
    """Return the unusual settings of this process that change the times of all tests."""
    return () if gc.isenabled() else ("the garbage collector is off",)
