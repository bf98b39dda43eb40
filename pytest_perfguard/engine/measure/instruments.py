"""The instruments: generators of steps that take readings around them and return totals per round."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from resource import RUSAGE_CHILDREN, getrusage
from typing import Final

from pytest_perfguard.core.originals import CLOCKS, gc, sys
from pytest_perfguard.core.processes import descendants_cpu_ns
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.instructions.instrument import read_callgrind, read_hardware
from pytest_perfguard.engine.measure.calibration import kernel
from pytest_perfguard.engine.measure.executor import RUN_SETUP, CallStep, time_calls
from pytest_perfguard.engine.measure.peak_memory import measure_peaks
from pytest_perfguard.engine.measure.stack_offset import stack_offset
from pytest_perfguard.engine.measure.user_metrics import UserMetrics

#: Untimed calls before a timed round of a process that was idle during another one's turn.
UNTIMED_CALLS: Final = 2

Readings = dict[str, list[int]]
Instrument = Generator[CallStep, Timing, Readings]


def read_time(iterations: int, rounds: int, user_metrics: UserMetrics, first_round: int = 0) -> Instrument:
    """Read the nanoseconds of each round, and of the test's own `setup` before it.

    `time` is wall time without the time that other processes took, which is `lost`; `cpu` is CPU time. Garbage is
    collected first, and the collector stays on or off as the user has it.
    """
    times, setup_ns = _ClockReadings(), []
    gc.collect()
    for index in range(rounds):
        start = CLOCKS.perf_counter_ns()
        yield RUN_SETUP
        setup_ns.append(CLOCKS.perf_counter_ns() - start)
        user_metrics.start_round()
        timing = yield CallStep(iterations, offset=stack_offset(first_round + index))
        user_metrics.end_round()
        times.add(timing)
    return {**times.readings, "setup": setup_ns}


def read_calibrated(iterations: int, rounds: int, user_metrics: UserMetrics, first_round: int = 0) -> Instrument:
    """Read the same as `read_time`, and the `load` and the calibration `kernel` of each round.

    The load is CPU time including that of child processes that have ended. The kernel time is the longer one of the two
    calibration kernels right before and after the round: a round between two kernels at full speed very likely ran at
    full speed. This separates a machine that is slow at the moment from slow code.
    """
    times, load_ns, kernel_ns = _ClockReadings(), [], []
    gc.collect()
    before = _time_kernel()
    for index in range(rounds):
        yield RUN_SETUP
        children = _ended_children_cpu_ns()
        user_metrics.start_round()
        timing = yield CallStep(iterations, offset=stack_offset(first_round + index))
        after = _time_kernel()
        user_metrics.end_round()
        times.add(timing)
        load_ns.append(timing.cpu_ns + (0 if timing.cpu_includes_children else _ended_children_cpu_ns() - children))
        kernel_ns.append(max(before, after))
        before = after
    return {**times.readings, "load": load_ns, "kernel": kernel_ns}


def _time_kernel() -> int:
    timing, _result = time_calls(kernel, 1)
    return timing.own_ns


def read_warmed(iterations: int, rounds: int, user_metrics: UserMetrics, first_round: int = 0) -> Instrument:
    """Read the same as `read_time`, without a collection, after two untimed calls that load code and data into the
    caches.

    For processes that run in turn: during the other one's turn, the caches held its data.
    """
    times = _ClockReadings()
    for index in range(rounds):
        offset = stack_offset(first_round + index)
        yield RUN_SETUP
        yield CallStep(UNTIMED_CALLS, offset=offset)
        yield RUN_SETUP  # the untimed calls have used up the first set-up
        user_metrics.start_round()
        timing = yield CallStep(iterations, offset=offset)
        user_metrics.end_round()
        times.add(timing)
    return times.readings


def read_load(iterations: int, rounds: int, user_metrics: UserMetrics, first_round: int = 0) -> Instrument:
    """Read the same as `read_time`, and the `load` of each round: CPU time including that of the child processes."""
    times, load_ns = _ClockReadings(), []
    for index in range(rounds):
        yield RUN_SETUP
        before = _children_cpu_ns()
        user_metrics.start_round()
        timing = yield CallStep(iterations, offset=stack_offset(first_round + index))
        user_metrics.end_round()
        times.add(timing)
        load_ns.append(timing.cpu_ns + (0 if timing.cpu_includes_children else _children_cpu_ns() - before))
    return {**times.readings, "load": load_ns}


class _ClockReadings:
    """The readings of the clocks, one value per round."""

    def __init__(self) -> None:
        self.readings: Readings = {"time": [], "cpu": [], "lost": []}

    def add(self, timing: Timing) -> None:
        self.readings["time"].append(timing.own_ns)
        self.readings["cpu"].append(timing.cpu_ns)
        self.readings["lost"].append(timing.lost_ns)


def _ended_children_cpu_ns() -> int:
    usage = getrusage(RUSAGE_CHILDREN)
    return round((usage.ru_utime + usage.ru_stime) * 1e9)


def _children_cpu_ns() -> int:
    """Return the CPU time of all child processes, ended and living."""
    return _ended_children_cpu_ns() + descendants_cpu_ns()


def read_memory(iterations: int, rounds: int, _user_metrics: UserMetrics, _first_round: int = 0) -> Instrument:
    """Read the peak of Python's memory during each round, in bytes above its start. The median is the estimate."""
    return {"memory": (yield from measure_peaks(iterations, rounds))}


def read_blocks(iterations: int, rounds: int, user_metrics: UserMetrics, _first_round: int = 0) -> Instrument:
    """Read the memory blocks that each round left allocated after a collection (`sys.getallocatedblocks`)."""
    retained = []
    for _ in range(rounds):
        yield RUN_SETUP
        user_metrics.forget()
        gc.collect()
        before = sys.getallocatedblocks()
        yield CallStep(iterations, count_switches=False)
        user_metrics.forget()
        gc.collect()
        retained.append(sys.getallocatedblocks() - before)
    return {"blocks": retained}


def read_tails(_iterations: int, _rounds: int, user_metrics: UserMetrics, _first_round: int = 0) -> Instrument:
    """Read the tails of the test's own timers and histograms, without a call."""
    user_metrics.read_tails()
    yield from ()
    return {}


INSTRUMENTS: Final[Mapping[str, Callable[[int, int, UserMetrics, int], Instrument]]] = {
    "time": read_time,
    "memory": read_memory,
    "blocks": read_blocks,
    "calibrated": read_calibrated,
    "warmed": read_warmed,
    "load": read_load,
    "tails": read_tails,
    "callgrind": read_callgrind,
    "hardware": read_hardware,
}
