"""How the calls of a leak check are made: in windows, or one by one where the test's `setup` serves one call only."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Generator

from pytest_perfguard.core.errors import CannotRepeat
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.leaks.clock import running_ns
from pytest_perfguard.engine.measure.attribution import InstrumentFailed
from pytest_perfguard.engine.measure.executor import RUN_SETUP, SETTLE_LOOP, CallStep, error_line

LeakSteps = Generator[CallStep, Timing, None]


class BudgetedCalls:
    """Makes calls, and knows what one takes and how much of the budget is left.

    Everything counts against the budget: calls, their set-up, and the readings between them.
    """

    def __init__(self, budget_ns: int, clock: Callable[[], int] = running_ns) -> None:
        self._budget_ns = budget_ns
        self._clock = clock
        self._start_ns = clock()
        self._single_call_rounds = False
        # Of a call, of a reading, of the quickest call. In an array: a number that is kept here would look like growth.
        self._ns = array("d", (1.0, 0.0, math.inf))

    @property
    def call_ns(self) -> float:
        """Of the latest calls, on average, with their set-up."""
        return self._ns[0]

    @property
    def quickest_ns(self) -> float:
        """The smallest such average: that of calls which had a processor to themselves."""
        return self._ns[2]

    def warm_up(self, wanted: int, windows: int, share: float) -> Generator[CallStep, Timing, int]:
        """Make as many calls as a window has; returns their number.

        That is `wanted`, or fewer where so many `windows` of that would not fit into the share of the budget; 0: not even
        of one.

        Raises
        ------
        CannotRepeat
            where a second call raises.
        """
        yield from self.make(1)  # what only a first call does
        if problem := (yield from catch_error(self.make(1))):
            raise CannotRepeat(problem)
        fits = min(wanted, self.affordable(share) // (windows + 1))
        if fits > 1 and (yield from catch_error(self.make(fits))):
            self._single_call_rounds = True
            if problem := (yield from catch_error(self.make(fits))):
                raise CannotRepeat(problem)
        return fits

    def make(self, calls: int) -> LeakSteps:
        """So many calls; then the event loop catches up."""
        start = self._clock()
        for _ in range(calls) if self._single_call_rounds else range(1):
            yield RUN_SETUP
            yield CallStep(1 if self._single_call_rounds else calls)
        self._ns[0] = max(1.0, (self._clock() - start) / calls)
        self._ns[2] = min(self._ns[2], self._ns[0])
        yield SETTLE_LOOP

    def read(self, reading: Callable[[], object]) -> None:
        """Take a reading, and note what it took."""
        start = self._clock()
        reading()
        self._ns[1] = self._clock() - start

    @property
    def spent_ns(self) -> int:
        """Of the budget."""
        return self._clock() - self._start_ns

    def affordable(self, share: float, *, readings: int = 0) -> int:
        """How many calls fit into what is left of this share of the budget, beside so many readings."""
        left = share * self._budget_ns - self.spent_ns - readings * self._ns[1]
        return max(0, int(left // self.call_ns))


def catch_error(steps: LeakSteps) -> Generator[CallStep, Timing, str]:
    """Take the steps; returns what one of their calls raised, "" if none did."""
    try:
        yield from steps
    except (GeneratorExit, InstrumentFailed):
        raise
    except BaseException as error:  # pytest's outcomes and CancelledError are no Exceptions
        return error_line(error)
    return ""
