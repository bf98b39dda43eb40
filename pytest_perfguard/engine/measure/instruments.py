"""The instruments: each a generator of steps around which it reads its meter, returning totals per round."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from resource import RUSAGE_CHILDREN, getrusage
from typing import Final

from pytest_perfguard.core.originals import CLOCKS, gc, sys
from pytest_perfguard.core.processes import descendants_cpu_ns
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.measure.calibration import kernel
from pytest_perfguard.engine.measure.executor import RUN_SETUP, CallStep, time_calls
from pytest_perfguard.engine.measure.peak_memory import measure_peaks
from pytest_perfguard.engine.measure.stack_offset import stack_offset
from pytest_perfguard.engine.measure.user_metrics import UserMetrics

#: Before a timed round of a process that had to wait for its turn.
UNTIMED_CALLS: Final = 2

Readings = dict[str, list[int]]
Instrument = Generator[CallStep, Timing, Readings]


def read_time(iterations: int, rounds: int, user_metrics: UserMetrics, first_round: int = 0) -> Instrument:
    """Nanoseconds of each round, and of the test's own `setup` before it.

    `time` is wall time without what other processes took, which is `lost`; `cpu` is CPU time. The collector is emptied
    first and left as the user has it.
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
    """As `read_time`, with the `load` and the `pace` of each round.

    The load is CPU time with that of child processes that ended. The pace is the slower of the calibration kernels right
    before and after the round: one between two kernels at full speed was very likely run at full speed itself. This tells
    a machine that is slow just now from code that is slow.
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
        load_ns.append(timing.cpu_ns + (0 if timing.alone else _ended_children_cpu_ns() - children))
        kernel_ns.append(max(before, after))
        before = after
    return {**times.readings, "load": load_ns, "kernel": kernel_ns}


def _time_kernel() -> int:
    timing, _result = time_calls(kernel, 1)
    return timing.own_ns


def read_warmed(iterations: int, rounds: int, user_metrics: UserMetrics, first_round: int = 0) -> Instrument:
    """As `read_time`, without emptying the collector, after two untimed calls that bring code and data back.

    For processes that run in turn: while the other one ran, it had the caches to itself.
    """
    times = _ClockReadings()
    for index in range(rounds):
        offset = stack_offset(first_round + index)
        yield RUN_SETUP
        yield CallStep(UNTIMED_CALLS, offset=offset)
        yield RUN_SETUP  # they have used up what it prepared
        user_metrics.start_round()
        timing = yield CallStep(iterations, offset=offset)
        user_metrics.end_round()
        times.add(timing)
    return times.readings


def read_load(iterations: int, rounds: int, user_metrics: UserMetrics, first_round: int = 0) -> Instrument:
    """As `read_time`, and the `load` of each round: CPU nanoseconds with those of the child processes."""
    times, load_ns = _ClockReadings(), []
    for index in range(rounds):
        yield RUN_SETUP
        before = _children_cpu_ns()
        user_metrics.start_round()
        timing = yield CallStep(iterations, offset=stack_offset(first_round + index))
        user_metrics.end_round()
        times.add(timing)
        load_ns.append(timing.cpu_ns + (0 if timing.alone else _children_cpu_ns() - before))
    return {**times.readings, "load": load_ns}


class _ClockReadings:
    """The readings of the clocks, round by round."""

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
    """CPU time of all child processes, of those that ended and of those that live."""
    return _ended_children_cpu_ns() + descendants_cpu_ns()


def read_memory(iterations: int, rounds: int, _user_metrics: UserMetrics, _place: int = 0) -> Instrument:
    """Peak of Python's memory during each round, in bytes above its start: a reader takes the median."""
    return {"memory": (yield from measure_peaks(iterations, rounds))}


def read_blocks(iterations: int, rounds: int, user_metrics: UserMetrics, _place: int = 0) -> Instrument:
    """Memory blocks that each round left allocated once the collector has run (`sys.getallocatedblocks`)."""
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


def read_tails(_iterations: int, _rounds: int, user_metrics: UserMetrics, _place: int = 0) -> Instrument:
    """The tails of what the test has recorded itself; calls nothing."""
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
}
