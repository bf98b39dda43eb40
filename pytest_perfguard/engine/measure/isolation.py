"""Keeping out of a measurement what is not the code's own cost: old garbage, tracers, what pytest keeps."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Final

from pytest_perfguard.core.originals import gc, sys
from pytest_perfguard.engine.measure.suppress import suppress_capture
from pytest_perfguard.engine.measure.tracers import pause_time_limits, pause_tracers

_PR_SET_PDEATHSIG: Final = 1


@contextlib.contextmanager
def isolate(*, output: bool = True, records: bool = True) -> Iterator[None]:
    """Set the heap aside, pause tracers, profilers and time limits, keep nothing of output, warnings and log records.

    All but the heap is put back afterwards. `output` and `records` are False for a test that looks at its own. The
    collector stays as the user has it: with it off, code that makes cycles would look cheaper than it is. What lives
    already is frozen, so that a collection costs what the test's own objects cost, and stays so: thawing it would make
    the next test's first collection walk through everything again.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(suppress_capture(output=output, records=records))
        stack.enter_context(pause_time_limits())
        stack.enter_context(pause_tracers())
        gc.collect()
        gc.freeze()
        yield


def unfreeze_heap() -> None:
    """Free what died while it was frozen; a process that serves many tests does so now and then."""
    gc.unfreeze()
    gc.collect()


def stop_with_parent() -> None:
    """Be interrupted by SIGINT, and when the process that started this one dies, where the system offers that (Linux).

    What a shell runs in the background ignores SIGINT, and hands that down.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)


def unusual_conditions() -> tuple[str, ...]:
    """What changes times here and is the same for all tests."""
    return () if gc.isenabled() else ("the garbage collector is off",)
