"""Make the calls of a leak check within its budget: several per window, or one per set-up if `setup` prepares one call."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Generator

from pytest_perfguard.core.errors import CannotRepeat
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.leaks.clock import running_ns
from pytest_perfguard.engine.measure.attribution import InstrumentFailed
from pytest_perfguard.engine.measure.executor import RUN_SETUP, SETTLE_LOOP, CallStep, CallSteps, error_line


class BudgetedCalls:
    """Makes calls, measures their duration, and tracks the budget.

    Everything counts against the budget: calls, their set-up, and the readings between them.
    """

    def __init__(self, budget_ns: int, clock: Callable[[], int] = running_ns) -> None:
        self._budget_ns = budget_ns
        self._clock = clock
        self._start_ns = clock()
        self._single_call_rounds = False
        # Of a call, of a reading, of the quickest call. An array, because new number objects would look like growth.
        self._ns = array("d", (1.0, 0.0, math.inf))

    @property
    def call_ns(self) -> float:
        """Mean duration of the latest calls, with their set-up."""
        return self._ns[0]

    @property
    def quickest_ns(self) -> float:
        """Smallest such mean: that of calls which had a processor to themselves."""
        return self._ns[2]

    def warm_up(self, wanted: int, windows: int, share: float) -> Generator[CallStep, Timing, int]:
        """Make as many calls as a window has; return their number.

        The number is `wanted`, or fewer if that many `windows` would not fit into the share of the budget; 0 if not
        even windows of one call fit.

        Raises
        ------
        CannotRepeat
            if the second call raises.
        """
        yield from self.make(1)  # absorbs the effects of a first call
        if problem := (yield from catch_error(self.make(1))):
            raise CannotRepeat(problem)
        fits = min(wanted, self.affordable(share) // (windows + 1))
        if fits > 1 and (yield from catch_error(self.make(fits))):
            self._single_call_rounds = True
            if problem := (yield from catch_error(self.make(fits))):
                raise CannotRepeat(problem)
        return fits

    def make(self, calls: int) -> CallSteps:
        """Make this many calls, then let the event loop complete its pending callbacks."""
        start = self._clock()
        for _ in range(calls) if self._single_call_rounds else range(1):
            yield RUN_SETUP
            yield CallStep(1 if self._single_call_rounds else calls)
        self._ns[0] = max(1.0, (self._clock() - start) / calls)
        self._ns[2] = min(self._ns[2], self._ns[0])
        yield SETTLE_LOOP

    def read(self, reading: Callable[[], object]) -> None:
        """Take a reading and measure its duration."""
        start = self._clock()
        reading()
        self._ns[1] = self._clock() - start

    @property
    def spent_ns(self) -> int:
        """Nanoseconds of the budget that are spent."""
        return self._clock() - self._start_ns

    def affordable(self, share: float, *, readings: int = 0) -> int:
        """Return the number of calls that fit into the rest of this share of the budget, next to this many readings."""
        left = share * self._budget_ns - self.spent_ns - readings * self._ns[1]
        return max(0, int(left // self.call_ns))


def catch_error(steps: CallSteps) -> Generator[CallStep, Timing, str | None]:
    """Take the steps; return type and message of the exception that one of their calls raised, if any."""
    try:
        yield from steps
    except (GeneratorExit, InstrumentFailed):
        raise
    except BaseException as error:  # a test runner's outcomes and CancelledError are no Exceptions
        return error_line(error)
    return None
