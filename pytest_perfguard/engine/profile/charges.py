"""Seconds charged to the project's own functions, each with all library and C code that it called. Pure.

A person can change the project's functions only, and a library function means nothing without its caller. So the time of
other code belongs to the project's function that called it: exactly in sampled stacks, by cumulative times of the call
graph's edges in a deterministic profile.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from pytest_perfguard.engine.profile.model import CallProfile, Function, StackSamples

#: Library functions between one of the project and the one that is charged, at most.
_PASSES: Final = 60
#: Standard error of a function's time in a deterministic profile, as a share of it ...
_SHARE_ERROR: Final = 0.02
#: ... and for each call that it makes or receives, in seconds: a tenth of what is subtracted for the profiler.
_EVENT_ERROR: Final = 1e-8
#: Standard error of a sampled share beyond that of counting: where threads hand over is not random.
_SAMPLED_ERROR: Final = 0.02
#: Seconds by which a sample may be late, because a thread yields to the sampler at some instructions only. Each call that
#: a function makes or receives may shift its sampled time by up to this much.
_LATE: Final = 5e-7
#: A deterministic profile is ignored if more than this share of its time is waiting, or charged to no function.
MAX_UNCHARGED: Final = 0.15
#: Modules in whose functions an event loop waits for events and a thread for another one.
_IDLE: Final = frozenset({"select", "_thread"})
_LOCKS: Final = "_thread."


@dataclass(frozen=True)
class Side:
    """The profiles and the measured time of one tree."""

    calls: CallProfile = field(default_factory=CallProfile)
    """All slices as one, with the smallest seconds of each function: interference only adds."""
    second: CallProfile | None = None
    """`calls` with the second smallest seconds. Their distance from the smallest estimates the error of `calls`."""
    samples: StackSamples = field(default_factory=StackSamples)
    seconds: float = 0.0
    """Measured per iteration, without any profiler."""
    halves: tuple[CallProfile, ...] = ()
    """`calls` of every other slice, and of the rest: profiles of the same code, whose difference is an error. Empty: one slice."""


@dataclass(frozen=True)
class Charges:
    """Seconds per iteration by function, with their variances."""

    seconds: Mapping[Function, float]
    variances: Mapping[Function, float]

    def of(self, function: Function) -> tuple[float, float]:
        """Return seconds and variance; a function that did not run cost nothing."""
        return self.seconds.get(function, 0.0), self.variances.get(function, 0.0)


def charged_by_calls(profile: CallProfile) -> dict[Function, float]:
    """Charge the own times of a deterministic profile.

    The time of a library function is divided among its callers, in proportion to the time of their calls, repeatedly until
    it reaches functions of the project. Time of functions without a caller (a waiting event loop) is charged to no function.
    """
    callers: dict[Function, list[tuple[Function, float]]] = {}
    for (caller, callee), edge in profile.edges.items():
        if not callee.ours:
            callers.setdefault(callee, []).append((caller, edge.seconds))
    charged = {function: cost.own for function, cost in profile.costs.items() if function.ours}
    pending = {function: cost.own for function, cost in profile.costs.items() if not function.ours}
    for _ in range(_PASSES):
        handed_up: dict[Function, float] = {}
        for function, amount in pending.items():
            known = callers.get(function, [])
            total = sum(seconds for _caller, seconds in known)
            for caller, seconds in known:
                part = amount * (seconds / total if total > 0 else 1 / len(known))
                into = charged if caller.ours else handed_up
                into[caller] = into.get(caller, 0.0) + part
        pending = handed_up
        if not pending:
            break
    return charged


def charged_by_samples(samples: StackSamples) -> dict[Function, float]:
    """Charge each sample to the innermost function of the project; shares of all samples."""
    charged: dict[Function, float] = {}
    for stack, count in samples.stacks.items():
        owner = next((function for function in reversed(stack) if function.ours), None)
        if owner is not None:
            charged[owner] = charged.get(owner, 0.0) + count
    total = samples.count
    return {function: count / total for function, count in charged.items()} if total else {}


def charges_of(base: Side, head: Side, use: str = "both") -> tuple[Charges, Charges, str]:
    """Charge both sides' measured seconds: by `calls`, by `samples`, or by both, weighted by their precision.

    Returns the charges of base and head, and the basis: "calls", "samples" or "both". The times in the call profiles are
    scaled by one factor for both sides. With separate factors, unchanged functions would look faster on the side that makes
    more small calls.
    """
    threads = base.calls.threads + head.calls.threads > 0
    if threads:
        base, head = _without_locks(base), _without_locks(head)
    by_calls = _charged_with_errors(base), _charged_with_errors(head)
    sampled = base.samples.count > 0 and head.samples.count > 0
    counted = all(_is_complete(side, charged[0]) for side, charged in zip((base, head), by_calls, strict=True))
    basis = use
    if use == "both" and (threads or not sampled):
        basis = "calls"
    elif use == "both" and not counted:
        basis = "samples"
    scale = _common_scale(base, head, by_calls[0][0], by_calls[1][0])
    sides = []
    for side, (charged, spreads) in zip((base, head), by_calls, strict=True):
        calls = _with_errors(side.calls, charged, spreads, scale)
        samples = _sampled(side)
        sides.append(calls if basis == "calls" else samples if basis == "samples" else _weighted(calls, samples))
    return sides[0], sides[1], basis


def reproduced_growth(base: Side, head: Side) -> dict[Function, float]:
    """Return the growth in seconds of the functions that grew by more than the profile of a side differs from itself.

    Only the deterministic profiles count. Samples give shares, which grow with the measured time that they are parts of,
    whether or not the profiled calls took longer. Of both sides' errors the smaller one counts: a half of which every slice
    was disturbed has a large error, but the smallest seconds are those of the other half.
    """
    if base.calls.threads + head.calls.threads > 0:
        base, head = _without_locks(base), _without_locks(head)
    before, now = charged_by_calls(base.calls), charged_by_calls(head.calls)
    scale = _common_scale(base, head, before, now)
    errors = [_difference(*map(charged_by_calls, side.halves)) for side in (base, head) if side.halves]
    growth = {function: now.get(function, 0.0) - before.get(function, 0.0) for function in {**before, **now}}
    return {
        function: amount * scale
        for function, amount in growth.items()
        if amount > min((error.get(function, 0.0) for error in errors), default=0.0)
    }


def _difference(one: Mapping[Function, float], other: Mapping[Function, float]) -> dict[Function, float]:
    return {function: abs(one.get(function, 0.0) - other.get(function, 0.0)) for function in {**one, **other}}


def _common_scale(base: Side, head: Side, before: Mapping[Function, float], now: Mapping[Function, float]) -> float:
    """Return the factor that turns the profiles' seconds into measured ones, of both sides together."""
    total = sum(before.values()) + sum(now.values())
    return (base.seconds + head.seconds) / total if total > 0 else 0.0


def _charged_with_errors(side: Side) -> tuple[dict[Function, float], dict[Function, float]]:
    """Return the smallest seconds of each function, and their distance from the second smallest as their error."""
    smallest = charged_by_calls(side.calls)
    second = charged_by_calls(side.second) if side.second is not None else smallest
    return smallest, {function: abs(second.get(function, seconds) - seconds) for function, seconds in smallest.items()}


def _is_complete(side: Side, charged: Mapping[Function, float]) -> bool:
    """Return whether the deterministic profile accounts for the time: little of it is waiting, or charged to no function."""
    costs = side.calls.costs
    total = sum(cost.own for cost in costs.values())
    idle = sum(cost.own for function, cost in costs.items() if function.place.partition(".")[0] in _IDLE)
    return total > 0 and sum(charged.values()) - idle >= (1 - MAX_UNCHARGED) * total


def _without_locks(side: Side) -> Side:
    """Return the side without waits for locks: the work that a thread waits for is profiled in the thread that does it."""
    return replace(
        side,
        calls=_lockless(side.calls),
        second=_lockless(side.second) if side.second is not None else None,
        halves=tuple(map(_lockless, side.halves)),
    )


def _lockless(profile: CallProfile) -> CallProfile:
    costs = {
        function: cost._replace(own=0.0) if function.place.startswith(_LOCKS) else cost
        for function, cost in profile.costs.items()
    }
    return replace(profile, costs=costs)


def _with_errors(
    profile: CallProfile, charged: Mapping[Function, float], spreads: Mapping[Function, float], scale: float
) -> Charges:
    events = _events(profile)
    seconds = {function: value * scale for function, value in charged.items()}
    variances = {
        function: (_SHARE_ERROR * value) ** 2
        + (spreads[function] * scale) ** 2
        + (_EVENT_ERROR * events.get(function, 0.0)) ** 2
        for function, value in seconds.items()
    }
    return Charges(seconds, variances)


def _events(profile: CallProfile) -> dict[Function, float]:
    """Return, by function, the calls per iteration that it receives and makes."""
    events = {function: cost.calls for function, cost in profile.costs.items()}
    for (caller, _callee), edge in profile.edges.items():
        events[caller] = events.get(caller, 0.0) + edge.calls
    return events


def _handovers(profile: CallProfile) -> dict[Function, float]:
    """Return, by function, the calls between it and other functions of the project; those of library code are charged to it anyway."""
    handovers = {function: cost.calls for function, cost in profile.costs.items() if function.ours}
    for (caller, callee), edge in profile.edges.items():
        if caller.ours and callee.ours:
            handovers[caller] = handovers.get(caller, 0.0) + edge.calls
    return handovers


def _sampled(side: Side) -> Charges:
    shares, count = charged_by_samples(side.samples), max(1, side.samples.count)
    handovers = _handovers(side.calls)
    seconds = {function: share * side.seconds for function, share in shares.items()}
    variances = {
        function: side.seconds**2 * (_binomial(share, count) + (_SAMPLED_ERROR * share) ** 2)
        + min(seconds[function], _LATE * handovers.get(function, 0.0)) ** 2
        for function, share in shares.items()
    }
    return Charges(seconds, variances)


def _binomial(share: float, count: int) -> float:
    """Return the variance of a share. It is not 0 for what was sampled once or never (Agresti and Coull, 1998)."""
    adjusted = (share * count + 2) / (count + 4)
    return adjusted * (1 - adjusted) / count


def _weighted(calls: Charges, samples: Charges) -> Charges:
    """Return the mean of two estimates, weighted by the inverse of their variances."""
    seconds: dict[Function, float] = {}
    variances: dict[Function, float] = {}
    unseen = min(samples.variances.values(), default=math.inf)
    for function in {**calls.seconds, **samples.seconds}:
        one, of_one = calls.of(function)
        other, of_other = samples.of(function)
        weights = 1 / max(of_one, 1e-24), 1 / max(of_other or unseen, 1e-24)
        if function not in calls.seconds:
            weights = 0.0, weights[1]
        seconds[function] = (one * weights[0] + other * weights[1]) / sum(weights)
        variances[function] = 1 / sum(weights)
    return Charges(seconds, variances)
