"""The instruments that count instructions: generators of steps, like those of `engine/measure/instruments.py`."""

from __future__ import annotations

from collections.abc import Generator
from typing import Protocol

from pytest_perfguard.core.originals import gc, sys
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.measure.executor import EMPTY_CALL, RUN_SETUP, CallStep
from pytest_perfguard.engine.measure.stack_offset import stack_offset
from pytest_perfguard.engine.measure.user_metrics import UserMetrics

_Instrument = Generator[CallStep, Timing, dict[str, list[int]]]


class _Counter(Protocol):
    def start(self) -> None: ...

    def stop(self) -> int: ...


def read_callgrind(iterations: int, rounds: int, user_metrics: UserMetrics, first_round: int = 0) -> _Instrument:
    """Return the numbers of callgrind's dumps, one for each round: the controller reads the counts."""
    from pytest_perfguard.engine.instructions.callgrind import callgrind_counter

    return {"dumps": (yield from _read(callgrind_counter(), iterations, rounds, user_metrics, first_round))}


def stop_callgrind() -> None:
    """End callgrind's counting if this process has counted."""
    module = sys.modules.get("pytest_perfguard.engine.instructions.callgrind")
    if module is not None and module.callgrind_counter.cache_info().currsize:
        module.callgrind_counter().close()


def read_hardware(iterations: int, rounds: int, user_metrics: UserMetrics, first_round: int = 0) -> _Instrument:
    """Return the instructions of each round as the CPU counted them."""
    from pytest_perfguard.engine.instructions.hardware import hardware_counter

    return {"instructions": (yield from _read(hardware_counter(), iterations, rounds, user_metrics, first_round))}


def _read(
    counter: _Counter, iterations: int, rounds: int, user_metrics: UserMetrics, first_round: int
) -> Generator[CallStep, Timing, list[int]]:
    """Count each round after a collection, so that the collector runs at the same allocations in each.

    Each round has another depth of the stack: where a call crosses the end of a chunk, it maps memory each time. A round of 0
    iterations counts what the instrument adds to the others, without the test's `setup`.
    """
    step = CallStep(iterations) if iterations else EMPTY_CALL
    counts = []
    for index in range(first_round, first_round + rounds):
        if iterations:
            yield RUN_SETUP
        user_metrics.forget()
        gc.collect()
        counter.start()
        yield step._replace(offset=stack_offset(index), count_switches=False)
        counts.append(counter.stop())
    user_metrics.forget()
    return counts
