"""What to take of one measurement point in two processes that run in turn: a generator without a clock.

The two arms are served the same point. The plan names the arm with each request, and whether both are to be kept on one
CPU for it. Slices of one round alternate, base first and head first in turn, with the same number of calls in both.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeVar

from pytest_perfguard.engine.measure.messages import (
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
#: Slice pairs per visit: as many as fit into the span, within the two bounds.
SLICE_PAIRS: Final = range(3, 41)
SLICE_PAIRS_SPAN_NS: Final = 60_000_000
#: Pairs of processes that are to fit into the budget. Slow calls differ more between pairs than between slices, and four
#: pairs can only tell large differences: fewer slices, more pairs.
PAIRS_IN_BUDGET: Final = 8
#: Slice pairs of calls that are a process each, at least where the budget allows.
MIN_FRESH_SLICE_PAIRS: Final = 16
#: Below this a call is so short that the other arm's turn has pushed it out of the caches: two untimed calls bring it back.
MAX_SHORT_CALL_NS: Final = 250_000
#: Shortest round that tells whether a test runs in parallel, and rounds of it.
MIN_LOAD_ROUND_NS: Final = 5_000_000
LOAD_ROUNDS: Final = 3


@dataclass(frozen=True)
class ArmRequest:
    """Request to one arm."""

    arm: Arm
    take: MeasureRequest
    pinned: bool

    @property
    def as_rival_request(self) -> MeasureRequest:
        """The request where both arms are calls of one process: the base is the rival."""
        return replace(self.take, rival=self.arm == "base")


@dataclass(frozen=True)
class PairedPlanOptions:
    """What the runner wants of a visit to both arms."""

    metrics: tuple[str, ...]
    budget_ns: int
    """For all pairs of this test together."""
    iterations: int = 0
    """Calls per slice of earlier pairs; 0: not known."""
    single_call_rounds: str = ""
    """Why an earlier pair found that a slice must be one call; empty: it need not be."""
    pinned: bool | None = None
    """Keep both arms on one CPU? None: find out whether the test runs in parallel."""
    head_first: bool = False
    """Begin with the head."""
    memory: bool = True
    separate_calibration: bool = False
    """May the two arms have numbers of calls of their own? For two calls that are compared."""
    single_call_setup: bool = False
    """The test cannot be called twice on one set-up: take one call of each arm."""
    process_per_call: bool = False
    """Is each call a process of its own? Then calls differ as pairs do, and many of them in a pair are worth their time."""
    first_round: int = 0
    """Index of this visit's first slice pair among all slice pairs of the test."""


@dataclass(frozen=True)
class PairResult:
    """What one pair of processes gave for one measurement point."""

    base: PointResult
    head: PointResult
    pinned: bool


_T = TypeVar("_T")
PairPlan = Generator[ArmRequest, MeasureResult | CallRaised, PairResult]
_Steps = Generator[ArmRequest, MeasureResult | CallRaised, _T]


_Readings = dict[Arm, ArmReadings]


def plan_pair(options: PairedPlanOptions) -> PairPlan:
    """The requests of one visit to both arms; returns its `PairResult`.

    Raises
    ------
    FirstCallRaised
        where not even one call works in one of the arms.
    """
    arms: tuple[Arm, Arm] = ("head", "base") if options.head_first else ("base", "head")
    # Until it is known whether the test runs in parallel, it is left alone.
    pinned = bool(options.pinned)
    readings = _no_readings()
    load = 0.0
    for arm in arms:
        first = yield ArmRequest(arm, _single_call(options), pinned)
        if isinstance(first, CallRaised):
            raise FirstCallRaised(first.text)
        readings[arm].add(first)
        load = max(load, _max_load(first.values))
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
    """One call, with its load where it is not known yet whether the test runs in parallel."""
    return MeasureRequest("load" if options.pinned is None else "time", 1, 1, first_round=options.first_round)


def slice_pairs_for(pair_ns: int, budget_ns: int, least: int = SLICE_PAIRS.start) -> int:
    """Slice pairs of a visit, where one of them takes `pair_ns` in both arms together; `least` if the budget allows."""
    wanted = min(SLICE_PAIRS.stop - 1, max(least, 2 * SLICE_PAIRS_SPAN_NS // pair_ns))
    # The first call of each arm is as long as a slice, and counts for nothing.
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
        if any(second[arm] < iterations[arm] * MIN_LOAD_ROUND_NS for arm in arms):  # too short to tell
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
) -> _Steps[tuple[dict[Arm, int], dict[Arm, int], str]]:
    """(calls per slice, ns of a slice, why only one by one), of each arm; the same number of calls for both but for two calls."""
    number, slice_ns, problem = yield from _in_arm("base", calibrate(options.iterations), pinned)
    if not options.separate_calibration:
        return {"base": number, "head": number}, {"base": slice_ns, "head": max(1, number * second["head"])}, problem
    other, other_ns, more = yield from _in_arm("head", calibrate(0), pinned)
    return {"base": number, "head": other}, {"base": slice_ns, "head": other_ns}, problem or more


def _alternate(
    slices: _Readings, arms: tuple[Arm, Arm], takes: Mapping[Arm, MeasureRequest], wanted: int, pinned: bool
) -> _Steps[None]:
    """AB BA AB BA ... until there are as many as wanted; a long call's second call is the first slice."""
    for index in range(len(slices["base"].values["time"]), wanted):
        for arm in arms if index % 2 == 0 else arms[::-1]:
            # Both arms at the same offset of the stack, another one in each slice pair.
            take = replace(takes[arm], first_round=takes[arm].first_round + index)
            slices[arm].add(result_of((yield ArmRequest(arm, take, pinned))))


def _measure_load(iterations: Mapping[Arm, int], slices_ns: Mapping[Arm, int]) -> _Steps[float]:
    """CPU time per wall time in rounds that are long enough to tell it."""
    arms: tuple[Arm, Arm] = ("base", "head")
    highest = 0.0
    for arm in arms:
        long_enough = iterations[arm] * max(1, math.ceil(MIN_LOAD_ROUND_NS / slices_ns[arm]))
        highest = max(
            highest,
            _max_load(readings_of((yield ArmRequest(arm, MeasureRequest("load", long_enough, LOAD_ROUNDS), False)))),
        )
    return highest


def _max_load(readings: Mapping[str, list[int]]) -> float:
    """Return the highest share of CPU time in any round, that of child processes included where it was read.

    A busy machine only lowers it.
    """
    used = readings.get("load", readings["cpu"])
    return max(cpu / max(1, wall) for cpu, wall in zip(used, readings["time"], strict=True))


def _warm_up_arm(options: PairedPlanOptions, arm: Arm, iterations: int, pinned: bool) -> _Steps[int]:
    """Warm one arm; returns what a slice of it takes."""
    first = readings_of(
        (yield ArmRequest(arm, MeasureRequest("time", iterations, 1, first_round=options.first_round), pinned))
    )["time"][0]
    rounds = warm_up_rounds(max(1, first), options.budget_ns // PAIRS_IN_BUDGET)
    taken = readings_of(
        (yield ArmRequest(arm, MeasureRequest("time", iterations, rounds, first_round=options.first_round), pinned))
    )
    return max(1, min(taken["time"]))


def _in_arm(arm: Arm, steps: Generator[MeasureRequest, MeasureResult | CallRaised, _T], pinned: bool) -> _Steps[_T]:
    """A plan for one process, carried out in one arm."""
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
    single_call_rounds: str = "",
) -> PairResult:
    def visit(arm: Arm) -> PointResult:
        slices = readings[arm]
        user_totals = {**join_rounds(slices.user_totals), **slices.tails}
        return PointResult.of(
            options.metrics, iterations[arm], slices.values, memory.get(arm, {}), user_totals, single_call_rounds
        )

    return PairResult(visit("base"), visit("head"), pinned)
