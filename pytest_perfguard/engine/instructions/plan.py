"""The plan of one measurement point in one process: which rounds to count. A generator that reads no clock.

The number of calls follows from the count of the first ones, so that identical code gets identical rounds. A round of one
call is subtracted from a round of more calls, or an empty round from a round of one call: what remains is the calls alone,
without the instrument around them.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_perfguard.engine.measure.messages import CallRaised, MeasureRequest, MeasureResult
from pytest_perfguard.engine.measure.plan import FirstCallRaised, RepeatedCallRaised, result_of

#: Instructions of a call from which on it is long: what the instrument adds is below a thousandth of it.
LONG_CALL: Final = 20_000_000
#: Instructions of a call, about 20 seconds under valgrind, from which it is counted once.
ENDLESS_CALL: Final = 2_000_000_000
#: Untimed calls until the interpreter has specialized the code: instructions that they take together, and limits.
WARM_UP_INSTRUCTIONS: Final = 15_000_000
WARM_UP_CALLS: Final = range(2, 21)
ROUNDS: Final = 3
LONG_ROUNDS: Final = 2
#: Empty rounds before the only call of a test: the first one takes more, like each code that runs for the first time.
EMPTY_ROUNDS: Final = 2
#: Calls of a round: the first of these numbers whose calls execute at least `ROUND_INSTRUCTIONS` together.
ROUND_CALLS: Final = (5, 20, 80, 320, 1280, 5120)
ROUND_INSTRUCTIONS: Final = 500_000


@dataclass(frozen=True)
class CountResult:
    """Instructions per call of one measurement point in one process, one value for each round."""

    values: tuple[float, ...] = ()
    iterations: int = 1
    stateful: str | None = None
    """The exception of a repeated call: the test can be called only once per set-up. `values` is empty then."""
    subtracted: bool = False
    """Whether the last two responses are rounds that differ by `iterations` calls."""


CountPlan = Generator[MeasureRequest, "MeasureResult | CallRaised", CountResult]


def plan_counts(instrument: str, *, single_call_setup: bool = False) -> CountPlan:
    """Yield the requests for one point, and return its result. Each response has one count in `instructions` per round.

    Raises
    ------
    FirstCallRaised
        if the first call raises.
    """
    empty = _counts(result_of((yield MeasureRequest(instrument, 0, EMPTY_ROUNDS))))[-1] if single_call_setup else 0
    first = yield MeasureRequest(instrument, 1, 1)
    if isinstance(first, CallRaised):
        raise FirstCallRaised(first.text)
    count = _counts(first)[0]
    if single_call_setup or count > ENDLESS_CALL:
        return CountResult((max(0.0, float(count - empty)),), subtracted=single_call_setup)
    try:
        return (yield from _repeated(instrument, count))
    except RepeatedCallRaised as error:
        return CountResult(stateful=str(error))


def _repeated(instrument: str, count: int) -> CountPlan:
    warm_up = min(max(WARM_UP_INSTRUCTIONS // max(1, count), WARM_UP_CALLS.start), WARM_UP_CALLS.stop - 1)
    try:
        per_call = _counts(result_of((yield MeasureRequest(instrument, warm_up, 1))))[0] // warm_up
    except RepeatedCallRaised:  # one call per `setup`
        result_of((yield MeasureRequest(instrument, 1, warm_up)))
        return (yield from _difference(instrument, 0, 1))
    if per_call > LONG_CALL:
        result = result_of((yield MeasureRequest(instrument, 1, LONG_ROUNDS)))
        return CountResult(tuple(map(float, _counts(result))))
    return (yield from _difference(instrument, 1, round_calls(per_call)))


def _difference(instrument: str, less: int, calls: int) -> CountPlan:
    """Count rounds of `less` calls, and of this number of `calls` more."""
    without = result_of((yield MeasureRequest(instrument, less, ROUNDS)))
    together = result_of((yield MeasureRequest(instrument, less + calls, ROUNDS)))
    values = tuple(max(0.0, (b - a) / calls) for a, b in zip(_counts(without), _counts(together), strict=True))
    return CountResult(values, calls, subtracted=True)


def round_calls(per_call: int) -> int:
    """Return the calls of a round for a call of this number of instructions."""
    return next((calls for calls in ROUND_CALLS if calls * per_call >= ROUND_INSTRUCTIONS), ROUND_CALLS[-1])


def _counts(result: MeasureResult) -> Sequence[int]:
    return result.values["instructions"]
