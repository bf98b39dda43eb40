"""The measurement plan of one point in one process: a generator that yields requests and reads no clock.

The plan consists of two single calls, calibration, warm-up, timed rounds, and rounds that measure memory. Times are
whole nanoseconds here; the result is in seconds, bytes and blocks per iteration.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Generator, Mapping
from typing import Final

from pytest_perfguard.engine.measure.messages import (
    CallRaised,
    MeasureRequest,
    MeasureResult,
    PlanOptions,
    PointResult,
)

#: Minimum duration of a round. Half a millisecond is as precise as a longer round at a fraction of its time, and short
#: enough to fall entirely into a fast phase of a machine that changes its speed every few tens of milliseconds.
ROUND_NS: Final = 500_000
#: Warm-up of a fresh process: the inline caches of the interpreter and the caches of the CPU need a few milliseconds.
WARM_UP_NS: Final = 20_000_000
#: Limit for the case that the duration of a round was read too short.
MAX_WARM_UP_ROUNDS: Final = 1_000
MAX_ROUNDS: Final = 40
#: A slow call takes fewer rounds: as many as fit into this time ...
ROUNDS_SPAN_NS: Final = 40_000_000
#: ... but three if that many fit into FEW_ROUNDS_SPAN_NS.
FEW_ROUNDS: Final = 3
FEW_ROUNDS_SPAN_NS: Final = 300_000_000
#: Approximate duration of the calibration kernel after each round.
KERNEL_NS: Final = 500_000
#: The rounds of one process, and their warm-up, take at most the budget of the test divided by these numbers.
ROUNDS_BUDGET_DIVISOR: Final = 2
WARM_UP_BUDGET_DIVISOR: Final = 8
#: From this duration on, the second call counts as a timed round: such a long call leaves nothing to warm up.
MIN_LONG_CALL_NS: Final = 100_000_000
#: A call whose time varies widely never calibrates; any number near the last one is then as good as another.
MAX_CALIBRATIONS: Final = 30
#: Maximum set-ups per process for a test that can be called once per set-up.
MAX_SINGLE_CALL_SETUPS: Final = 10
#: From this ratio of CPU time to wall time on, a test counts as running in parallel. Pinned to one CPU, it would be
#: another test.
MIN_PARALLEL_LOAD: Final = 1.15
MEMORY_ROUNDS: Final = 5
#: Tracing allocations makes a call several times as long, so the memory of longer calls is not measured.
MAX_MEMORY_CALL_NS: Final = 1_000_000_000
#: A known number of calls per round is dropped if the round would take longer: the code has become far slower.
MAX_HINTED_ROUND_NS: Final = 1_000_000_000
#: Calls between two counts of the allocated blocks: as many as fit, within these limits.
BLOCKS_SPAN_NS: Final = 5_000_000
BLOCKS_ITERATIONS: Final = range(2, 51)


class FirstCallRaised(Exception):
    """The first call of the point raised: the test does not work in this process."""


class RepeatedCallRaised(Exception):
    """A later call raised: the test cannot be called twice per set-up."""


Plan = Generator[MeasureRequest, MeasureResult | CallRaised, PointResult]
_Steps = Generator[MeasureRequest, MeasureResult | CallRaised, list[int]]


def plan_point(options: PlanOptions) -> Plan:
    """Yield the requests for one point, and return its `PointResult`.

    Raises
    ------
    FirstCallRaised
        if the first call raises.
    """
    first = yield MeasureRequest("calibrated", 1, 1, first_round=options.first_round)
    if isinstance(first, CallRaised):
        raise FirstCallRaised(first.text)
    if options.single_call_setup:
        return PointResult.of(options.metrics, 1, first.values, {}, first.user_totals, single_call_setup=True)
    try:
        return (yield from _repeated_calls(options))
    except RepeatedCallRaised as error:
        return PointResult(1, stateful=str(error))


def rounds_for(ns_per_round: int, budget_ns: int) -> int:
    """Return the number of rounds of this duration that one process measures of a test with this budget."""
    few = min(FEW_ROUNDS, FEW_ROUNDS_SPAN_NS // ns_per_round)
    affordable = budget_ns // ROUNDS_BUDGET_DIVISOR // (ns_per_round + KERNEL_NS)
    return max(1, min(affordable, max(few, min(MAX_ROUNDS, ROUNDS_SPAN_NS // ns_per_round))))


def warm_up_rounds(ns_per_round: int, budget_ns: int) -> int:
    """Return the number of rounds of this duration that warm a fresh process up."""
    span = min(WARM_UP_NS, budget_ns // WARM_UP_BUDGET_DIVISOR)
    return min(MAX_WARM_UP_ROUNDS, max(1, math.ceil(span / ns_per_round)))


def _repeated_calls(options: PlanOptions) -> Plan:
    second = result_of((yield MeasureRequest("calibrated", 1, 1, first_round=options.first_round)))
    readings, user_totals = second.values, second.user_totals
    spent = readings["time"][0]
    iterations, single_call_rounds = 1, None
    if spent < MIN_LONG_CALL_NS:
        hint = options.iterations if options.iterations * spent <= MAX_HINTED_ROUND_NS else 0
        iterations, ns_per_round, single_call_rounds = yield from calibrate(hint)
        yield from _read("time", iterations, warm_up_rounds(ns_per_round, options.budget_ns))
        rounds = rounds_for(ns_per_round, options.budget_ns)
        timed = result_of((yield MeasureRequest("calibrated", iterations, rounds, first_round=options.first_round)))
        readings, user_totals = timed.values, timed.user_totals
    if user_totals:
        user_totals = {**user_totals, **result_of((yield MeasureRequest("tails", 1, 1))).user_totals}
    memory: dict[str, tuple[float, ...]] = {}
    if options.memory and min(readings["time"]) // iterations < MAX_MEMORY_CALL_NS:
        ns_per_call = min(readings["time"]) // iterations
        memory = yield from plan_memory(options.metrics, ns_per_call, repeats=not single_call_rounds)
    return PointResult.of(options.metrics, iterations, readings, memory, user_totals, single_call_rounds)


def calibrate(hint: int) -> Generator[MeasureRequest, MeasureResult | CallRaised, tuple[int, int, str | None]]:
    """Determine the number of calls per round.

    Returns (iterations per round, ns per round, the exception that limits a round to one call, if any). A known number
    is kept if its round is within a factor of two of `ROUND_NS`, so that both arms of a comparison use the same number.
    The number grows by at most a factor of ten per step, because a short first reading is mostly the timer's own time.
    """
    iterations = max(1, hint)
    for _ in range(MAX_CALIBRATIONS):
        try:
            readings = readings_of((yield MeasureRequest("time", iterations, FEW_ROUNDS)))
        except RepeatedCallRaised as error:
            if iterations == 1:
                raise
            readings = readings_of((yield MeasureRequest("time", 1, FEW_ROUNDS)))
            return 1, _round_ns(readings), str(error)
        ns = max(1, min(readings["time"]))
        fits = ns >= ROUND_NS // 2 if iterations == hint else ns >= 0.9 * ROUND_NS
        if fits and (iterations == 1 or ns <= 2 * ROUND_NS):
            return iterations, _round_ns(readings), None
        if ns > 2 * ROUND_NS:
            hint = iterations = max(1, iterations * ROUND_NS // ns)
        else:
            iterations = math.ceil(iterations * min(10.0, 1.05 * ROUND_NS / ns))
    return iterations, ROUND_NS, None


def _round_ns(readings: Mapping[str, list[int]]) -> int:
    """Return the duration of a round with the set-up before it."""
    return max(1, min(readings["time"]) + min(readings["setup"]))


def plan_memory(
    metrics: tuple[str, ...], ns_per_call: int, *, repeats: bool = True
) -> Generator[MeasureRequest, MeasureResult | CallRaised, dict[str, tuple[float, ...]]]:
    """Yield the requests that measure the memory of a call of this duration, and return its values per iteration.

    Retained blocks are the difference between rounds of many calls and of one call, so they need a call that can be
    repeated.
    """
    values: dict[str, tuple[float, ...]] = {}
    if "memory" in metrics:
        rounds = MEMORY_ROUNDS if ns_per_call < MIN_LONG_CALL_NS else 1
        values["memory"] = tuple(float(peak) for peak in (yield from _read("memory", 1, rounds)))
    if "blocks" in metrics and ns_per_call < MIN_LONG_CALL_NS and repeats:
        fit = BLOCKS_SPAN_NS // max(1, ns_per_call)
        iterations = min(max(fit, BLOCKS_ITERATIONS.start), BLOCKS_ITERATIONS.stop - 1)
        # A round of one call retains mostly blocks of the instruments, the same number in every round.
        once = statistics.median((yield from _read("blocks", 1, MEMORY_ROUNDS)))
        totals = yield from _read("blocks", iterations, FEW_ROUNDS)
        values["blocks"] = tuple(max(0.0, (total - once) / (iterations - 1)) for total in totals)
    return values


def _read(instrument: str, iterations: int, rounds: int) -> _Steps:
    return readings_of((yield MeasureRequest(instrument, iterations, rounds)))[instrument]


def result_of(response: MeasureResult | CallRaised) -> MeasureResult:
    """Return the response if it is a result.

    Raises
    ------
    RepeatedCallRaised
        if the call raised.
    """
    if isinstance(response, CallRaised):
        raise RepeatedCallRaised(response.text)
    return response


def readings_of(response: MeasureResult | CallRaised) -> Mapping[str, list[int]]:
    """Return the readings of a response; raises as `result_of` does."""
    return result_of(response).values
