"""How many calls a benchmark makes: generators that yield rounds, are sent their seconds, and never call anything.

A plain `benchmark(f)` is calibrated: rounds last `min_time` at least, and there are as many as fit into `max_time`. The
numbers of calls are pytest-benchmark's, so that suites which count them pass.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Generator
from typing import Final, NamedTuple

from pytest_perfguard.compat.options import BenchmarkOptions, Timer
from pytest_perfguard.core.errors import SettingError

#: While a round is far too short, its number of calls grows by this.
GROWTH: Final = 10
#: Of the shortest round that is wanted: from here on the number of calls is computed from the time they took.
READABLE: Final = 5
#: Readings from which the resolution of a timer is taken, and how often it is asked for each of them.
READINGS: Final = 100
PATIENCE: Final = 100_000


class Round(NamedTuple):
    """Call so often, and time it; does the time count?"""

    iterations: int
    kept: bool
    with_result: bool = False
    """Hand on what the one call returned? Else results die while the timer runs, which is part of what the call costs."""


Plan = Generator[Round, float, None]


def plan_call(choices: BenchmarkOptions, resolution: float, now: Callable[[], float]) -> Plan:
    """The rounds of `benchmark(f)`.

    Parameters
    ----------
    resolution
        seconds that the timer can tell apart.
    now
        seconds of a steady clock, which bounds the warm-up.
    """
    start = now()
    iterations, seconds = yield from _calibrated(choices, resolution, now)
    rounds = rounds_within(choices, seconds)
    if choices.warmup:
        for _ in range(min(rounds, max(1, choices.warmup_iterations // iterations))):
            yield Round(iterations, kept=False)
    while now() - start < choices.warmup_time:
        yield Round(iterations, kept=False)
    spread = _Spread()
    for number in range(1, rounds + 1):
        spread.add((yield Round(iterations, kept=True)))
        if choices.precision is None or number < max(2, choices.min_rounds):
            continue
        if spread.margin(choices.confidence) <= choices.precision:
            return


def plan_rounds(rounds: int, warmup_rounds: int, iterations: int) -> Plan:
    """The rounds of `benchmark.pedantic(f)`: as many as were asked for."""
    for _ in range(warmup_rounds):
        yield Round(iterations, kept=False, with_result=iterations == 1)
    for _ in range(rounds):
        yield Round(iterations, kept=True, with_result=iterations == 1)


def rounds_within(choices: BenchmarkOptions, seconds: float) -> int:
    """How many rounds that take `seconds` each."""
    fit = math.ceil(choices.max_time / seconds) if seconds > 0 else choices.min_rounds
    rounds = max(fit, choices.min_rounds)
    return rounds if choices.max_rounds is None else min(rounds, choices.max_rounds)


def resolution_of(timer: Timer) -> float:
    """The smallest step that this timer was seen to make, in seconds.

    Raises
    ------
    SettingError
        where it never moves.
    """
    steps = [step for step in (_next_step(timer) for _ in range(READINGS)) if step > 0]
    if not steps:
        raise SettingError(
            f"the timer {getattr(timer, '__name__', timer)!r} does not move: nothing can be timed with it"
        )
    return min(steps)


def _next_step(timer: Timer) -> float:
    start = timer()
    for _ in range(PATIENCE):
        step = timer() - start
        if step > 0:
            return step
    return 0.0


def _calibrated(
    choices: BenchmarkOptions, resolution: float, now: Callable[[], float]
) -> Generator[Round, float, tuple[int, float]]:
    """-> (calls per round, seconds per round)."""
    least = max(choices.min_time, resolution * choices.calibration_precision)
    readable = least * READABLE / choices.calibration_precision
    iterations = 1
    while True:
        # What the first call returns shows whether it is one that can be timed.
        seconds = yield Round(iterations, kept=False, with_result=iterations == 1)
        if choices.warmup:
            seconds = yield from _warmed_up(choices, iterations, seconds, now)
        if seconds >= least:
            return iterations, seconds
        if seconds < readable:
            iterations *= GROWTH
            continue
        iterations = math.ceil(least * iterations / seconds)
        if iterations == 1:
            return 1, seconds


def _warmed_up(
    choices: BenchmarkOptions, iterations: int, seconds: float, now: Callable[[], float]
) -> Generator[Round, float, float]:
    """-> the shortest round of those that warm up what is calibrated."""
    start, calls = now(), 0
    while calls < choices.warmup_iterations and now() - start < choices.max_time:
        seconds = min(seconds, (yield Round(iterations, kept=False)))
        calls += iterations
    return seconds


class _Spread:
    """Mean and variance of numbers as they come (Welford 1962)."""

    def __init__(self) -> None:
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0

    def add(self, value: float) -> None:
        self._count += 1
        before = value - self._mean
        self._mean += before / self._count
        self._squares += before * (value - self._mean)

    def margin(self, confidence: float) -> float:
        """Half of the mean's confidence interval, relative to the mean; by the normal distribution."""
        if self._mean <= 0:
            return math.inf
        error = math.sqrt(self._squares / (self._count - 1) / self._count)
        return statistics.NormalDist().inv_cdf(0.5 + confidence / 2) * error / self._mean
