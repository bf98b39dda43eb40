"""What to take of one measurement point in one process: a generator that yields requests and has no clock.

A visit is: two single calls, calibration, warm-up, timed rounds, then the passes for memory. Times are whole nanoseconds
here; the result of a visit is in seconds, bytes and blocks per iteration.
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

#: A round lasts at least this long. Half a millisecond is as precise as longer rounds for a fraction of the time,
#: and short enough to fall wholly into a fast phase of a machine that changes speed every few tens of milliseconds.
ROUND_NS: Final = 500_000
#: Warm-up of a fresh process: the interpreter's inline caches and the CPU's caches need a few milliseconds.
WARM_UP_NS: Final = 20_000_000
#: However short a round is read to be: the reading may be wrong.
MAX_WARM_UP_ROUNDS: Final = 1_000
MAX_ROUNDS: Final = 40
#: Fewer rounds of a slow call: as many as fit here ...
ROUNDS_SPAN_NS: Final = 40_000_000
#: ... but three where that many fit into this.
FEW_ROUNDS: Final = 3
FEW_ROUNDS_SPAN_NS: Final = 300_000_000
#: The calibration kernel after each round takes about this long.
KERNEL_NS: Final = 500_000
#: The rounds of one process, and their warm-up, take at most these parts of a test's budget.
ROUNDS_BUDGET_DIVISOR: Final = 2
WARM_UP_BUDGET_DIVISOR: Final = 8
#: From here on the second call counts as a timed round: a call this long leaves nothing to warm up.
MIN_LONG_CALL_NS: Final = 100_000_000
#: A call whose time jumps about never calibrates; any number near the last is then as good as another.
MAX_CALIBRATIONS: Final = 30
#: Set-ups per process for a test that can be called once per set-up.
MAX_SINGLE_CALL_SETUPS: Final = 10
#: CPU time per wall time from which on a test counts as running in parallel: kept on one CPU, it would be another test.
MIN_PARALLEL_LOAD: Final = 1.15
MEMORY_ROUNDS: Final = 5
#: Tracing allocations makes a call several times as long; above this it is not worth its time.
MAX_MEMORY_CALL_NS: Final = 1_000_000_000
#: A known number of calls per round is not tried where it would take longer: the code has become far slower.
MAX_HINTED_ROUND_NS: Final = 1_000_000_000
#: Calls between two counts of the allocated blocks, as many as fit.
BLOCKS_SPAN_NS: Final = 5_000_000
BLOCKS_ITERATIONS: Final = range(2, 51)


class FirstCallRaised(Exception):
    """The point's very first call raised: the test does not work in this process."""


class RepeatedCallRaised(Exception):
    """A later call raised: the test cannot be called twice on one set-up."""


Plan = Generator[MeasureRequest, MeasureResult | CallRaised, PointResult]
_Steps = Generator[MeasureRequest, MeasureResult | CallRaised, list[int]]


def plan_point(options: PlanOptions) -> Plan:
    """The requests of one visit; returns its `PointResult`.

    Raises
    ------
    FirstCallRaised
        where not even one call works.
    """
    first = yield MeasureRequest("calibrated", 1, 1, first_round=options.first_round)
    if isinstance(first, CallRaised):
        raise FirstCallRaised(first.text)
    if options.single_call_setup:
        return PointResult.of(options.metrics, 1, first.values, {}, first.user_totals)
    try:
        return (yield from _repeated_calls(options))
    except RepeatedCallRaised as error:
        return PointResult(1, stateful=str(error))


def rounds_for(ns_per_round: int, budget_ns: int) -> int:
    """Return how many rounds of this length one process takes of a test with this budget."""
    few = min(FEW_ROUNDS, FEW_ROUNDS_SPAN_NS // ns_per_round)
    affordable = budget_ns // ROUNDS_BUDGET_DIVISOR // (ns_per_round + KERNEL_NS)
    return max(1, min(affordable, max(few, min(MAX_ROUNDS, ROUNDS_SPAN_NS // ns_per_round))))


def warm_up_rounds(ns_per_round: int, budget_ns: int) -> int:
    """Return how many rounds of this length warm a fresh process up."""
    span = min(WARM_UP_NS, budget_ns // WARM_UP_BUDGET_DIVISOR)
    return min(MAX_WARM_UP_ROUNDS, max(1, math.ceil(span / ns_per_round)))


def _repeated_calls(options: PlanOptions) -> Plan:
    second = result_of((yield MeasureRequest("calibrated", 1, 1, first_round=options.first_round)))
    readings, user_totals = second.values, second.user_totals
    spent = readings["time"][0]
    iterations, single_call_rounds = 1, ""
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


def calibrate(hint: int) -> Generator[MeasureRequest, MeasureResult | CallRaised, tuple[int, int, str]]:
    """Find how many calls make a round -> (iterations per round, ns per round, why only one by one).

    A known number is kept while its round is within a factor of two of the aim: the same number of calls on both
    sides of a comparison. Growth is bounded by ten, since a short first reading is mostly the timer.
    """
    iterations = max(1, hint)
    for _ in range(MAX_CALIBRATIONS):
        try:
            taken = readings_of((yield MeasureRequest("time", iterations, FEW_ROUNDS)))
        except RepeatedCallRaised as error:
            if iterations == 1:
                raise
            taken = readings_of((yield MeasureRequest("time", 1, FEW_ROUNDS)))
            return 1, _round_ns(taken), str(error)
        ns = max(1, min(taken["time"]))
        fits = ns >= ROUND_NS // 2 if iterations == hint else ns >= 0.9 * ROUND_NS
        if fits and (iterations == 1 or ns <= 2 * ROUND_NS):
            return iterations, _round_ns(taken), ""
        if ns > 2 * ROUND_NS:
            hint = iterations = max(1, iterations * ROUND_NS // ns)
        else:
            iterations = math.ceil(iterations * min(10.0, 1.05 * ROUND_NS / ns))
    return iterations, ROUND_NS, ""


def _round_ns(taken: Mapping[str, list[int]]) -> int:
    """A round with the set-up before it: what the test takes of the clock."""
    return max(1, min(taken["time"]) + min(taken["setup"]))


def plan_memory(
    metrics: tuple[str, ...], ns_per_call: int, *, repeats: bool = True
) -> Generator[MeasureRequest, MeasureResult | CallRaised, dict[str, tuple[float, ...]]]:
    """The passes for memory of a call that takes `ns_per_call`; values per iteration.

    Blocks are a difference between rounds of many calls and of one: not to be had where a call cannot be repeated.
    """
    values: dict[str, tuple[float, ...]] = {}
    if "memory" in metrics:
        rounds = MEMORY_ROUNDS if ns_per_call < MIN_LONG_CALL_NS else 1
        values["memory"] = tuple(float(peak) for peak in (yield from _read("memory", 1, rounds)))
    if "blocks" in metrics and ns_per_call < MIN_LONG_CALL_NS and repeats:
        fit = BLOCKS_SPAN_NS // max(1, ns_per_call)
        iterations = min(max(fit, BLOCKS_ITERATIONS.start), BLOCKS_ITERATIONS.stop - 1)
        # What a round of one call leaves is mostly the apparatus's own, the same in every round.
        once = statistics.median((yield from _read("blocks", 1, MEMORY_ROUNDS)))
        totals = yield from _read("blocks", iterations, FEW_ROUNDS)
        values["blocks"] = tuple(max(0.0, (total - once) / (iterations - 1)) for total in totals)
    return values


def _read(instrument: str, iterations: int, rounds: int) -> _Steps:
    return readings_of((yield MeasureRequest(instrument, iterations, rounds)))[instrument]


def result_of(answer: MeasureResult | CallRaised) -> MeasureResult:
    """The answer, if there is one.

    Raises
    ------
    RepeatedCallRaised
        where the call raised instead.
    """
    if isinstance(answer, CallRaised):
        raise RepeatedCallRaised(answer.text)
    return answer


def readings_of(answer: MeasureResult | CallRaised) -> Mapping[str, list[int]]:
    """The readings of an answer, or as `result_of`."""
    return result_of(answer).values
