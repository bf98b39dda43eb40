"""Explain a loss of time by the numbers of calls that a baseline file holds: the times of before are not known. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final

from pytest_perfguard.core.explanation import Blame, FunctionTime, MetricExplanation
from pytest_perfguard.engine.profile.call_changes import CallChanges, is_called_more
from pytest_perfguard.engine.profile.charges import Charges, Side, charges_of
from pytest_perfguard.engine.profile.explanation import CLEAR, MAJORITY, MIN_SHARE, Candidate, blame_of
from pytest_perfguard.engine.profile.model import CallProfile, Function

#: Functions that are listed where none can be blamed, at most, and the share of the time that each takes at least.
_LISTED: Final = 3
_LISTED_SHARE: Final = 0.1


def explain_counts(
    counts: Mapping[Function, float],
    head: Side,
    *,
    metric: str,
    loss: float,
    unit: str = "s",
    complete: bool = True,
) -> MetricExplanation:
    """Blame functions for a loss of time, in seconds per iteration, by recorded calls and this tree's profile.

    A function that is called more often is blamed for its additional calls. If these leave most of the loss open, a function
    whose time is longer than all other functions together can have lost has lost the difference at least: if 71 of 136 us
    are new and everything else takes 6 us, at least 65 us of them are new in that function.

    `complete`: whether the baseline holds all functions. If it does not, functions that it lacks count as unchanged.

    For a loss of instructions, `head.seconds` is their number now: it is divided like the time. A share of the time proves
    nothing about instructions, so that only functions that are called more often are blamed.
    """
    changes = CallChanges(_with_recorded_calls(head.calls, counts, complete=complete), head.calls)
    _before, now, _basis = charges_of(head, head)
    chosen = [each for each in _called_more(head.calls, now, changes) if each.amount >= MIN_SHARE * loss]
    total = sum(each.amount for each in chosen)
    scale = loss / total if total > loss else 1.0
    blames = [blame_of(each, each.amount * scale, changes) for each in sorted(chosen, key=lambda each: -each.amount)]
    rest = loss - sum(blame.amount for blame in blames)
    if unit == "s" and rest > MAJORITY * loss:
        blames += _least(now, rest, loss, head.seconds, changes)
        rest = loss - sum(blame.amount for blame in blames)
    longest = () if blames or unit != "s" else tuple(_longest(now, head.seconds, changes))
    return MetricExplanation(metric, unit, loss, tuple(blames), rest, "counts", longest)


def _called_more(calls: CallProfile, now: Charges, changes: CallChanges) -> list[Candidate]:
    found: dict[tuple[Function | None, Function], Candidate] = {}

    def add(caller: Function | None, callee: Function, amount: float) -> None:
        found.setdefault((caller, callee), Candidate(callee, caller, counted=True)).amount += amount

    for function, seconds in now.seconds.items():
        was, is_now = changes.base_calls(function), changes.head_calls(function)
        if is_called_more(was, is_now):
            add(*changes.responsible(function), seconds * (is_now - was) / is_now)
    for (caller, callee), edge in calls.edges.items():
        was, is_now = changes.base_calls(callee), changes.head_calls(callee)
        if caller.ours and not callee.ours and is_called_more(was, is_now):
            add(None, caller, edge.seconds * (1 - was / is_now))
    return list(found.values())


def _least(now: Charges, rest: float, loss: float, total: float, changes: CallChanges) -> Iterator[Blame]:
    """Yield the function that most of the loss must lie in, since all others together do not take that long."""
    function = max(now.seconds, key=lambda each: now.seconds[each], default=None)
    if function is None or changes.change(function) is not None:
        return
    seconds, variance = now.of(function)
    least = rest - (total - seconds) - CLEAR * math.sqrt(variance)
    if least >= MAJORITY * loss:
        yield Blame(changes.location(function), min(least, rest), at_least=True)


def _longest(now: Charges, total: float, changes: CallChanges) -> Iterator[FunctionTime]:
    ordered = sorted(now.seconds.items(), key=lambda item: -item[1])
    for function, seconds in ordered[:_LISTED]:
        if seconds >= _LISTED_SHARE * total:
            yield FunctionTime(changes.location(function), min(seconds, total))


def _with_recorded_calls(head: CallProfile, counts: Mapping[Function, float], *, complete: bool) -> CallProfile:
    """Return the head's profile with the recorded numbers of calls; each caller is taken to have made its share of them."""
    recorded = {
        function: counts.get(function, 0.0 if complete else cost.calls) for function, cost in head.costs.items()
    }
    shares = {function: recorded[function] / cost.calls if cost.calls else 0.0 for function, cost in head.costs.items()}
    return CallProfile(
        {function: cost._replace(calls=recorded[function]) for function, cost in head.costs.items()},
        {pair: edge._replace(calls=edge.calls * shares.get(pair[1], 0.0)) for pair, edge in head.edges.items()},
    )
