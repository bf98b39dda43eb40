"""Plans of rounds: generators that yield rounds and receive their durations. They call nothing themselves.

A plain `benchmark(f)` is calibrated: rounds last at least `min_time`, and `max_time` bounds their number. The numbers of calls
are pytest-benchmark's, so that suites which count calls pass.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Generator
from typing import Final, NamedTuple

from pytest_perfguard.compat.options import BenchmarkOptions, Timer
from pytest_perfguard.core.errors import SettingError

#: Factor by which the number of calls grows while a round is far too short.
GROWTH_FACTOR: Final = 10
#: Duration of a round, in units of the timer's resolution, from which the number of calls is computed from the duration.
MIN_READABLE: Final = 5
#: Number of steps from which the resolution of a timer is determined, and maximum number of calls to see one step.
TIMER_READINGS: Final = 100
MAX_POLLS: Final = 100_000


class Round(NamedTuple):
    """Request: make `iterations` calls and time them."""

    iterations: int
    recorded: bool
    """True if the duration is part of the result."""
    with_result: bool = False
    """True: return the result of the one call. Otherwise results are freed while the timer runs, as part of the call."""


Plan = Generator[Round, float, None]


def plan_call(options: BenchmarkOptions, resolution: float, now: Callable[[], float]) -> Plan:
    """Plan the rounds of `benchmark(f)`.

    Parameters
    ----------
    resolution
        resolution of the timer in seconds.
    now
        returns the seconds of a monotonic clock, which bounds the warm-up.
    """
    start = now()
    iterations, seconds = yield from _calibrated(options, resolution, now)
    rounds = rounds_within(options, seconds)
    if options.warmup:
        for _ in range(min(rounds, max(1, options.warmup_iterations // iterations))):
            yield Round(iterations, recorded=False)
    while now() - start < options.warmup_time:
        yield Round(iterations, recorded=False)
    spread = _Spread()
    for number in range(1, rounds + 1):
        spread.add((yield Round(iterations, recorded=True)))
        if options.precision is None or number < max(2, options.min_rounds):
            continue
        if spread.margin(options.confidence) <= options.precision:
            return


def plan_rounds(rounds: int, warmup_rounds: int, iterations: int) -> Plan:
    """Plan the rounds of `benchmark.pedantic(f)`."""
    for _ in range(warmup_rounds):
        yield Round(iterations, recorded=False, with_result=iterations == 1)
    for _ in range(rounds):
        yield Round(iterations, recorded=True, with_result=iterations == 1)


def rounds_within(options: BenchmarkOptions, seconds: float) -> int:
    """Return the number of rounds that take `seconds` each."""
    fit = math.ceil(options.max_time / seconds) if seconds > 0 else options.min_rounds
    rounds = max(fit, options.min_rounds)
    return rounds if options.max_rounds is None else min(rounds, options.max_rounds)


def resolution_of(timer: Timer) -> float:
    """Return the smallest observed step of a timer, in seconds.

    Raises
    ------
    SettingError
        if the timer does not advance.
    """
    steps = [step for step in (_next_step(timer) for _ in range(TIMER_READINGS)) if step > 0]
    if not steps:
        raise SettingError(
            f"the timer {getattr(timer, '__name__', timer)!r} does not advance, so nothing can be timed with it"
        )
    return min(steps)


def _next_step(timer: Timer) -> float:
    start = timer()
    for _ in range(MAX_POLLS):
        step = timer() - start
        if step > 0:
            return step
    return 0.0


def _calibrated(
    options: BenchmarkOptions, resolution: float, now: Callable[[], float]
) -> Generator[Round, float, tuple[int, float]]:
    """Return the number of calls and the seconds of a round that is long enough."""
    min_seconds = max(options.min_time, resolution * options.calibration_precision)
    readable = min_seconds * MIN_READABLE / options.calibration_precision
    iterations = 1
    while True:
        # The result of the first call shows whether the call can be timed: a coroutine cannot.
        seconds = yield Round(iterations, recorded=False, with_result=iterations == 1)
        if options.warmup:
            seconds = yield from _warmed_up(options, iterations, seconds, now)
        if seconds >= min_seconds:
            return iterations, seconds
        if seconds < readable:
            iterations *= GROWTH_FACTOR
            continue
        iterations = math.ceil(min_seconds * iterations / seconds)
        if iterations == 1:
            return 1, seconds


def _warmed_up(
    options: BenchmarkOptions, iterations: int, seconds: float, now: Callable[[], float]
) -> Generator[Round, float, float]:
    """Warm up a round of the calibration, and return the seconds of the shortest repetition."""
    start, calls = now(), 0
    while calls < options.warmup_iterations and now() - start < options.max_time:
        seconds = min(seconds, (yield Round(iterations, recorded=False)))
        calls += iterations
    return seconds


class _Spread:
    """Running mean and variance (Welford 1962)."""

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
        """Return half the width of the mean's confidence interval, relative to the mean, by the normal distribution."""
        if self._mean <= 0:
            return math.inf
        error = math.sqrt(self._squares / (self._count - 1) / self._count)
        return statistics.NormalDist().inv_cdf(0.5 + confidence / 2) * error / self._mean
