"""Peak of Python's memory during calls: steps for the executor, with readings between them."""

from __future__ import annotations

from collections.abc import Generator

from pytest_perfguard.core.originals import gc
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.measure.executor import RUN_SETUP, SETTLE_LOOP, CallStep


def measure_peaks(iterations: int, rounds: int) -> Generator[CallStep, Timing, list[int]]:
    """Return for each round the peak of traced memory above its start, in bytes over all threads (tracemalloc).

    The result does not depend on earlier code of the process: only blocks allocated under tracing count; each round
    begins with a full collection, which also empties the free lists of the interpreter; and the event loop has no
    pending callbacks. The first round includes allocations that only a first call under tracing makes.
    """
    import tracemalloc

    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start()
    peaks = []
    try:
        for _ in range(rounds):
            yield RUN_SETUP
            yield SETTLE_LOOP
            gc.collect()
            tracemalloc.reset_peak()
            start, _peak = tracemalloc.get_traced_memory()
            yield CallStep(iterations, count_switches=False)
            peaks.append(max(0, tracemalloc.get_traced_memory()[1] - start))
    finally:
        if not was_tracing:
            tracemalloc.stop()
    return peaks
