"""The measurement plan of one point in two arms that run in turn: a generator that yields requests and reads no clock.

Each request names its arm, and whether both arms are to be pinned to one CPU for it. A slice is one round of one arm.
Slices alternate, with the base first and the head first in turn, and have the same number of calls in both arms.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeVar

from pytest_perfguard.engine.measure.messages import (
    MAX_SHORT_ROUND_NS,
    ArmReadings,
    CallRaised,
    MeasureRequest,
    MeasureResult,
    PointResult,
    join_rounds,
)
from pytest_perfguard.engine.measure.plan import (
    MAX_MEMORY_CALL_NS,
    MIN_LONG_CALL_NS,
    MIN_PARALLEL_LOAD,
    FirstCallRaised,
    RepeatedCallRaised,
    calibrate,
    plan_memory,
    readings_of,
    result_of,
    warm_up_rounds,
)

Arm = Literal["base", "head"]
#: Slice pairs per pair of processes: as many as fit into the span, within these limits.
SLICE_PAIRS: Final = range(3, 41)
SLICE_PAIRS_SPAN_NS: Final = 60_000_000
#: Pairs of processes that are to fit into the budget. Slow calls differ more between pairs than between slices, and
#: four pairs detect only large differences; hence fewer slices and more pairs.
PAIRS_IN_BUDGET: Final = 8
#: Minimum slice pairs, within the budget, if each call is a process of its own.
MIN_FRESH_SLICE_PAIRS: Final = 16
#: A shorter call has been displaced from the caches during the other arm's turn; two untimed calls bring it back.
MAX_SHORT_CALL_NS: Final = 250_000
#: Minimum duration of a round that shows whether a test runs in parallel, and the number of such rounds.
MIN_LOAD_ROUND_NS: Final = 5_000_000
LOAD_ROUNDS: Final = 3


@dataclass(frozen=True)
class ArmRequest:
    """Request to one arm."""

    arm: Arm
    request: MeasureRequest
    pinned: bool

    @property
    def as_rival_request(self) -> MeasureRequest:
        """The request if both arms are calls of one process: the base is the rival."""
        return replace(self.request, rival=self.arm == "base")


@dataclass(frozen=True)
class PairedPlanOptions:
    """Options of the plan for one point in one pair of processes."""

    metrics: tuple[str, ...]
    budget_ns: int
    """For all pairs of the test together."""
    iterations: int = 0
    """Calls per slice in earlier pairs; 0: unknown."""
    single_call_rounds: str | None = None
    """The exception because of which an earlier pair limited a slice to one call, if any."""
    pinned: bool | None = None
    """True if both arms are pinned to one CPU; None: determine whether the test runs in parallel."""
    head_first: bool = False
    """True if the head takes the first turn."""
    memory: bool = True
    separate_calibration: bool = False
    """True if each arm has a number of calls of its own, as for two different calls that are compared."""
    single_call_setup: bool = False
    """True if the test can be called only once per set-up, so that one call of each arm is measured."""
    process_per_call: bool = False
    """True if each call starts a process. Calls then differ as much as pairs do, so a pair takes many of them."""
    first_round: int = 0
    """Index of the first slice pair of this pair of processes among all slice pairs of the test."""


@dataclass(frozen=True)
class PairResult:
    """Result of one measurement point in one pair of processes."""

    base: PointResult
    head: PointResult
    pinned: bool


_T = TypeVar("_T")
PairPlan = Generator[ArmRequest, MeasureResult | CallRaised, PairResult]
_Steps = Generator[ArmRequest, MeasureResult | CallRaised, _T]


_Readings = dict[Arm, ArmReadings]


def plan_pair(options: PairedPlanOptions) -> PairPlan:
    """Yield the requests for one point in both arms, and return its `PairResult`.

    Raises
    ------
    FirstCallRaised
        if the first call raises in one of the arms.
    """
    arms: tuple[Arm, Arm] = ("head", "base") if options.head_first else ("base", "head")
    # Not pinned until it is known whether the test runs in parallel.
    pinned = bool(options.pinned)
    readings = _no_readings()
    load = 0.0
    for arm in arms:
        first = yield ArmRequest(arm, _single_call(options), pinned)
        if isinstance(first, CallRaised):
            raise FirstCallRaised(first.text)
        readings[arm].add(first)
        load = max(load, _max_load(first.values, min_ns=MAX_SHORT_ROUND_NS))
    if options.single_call_setup:
        return _pair_result(
            options,
            {"base": 1, "head": 1},
            readings,
            {},
            pinned=load <= MIN_PARALLEL_LOAD if options.pinned is None else options.pinned,
        )
    try:
        return (yield from _repeated_calls(options, arms, pinned))
    except RepeatedCallRaised as error:
        nothing = PointResult(1, stateful=str(error))
        return PairResult(nothing, nothing, pinned)


def _single_call(options: PairedPlanOptions) -> MeasureRequest:
    """Return the request for one call, with its load if it is unknown whether the test runs in parallel."""
    return MeasureRequest("load" if options.pinned is None else "time", 1, 1, first_round=options.first_round)


def slice_pairs_for(pair_ns: int, budget_ns: int, min_pairs: int = SLICE_PAIRS.start) -> int:
    """Return the number of slice pairs for a slice pair of this duration; at least `min_pairs` if the budget allows."""
    wanted = min(SLICE_PAIRS.stop - 1, max(min_pairs, 2 * SLICE_PAIRS_SPAN_NS // pair_ns))
    # The first call of each arm is as long as a slice, and is not counted.
    return max(1, min(wanted, budget_ns // (PAIRS_IN_BUDGET * pair_ns) - 1))


def _repeated_calls(options: PairedPlanOptions, arms: tuple[Arm, Arm], pinned: bool) -> PairPlan:
    second: dict[Arm, int] = {}
    slices = _no_readings()
    load = 0.0
    for arm in arms:
        taken = result_of((yield ArmRequest(arm, _single_call(options), pinned)))
        second[arm], load = max(1, taken.values["time"][0]), max(load, _max_load(taken.values))
        slices[arm].add(taken)
    known = max(1, options.iterations)
    iterations: dict[Arm, int] = {"base": known, "head": known}
    single_call_rounds = options.single_call_rounds
    is_long = options.iterations <= 1 and min(second.values()) >= MIN_LONG_CALL_NS
    if not is_long and (options.separate_calibration or not options.iterations):
        iterations, second, single_call_rounds = yield from _calibrate_arms(options, second, pinned)
    if options.pinned is None:
        if any(second[arm] < iterations[arm] * MIN_LOAD_ROUND_NS for arm in arms):  # too short to show it
            load = (yield from _measure_load(iterations, second)) if not single_call_rounds else 0.0
        pinned = load <= MIN_PARALLEL_LOAD
    if not is_long:
        slices = _no_readings()
        for arm in arms:
            second[arm] = yield from _warm_up_arm(options, arm, iterations[arm], pinned)
    per_call = min(second[arm] // iterations[arm] for arm in arms)
    instrument = "warmed" if per_call < MAX_SHORT_CALL_NS and not single_call_rounds else "time"
    wanted = slice_pairs_for(
        sum(second.values()),
        options.budget_ns,
        MIN_FRESH_SLICE_PAIRS if options.process_per_call else SLICE_PAIRS.start,
    )
    takes = {arm: MeasureRequest(instrument, iterations[arm], 1, first_round=options.first_round) for arm in arms}
    yield from _alternate(slices, arms, takes, wanted, pinned)
    for arm in arms if any(slices["base"].user_totals[-1:]) or any(slices["head"].user_totals[-1:]) else ():
        slices[arm].tails = result_of((yield ArmRequest(arm, MeasureRequest("tails", 1, 1), pinned))).user_totals
    memory: dict[Arm, dict[str, tuple[float, ...]]] = {}
    if options.memory and per_call < MAX_MEMORY_CALL_NS:
        for arm in arms:
            passes = plan_memory(options.metrics, per_call, repeats=not single_call_rounds)
            memory[arm] = yield from _in_arm(arm, passes, pinned)
    return _pair_result(options, iterations, slices, memory, pinned=pinned, single_call_rounds=single_call_rounds)


def _calibrate_arms(
    options: PairedPlanOptions, second: Mapping[Arm, int], pinned: bool
) -> _Steps[tuple[dict[Arm, int], dict[Arm, int], str | None]]:
    """Return (calls per slice of each arm, ns per slice of each arm, the exception that limits a slice to one call, if
    any)."""
    number, slice_ns, problem = yield from _in_arm("base", calibrate(options.iterations), pinned)
    if not options.separate_calibration:
        return {"base": number, "head": number}, {"base": slice_ns, "head": max(1, number * second["head"])}, problem
    other, other_ns, more = yield from _in_arm("head", calibrate(0), pinned)
    return {"base": number, "head": other}, {"base": slice_ns, "head": other_ns}, problem or more


def _alternate(
    slices: _Readings, arms: tuple[Arm, Arm], takes: Mapping[Arm, MeasureRequest], wanted: int, pinned: bool
) -> _Steps[None]:
    """Measure slices in the order AB BA AB BA ... until there are `wanted` pairs. The second call of a long test is the
    first slice."""
    for index in range(len(slices["base"].values["time"]), wanted):
        for arm in arms if index % 2 == 0 else arms[::-1]:
            # Both arms at the same stack offset, which changes with each slice pair.
            take = replace(takes[arm], first_round=takes[arm].first_round + index)
            slices[arm].add(result_of((yield ArmRequest(arm, take, pinned))))


def _measure_load(iterations: Mapping[Arm, int], slices_ns: Mapping[Arm, int]) -> _Steps[float]:
    """Return the ratio of CPU time to wall time, of rounds that are long enough to show it."""
    arms: tuple[Arm, Arm] = ("base", "head")
    highest = 0.0
    for arm in arms:
        long_enough = iterations[arm] * max(1, math.ceil(MIN_LOAD_ROUND_NS / slices_ns[arm]))
        highest = max(
            highest,
            _max_load(readings_of((yield ArmRequest(arm, MeasureRequest("load", long_enough, LOAD_ROUNDS), False)))),
        )
    return highest


def _max_load(readings: Mapping[str, list[int]], *, min_ns: int = 0) -> float:
    """Return the maximum ratio of CPU time to wall time of any round of this duration, with child processes if their time
    was read; 0 if all rounds are shorter.

    A busy machine only lowers the ratio, hence the maximum.
    """
    used = readings.get("load", readings["cpu"])
    ratios = (cpu / max(1, wall) for cpu, wall in zip(used, readings["time"], strict=True) if wall >= min_ns)
    return max(ratios, default=0.0)


def _warm_up_arm(options: PairedPlanOptions, arm: Arm, iterations: int, pinned: bool) -> _Steps[int]:
    """Warm one arm up; return the duration of a slice in it."""
    first = readings_of(
        (yield ArmRequest(arm, MeasureRequest("time", iterations, 1, first_round=options.first_round), pinned))
    )["time"][0]
    rounds = warm_up_rounds(max(1, first), options.budget_ns // PAIRS_IN_BUDGET)
    taken = readings_of(
        (yield ArmRequest(arm, MeasureRequest("time", iterations, rounds, first_round=options.first_round), pinned))
    )
    return max(1, min(taken["time"]))


def _in_arm(arm: Arm, steps: Generator[MeasureRequest, MeasureResult | CallRaised, _T], pinned: bool) -> _Steps[_T]:
    """Run the plan of one process in one arm."""
    try:
        request = next(steps)
        while True:
            request = steps.send((yield ArmRequest(arm, request, pinned)))
    except StopIteration as stop:
        result: _T = stop.value
        return result


def _no_readings() -> _Readings:
    return {"base": ArmReadings(), "head": ArmReadings()}


def _pair_result(
    options: PairedPlanOptions,
    iterations: Mapping[Arm, int],
    readings: _Readings,
    memory: Mapping[Arm, Mapping[str, tuple[float, ...]]],
    *,
    pinned: bool,
    single_call_rounds: str | None = None,
) -> PairResult:
    def result(arm: Arm) -> PointResult:
        slices = readings[arm]
        user_totals = {**join_rounds(slices.user_totals), **slices.tails}
        return PointResult.of(
            options.metrics, iterations[arm], slices.values, memory.get(arm, {}), user_totals, single_call_rounds
        )

    return PairResult(result("base"), result("head"), pinned)
