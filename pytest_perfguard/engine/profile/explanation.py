"""Attribute the measured difference of two trees to functions and lines, by the profiles of both. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_perfguard.core.explanation import Blame, Location, MetricExplanation
from pytest_perfguard.engine.profile.call_changes import CallChanges, is_called_more
from pytest_perfguard.engine.profile.charges import Charges, Side, charges_of, reproduced_growth
from pytest_perfguard.engine.profile.model import AllocatingLine, AllocationProfile, Function

#: A function is blamed for at least this share of the loss.
MIN_SHARE: Final = 0.05
#: A function whose calls did not change is blamed if its time grew by at least this number of standard errors.
CLEAR: Final = 2.0
#: The profiles confirm a loss if they differ by at least this share of it.
CONFIRMED: Final = 0.25
#: Amounts are scaled to the loss by at most this factor, and by no less than its inverse. A function whose calls did not
#: change and that seems to have grown by more than so many losses was disturbed while it was profiled.
MAX_SCALE: Final = 3.0
#: Share of a function's growth above which it is attributed to the library code that the function calls.
MAJORITY: Final = 0.5
#: Bytes, and blocks, that a line may allocate more without being blamed.
_MIN_BYTES: Final = 256.0
_MIN_BLOCKS: Final = 0.5


@dataclass
class Candidate:
    """A function that may account for the loss, and the amount."""

    function: Function
    caller: Function | None
    counted: bool
    """Did a number of calls grow, its own or that of library code by it? Such a difference is known exactly."""
    amount: float = 0.0
    variance: float = 0.0


def explain_time(base: Side, head: Side, *, metric: str, loss: float, use: str = "both") -> MetricExplanation:
    """Blame functions for a loss of time, in seconds per iteration.

    `use` names the profile that the amounts rest on: `calls`, `samples`, or `both`. Nothing is blamed for a loss that the
    profiles do not confirm. The times of many short calls may fail to confirm it, since most of them is overhead of the
    profiler; then the samples alone are evidence, if they agree with the exact numbers of calls.
    """
    explained, _counted = _explain_time(base, head, metric, loss, use)
    if explained.blames or use != "both":
        return explained
    sampled, counted = _explain_time(base, head, metric, loss, "samples")
    return sampled if counted and sampled.blames[0].amount >= MAJORITY * loss else explained


def _explain_time(base: Side, head: Side, metric: str, loss: float, use: str) -> tuple[MetricExplanation, bool]:
    """Return the explanation, and whether exact numbers of calls confirm the first one to blame."""
    before, now, basis = charges_of(base, head, use)
    changes = CallChanges(base.calls, head.calls)
    growth = {function: now.of(function)[0] - before.of(function)[0] for function in {**before.seconds, **now.seconds}}
    net = sum(growth.values())
    candidates = _candidates(growth, before, now, changes)
    clear = [each for each in candidates if _is_clear(each, loss, net)]
    clear = list(_reproduced(clear, base, head, loss, basis))
    if loss <= 0 or not clear or (net < CONFIRMED * loss and sum(each.amount for each in clear) < loss):
        return MetricExplanation(metric, "s", loss, rest=loss, basis=basis), False
    scale = _scale(loss, net, sum(each.amount for each in clear))
    clear = sorted((each for each in clear if each.amount * scale >= MIN_SHARE * loss), key=lambda each: -each.amount)
    blames = tuple(blame_of(each, each.amount * scale, changes) for each in clear)
    rest = loss - sum(blame.amount for blame in blames)
    return MetricExplanation(metric, "s", loss, blames, rest, basis), bool(clear) and clear[0].counted


def explain_memory(
    base: AllocationProfile, head: AllocationProfile, *, metric: str, unit: str, loss: float
) -> MetricExplanation:
    """Blame lines for a loss of memory: bytes at the peak, or blocks that stay.

    The lines of one function are netted, since an edited line has another text; the one that grew most is named.
    """
    before, now = (base.sizes, head.sizes) if unit == "B" else (base.kept, head.kept)
    grown: dict[tuple[str, str], float] = {}
    largest: dict[tuple[str, str], tuple[float, AllocatingLine]] = {}
    for line in {**before, **now}:
        growth = now.get(line, 0.0) - before.get(line, 0.0)
        around = (line.place, line.name)
        grown[around] = grown.get(around, 0.0) + growth
        if line in now and (around not in largest or growth > largest[around][0]):
            largest[around] = growth, line
    minimum = max(MIN_SHARE * loss, _MIN_BYTES if unit == "B" else _MIN_BLOCKS)
    chosen = sorted(
        ((growth, largest[around][1]) for around, growth in grown.items() if growth >= minimum and around in largest),
        key=lambda item: -item[0],
    )
    if loss <= 0 or not chosen or sum(growth for growth, _line in chosen) < CONFIRMED * loss:
        return MetricExplanation(metric, unit, loss, rest=loss, basis="allocations")
    scale = _scale(loss, sum(grown.values()), sum(growth for growth, _line in chosen))
    blames = tuple(
        Blame(Location(line.place, head.lines.get(line, 0), line.name, head.lines.get(line, 0)), growth * scale)
        for growth, line in chosen
    )
    return MetricExplanation(metric, unit, loss, blames, loss - sum(each.amount for each in blames), "allocations")


def _candidates(
    growth: Mapping[Function, float], before: Charges, now: Charges, changes: CallChanges
) -> list[Candidate]:
    found: dict[tuple[Function | None, Function], Candidate] = {}

    def add(caller: Function | None, callee: Function, amount: float, variance: float, *, counted: bool) -> None:
        entry = found.setdefault((caller, callee), Candidate(callee, caller, counted))
        entry.amount += amount
        entry.variance += variance
        entry.counted |= counted

    for function, amount in growth.items():
        if amount <= 0:
            continue
        variance = before.of(function)[1] + now.of(function)[1]
        calls_before, calls_now = changes.base_calls(function), changes.head_calls(function)
        own, caller = amount, None
        if is_called_more(calls_before, calls_now):
            seconds = before.of(function)[0] / calls_before if calls_before else now.of(function)[0] / calls_now
            part = min(amount, (calls_now - calls_before) * seconds)
            own = amount - part
            caller, callee = changes.responsible(function)
            add(caller, callee, part, variance, counted=True)
            if callee == function and own > 0:  # slower in each call, too: one entry
                add(caller, callee, own, 0.0, counted=True)
                own = 0.0
        elif (shifted := changes.new_caller(function)) is not None:
            caller = shifted
        if own > 0:
            more = changes.calls_library_more(function)
            add(None if is_called_more(calls_before, calls_now) else caller, function, own, variance, counted=more)
    candidates = list(found.values())
    _subtract_replaced(growth, candidates, changes)
    return candidates


def _subtract_replaced(growth: Mapping[Function, float], candidates: list[Candidate], changes: CallChanges) -> None:
    """Subtract the time that a function saves from the candidate that took its work over: moved code is no extra cost."""
    for function, amount in growth.items():
        if amount >= 0:
            continue
        related = {function, changes.lost_caller(function)} - {None}
        takers = [each for each in candidates if each.caller in related or each.function in related]
        if takers:
            taker = max(takers, key=lambda each: each.amount)
            taker.amount = max(0.0, taker.amount + amount)


def _is_clear(candidate: Candidate, loss: float, net: float) -> bool:
    """Return whether the growth is certain: it results from additional calls, which are counted exactly, or exceeds the error.

    A function with most of the loss needs no such evidence if the profiles together confirm the measured loss.
    """
    if candidate.amount < MIN_SHARE * loss:
        return False
    error = math.sqrt(candidate.variance)
    confirmed = loss / 2 <= net <= 2 * loss and candidate.amount >= MAJORITY * loss
    return candidate.counted or candidate.amount > CLEAR * error or confirmed


def _reproduced(
    candidates: Sequence[Candidate], base: Side, head: Side, loss: float, basis: str
) -> Iterator[Candidate]:
    """Yield the candidates that more calls account for, or whose growth the profiled calls show without the measured loss."""
    growth = reproduced_growth(base, head)
    longer = head.samples.seconds - base.samples.seconds >= CONFIRMED * loss
    for each in candidates:
        grown = growth.get(each.function, 0.0)
        if each.counted or (longer if basis == "samples" else CONFIRMED * each.amount <= grown <= MAX_SCALE * loss):
            yield each


def _scale(loss: float, net: float, blamed: float) -> float:
    """Return the factor by which the profiles' amounts become parts of the loss."""
    if net > 0 and 1 / MAX_SCALE <= loss / net <= MAX_SCALE:
        return loss / net
    return loss / blamed


def blame_of(candidate: Candidate, amount: float, changes: CallChanges) -> Blame:
    function = candidate.function
    calls = changes.change(function)
    more_calls = calls is not None and calls.now > calls.before
    via = changes.library_call(function, MAJORITY) if not more_calls else None
    if calls is None and candidate.caller is not None:
        calls = changes.change_between(candidate.caller, function)
    return Blame(
        changes.location(function),
        amount,
        calls,
        changes.is_resumed(function),
        changes.location(candidate.caller) if candidate.caller is not None else None,
        changes.location(via) if via is not None else None,
        changes.change_between(function, via) if via is not None else None,
    )
