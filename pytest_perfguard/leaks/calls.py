"""How the calls of a leak check are made: in windows, or one by one where the test's `setup` serves one call only."""

from __future__ import annotations

from collections.abc import Generator

from pytest_perfguard.attribution import InstrumentFailed
from pytest_perfguard.drive import PREPARE, SETTLE, Step, Timing, describe
from pytest_perfguard.errors import CannotRepeat

Steps = Generator[Step, Timing, None]


class Calls:
    """Makes calls, and knows what one takes."""

    def __init__(self, budget_ns: int) -> None:
        self._left_ns = budget_ns
        self._one_by_one = False
        self.call_ns = 1
        """Of the latest calls, on average."""

    def warm_up(self, wanted: int, windows: int) -> Generator[Step, Timing, int]:
        """Make as many calls as a window has; returns their number.

        That is `wanted`, or fewer where so many `windows` of that would not fit into the budget; 0: not even of one.

        Raises
        ------
        CannotRepeat
            where a second call raises.
        """
        yield from self.make(1)  # what only a first call does
        if problem := (yield from attempted(self.make(1))):
            raise CannotRepeat(problem)
        fits = min(wanted, self._left_ns // (self.call_ns * (windows + 1)))
        if fits > 1 and (yield from attempted(self.make(fits))):
            self._one_by_one = True
            if problem := (yield from attempted(self.make(fits))):
                raise CannotRepeat(problem)
        return max(0, fits)

    def make(self, calls: int) -> Steps:
        """So many calls; then the event loop catches up."""
        spent = 0
        for _ in range(calls) if self._one_by_one else range(1):
            yield PREPARE
            timing = yield Step(1 if self._one_by_one else calls)
            spent += timing.wall_ns
        self.call_ns = max(1, spent // calls)
        self._left_ns -= spent
        yield SETTLE

    def affords(self, calls: int) -> bool:
        """Is there time for so many more?"""
        return calls * self.call_ns <= self._left_ns


def attempted(steps: Steps) -> Generator[Step, Timing, str]:
    """Take the steps; returns what one of their calls raised, "" if none did."""
    try:
        yield from steps
    except (GeneratorExit, InstrumentFailed):
        raise
    except BaseException as error:  # pytest's outcomes and CancelledError are no Exceptions
        return describe(error)
    return ""
