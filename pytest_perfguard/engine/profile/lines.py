"""The lines of an explanation on the terminal: at most five. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pytest_perfguard.core.explanation import Blame, Explanation, MetricExplanation
from pytest_perfguard.core.units import format_amount

MAX_LINES: Final = 5
#: Lines on memory, where there are some on time as well.
_MAX_MEMORY: Final = 2
#: An amount above the loss by more than this factor is shown without it: other lines take less than before. One that is
#: above it by less is all of it.
_MAX_OF_LOSS: Final = 1.05


def where_lines(explanation: Explanation) -> Iterator[str]:
    """Yield headings, each after an empty line, and the lines below them; no line without an explanation.

    `+41.0 us of +45.0 us in rules.py:41 match, 1 -> 40 calls per iteration from prices.py:9 total; changed in this diff`
    """
    if explanation.problem:
        yield ""
        yield "where the time went"
        yield f"  not profiled: {explanation.problem.splitlines()[0]}"
        return
    times = [each for each in explanation.metrics if each.unit == "s"]
    counts = [each for each in explanation.metrics if each.unit == "instructions"]
    memory = [each for each in explanation.metrics if each.unit not in ("s", "instructions")]
    for_memory = sum(max(1, len(each.blames)) for each in memory)
    if times or counts:
        for_memory = min(for_memory, _MAX_MEMORY)
    yield from _section("where the time went", times, MAX_LINES - for_memory)
    yield from _section("where the instructions went", counts, MAX_LINES - for_memory)
    yield from _section("where the memory went", memory, for_memory if times or counts else MAX_LINES)


def _section(heading: str, explained: list[MetricExplanation], limit: int) -> Iterator[str]:
    lines = [line for each in explained for line in _metric_lines(each, named=len(explained) > 1)][:limit]
    if lines:
        yield ""
        yield heading
        yield from (f"  {line}" for line in lines)


def _metric_lines(explained: MetricExplanation, *, named: bool) -> Iterator[str]:
    prefix = f"{explained.metric}: " if named else ""
    if not explained.blames and explained.unit == "instructions":
        yield f"{prefix}no function is called more often than before"
    elif not explained.blames and explained.basis == "counts":
        yield f"{prefix}no function is called more often than at the recording, which holds no times of functions"
        yield from (f"{prefix}{line}" for line in _longest_lines(explained))
    elif not explained.blames:
        yield f"{prefix}no function stands out: the profiles of both sides differ by less than their error"
    for blame in explained.blames:
        yield prefix + blame_line(blame, explained)


def _longest_lines(explained: MetricExplanation) -> Iterator[str]:
    if explained.longest:
        times = (f"{format_amount(each.seconds, explained.unit)} in {each.location}" for each in explained.longest)
        yield "most of this tree's time: " + ", ".join(times)


def blame_line(blame: Blame, explained: MetricExplanation) -> str:
    """Return the text of one function or line, with its part of the loss and the reason."""
    is_part = blame.amount <= _MAX_OF_LOSS * explained.loss
    of_loss = f" of +{format_amount(explained.loss, explained.unit)}" if is_part else ""
    amount = format_amount(min(blame.amount, explained.loss) if is_part else blame.amount, explained.unit)
    if explained.unit == "instructions":
        text = f"about {amount} instructions in {blame.location}"
    elif explained.unit != "s":
        text = f"+{amount}{of_loss} at {blame.location}"
    elif blame.at_least:
        text = f"at least {amount}{of_loss} in {blame.location}, called as often as before"
    elif explained.basis == "counts":
        text = f"about {amount} in {blame.location}"
    else:
        text = f"+{amount}{of_loss} in {blame.location}"
    if blame.calls is not None:
        noun = "resumptions" if blame.resumed else "calls"
        text += f", {blame.calls} {noun} per iteration"
    if blame.caller is not None:
        text += f" from {blame.caller}" if blame.calls is not None else f", called by {blame.caller}"
    if blame.via is not None:
        text += f", by {blame.via}" + (f" ({blame.via_calls} calls per iteration)" if blame.via_calls else "")
    return text + ("; changed in this diff" if blame.changed else "")
