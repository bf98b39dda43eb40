"""The peak of Python's memory during some calls: steps for the drive, with the meter between them."""

from __future__ import annotations

from collections.abc import Generator

from pytest_perfguard.core.originals import gc
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.measure.executor import RUN_SETUP, SETTLE_LOOP, CallStep


def measure_peaks(iterations: int, rounds: int) -> Generator[CallStep, Timing, list[int]]:
    """For each round the most that all threads together had allocated above its start, in bytes (tracemalloc).

    It does not depend on what ran before in the process: only blocks are counted that were allocated under tracing; the
    collector starts each round from zero, and its full collection also empties the interpreter's free lists; the event
    loop has caught up. The first round also sees what only a first call under tracing allocates.
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
