"""The second check of a suspect: whether its growth outlives the set-up in which the calls are made.

Within one set-up, growth may also be something that the teardown frees: a fixture undoes, closes or removes it.
Therefore the calls are made in alternating set-ups, one with many calls and one with a single call. What each leaves
behind is read after its teardown. The difference is what the calls leave permanently, without what a set-up itself
leaves. Pure but for its clock.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Generator, Iterable, Mapping
from statistics import median
from typing import Final, NamedTuple

from pytest_perfguard.engine.leaks.clock import running_ns
from pytest_perfguard.engine.leaks.growth import (
    MAX_WINDOWS,
    WINDOWS,
    Growth,
    judge_long_series,
    judge_short_series,
)
from pytest_perfguard.engine.leaks.results import BYTE_KINDS, Leak, LeakReport

#: Calls of a set-up with many calls; fewer if a call or a set-up is slow, or if a call takes much memory.
MIN_CALLS: Final = 20
MIN_AFFORDABLE_CALLS: Final = 3
MAX_CALLS: Final = 5_000
#: A set-up with many calls should grow by this much, because one run of a test varies by some kilobytes.
SIGNAL_BYTES: Final = 64 * 2**10
SIGNAL_RESOURCES: Final = 4
MAX_BYTES: Final = 8 * 2**20
MAX_RESOURCES: Final = 20
#: Growth that outlives its set-up is a leak from this share of the growth within one set-up on.
MIN_OUTLIVING_SHARE: Final = 0.1
#: Minimum factor by which a message suggests to raise a budget that was too small.
MIN_BUDGET_RAISE: Final = 1.5
#: Growth within a set-up from this share of the known rate on is the same suspect.
MIN_RELEASED_SHARE: Final = 0.5


class SetupRequest(NamedTuple):
    """Request: set the test up, make this many calls at its measurement point, tear it down."""

    calls: int
    single_call_rounds: bool = False
    """True if the test's own `setup` prepares one call only."""


class SetupGrowth(NamedTuple):
    """Response: the growth of each kind."""

    within: Mapping[str, int]
    """During the calls."""
    outlived: Mapping[str, int]
    """From before the set-up to after the teardown."""
    call_ns: float
    """Duration of one call."""
    problem: str | None = None
    """The failure, if one occurred."""


def check_across_setups(
    suspects: Mapping[str, float],
    budget_ns: int,
    share: float = 1.0,
    clock: Callable[[], int] = running_ns,
) -> Generator[SetupRequest, SetupGrowth, LeakReport]:
    """Yield set-ups, and return the report of the suspects (growth per call, by kind) that grow from set-up to set-up.

    These are the report's `leaks`. Its `released` kinds grew within each set-up and were freed by its teardown.
    """
    return (yield from _SetupCheck(suspects, budget_ns, share, clock).run())


class _SetupCheck:
    def __init__(self, suspects: Mapping[str, float], budget_ns: int, share: float, clock: Callable[[], int]) -> None:
        self._suspects = suspects
        self._budget_ns = budget_ns
        self._share = share
        self._clock = clock
        self._start_ns = clock()
        self._calls = 0
        self._single_call_rounds = False
        self._problem: str | None = None
        self._pairs = 0
        # Allocated at the start, because a growing list would look like growth of the test.
        empty = bytes(8 * (MAX_WINDOWS + 1))
        self._levels = {kind: array("q", empty) for kind in suspects}
        self._within = {kind: array("q", empty) for kind in suspects}

    def run(self) -> Generator[SetupRequest, SetupGrowth, LeakReport]:
        pair_ns = yield from self._warm_up()
        if self._problem:
            return LeakReport(0, unsettled=f"cannot be checked: when it is set up again, {self._problem}")
        if not self._calls:
            return self._left_open(self._suspects, (WINDOWS + 3) * pair_ns)
        yield from self._fill(WINDOWS)
        trends = {kind: judge_short_series(self._series(kind), self._floor(kind)) for kind in self._suspects}
        doubtful = [kind for kind, trend in trends.items() if trend is Growth.OPEN and self._grew(kind)]
        if doubtful and not self._problem and Growth.LEAKING not in trends.values():
            if not self._affords((MAX_WINDOWS - self._pairs) * pair_ns):
                return self._left_open(doubtful, (MAX_WINDOWS + 3) * pair_ns)
            yield from self._fill(MAX_WINDOWS)
            trends = {kind: judge_long_series(self._series(kind), self._floor(kind)) for kind in self._suspects}
        if self._problem and self._pairs < 2:
            return LeakReport(0, unsettled=f"cannot be checked: when it is set up again, {self._problem}")
        return self._examination(trends)

    def _warm_up(self) -> Generator[SetupRequest, SetupGrowth, float]:
        """Determine the calls per set-up; return the duration of a pair of set-ups in nanoseconds."""
        yield from self._set_up(1)
        start = self._clock()
        once = yield from self._set_up(1)
        set_up_ns = max(0.0, self._clock() - start - once.call_ns)
        self._calls = self._fitting(set_up_ns, once.call_ns)
        if self._problem or not self._calls:
            return 2 * set_up_ns + MIN_AFFORDABLE_CALLS * once.call_ns
        many = yield from self._set_up(self._calls)
        if self._problem:
            self._problem, self._single_call_rounds = None, True
            many = yield from self._set_up(self._calls)
        self._calls = min(self._calls, self._fitting(set_up_ns, many.call_ns))
        return 2 * set_up_ns + max(self._calls, MIN_AFFORDABLE_CALLS) * many.call_ns

    def _fitting(self, set_up_ns: float, call_ns: float) -> int:
        """Return the number of calls per set-up that shows a leak, or fewer if the budget is short; 0 if those are too few."""
        left = self._share * self._budget_ns - (self._clock() - self._start_ns)
        room = (left / (WINDOWS + 1) - 2 * set_up_ns) / max(1.0, call_ns)
        fits = min(self._calls_to_show(), int(room))
        return fits if fits >= min(MIN_AFFORDABLE_CALLS, self._calls_to_show()) else 0

    def _calls_to_show(self) -> int:
        """Return the number of calls in which each suspected leak becomes clear without growing too large."""
        lowest, highest = MIN_CALLS, MAX_CALLS
        for kind, rate in self._suspects.items():
            signal, limit = (SIGNAL_BYTES, MAX_BYTES) if kind in BYTE_KINDS else (SIGNAL_RESOURCES, MAX_RESOURCES)
            lowest = max(lowest, math.ceil(signal / rate))
            highest = min(highest, max(2, int(limit / rate)))
        return min(lowest, highest)

    def _left_open(self, kinds: Iterable[str], needed_ns: float) -> LeakReport:
        seconds = math.ceil(max(needed_ns / self._share, MIN_BUDGET_RAISE * self._budget_ns) / 1e9)
        grew = f"{' and '.join(kinds)} grew with each call"
        return LeakReport(
            0, unsettled=f"{grew}; to find out whether that outlives the teardown takes a budget of {seconds} s"
        )

    def _grew(self, kind: str) -> bool:
        """Return whether the growth that outlived the set-ups is large enough to be a leak."""
        return self._levels[kind][self._pairs] > self._floor(kind) * self._pairs

    def _affords(self, ns: float) -> bool:
        return self._clock() - self._start_ns + ns <= self._share * self._budget_ns

    def _set_up(self, calls: int) -> Generator[SetupRequest, SetupGrowth, SetupGrowth]:
        left = yield SetupRequest(calls, self._single_call_rounds)
        self._problem = self._problem or left.problem
        return left

    def _fill(self, pairs: int) -> Generator[SetupRequest, SetupGrowth, None]:
        while self._pairs < pairs:
            many = yield from self._set_up(self._calls)
            once = yield from self._set_up(1)
            if self._problem:
                return
            for kind in self._suspects:
                self._add(self._levels[kind], many.outlived.get(kind, 0) - once.outlived.get(kind, 0))
                self._add(self._within[kind], many.within.get(kind, 0) - once.within.get(kind, 0))
            self._pairs += 1

    def _add(self, levels: array[int], step: int) -> None:
        levels[self._pairs + 1] = levels[self._pairs] + step

    def _series(self, kind: str) -> array[int]:
        return self._levels[kind][: self._pairs + 1]

    def _floor(self, kind: str) -> float:
        """Return the minimum growth per pair of set-ups that counts."""
        return MIN_OUTLIVING_SHARE * self._suspects[kind] * (self._calls - 1) if kind in BYTE_KINDS else 0.0

    def _examination(self, trends: Mapping[str, Growth]) -> LeakReport:
        calls = self._pairs * self._calls
        outlived = {kind: self._rate(self._levels[kind]) for kind in self._suspects}
        within = {kind: self._rate(self._within[kind]) for kind in self._suspects}
        leaks = [Leak(kind, outlived[kind]) for kind, trend in trends.items() if trend is Growth.LEAKING]
        released = {
            kind: rate
            for kind, rate in within.items()
            if trends[kind] is not Growth.LEAKING and rate >= MIN_RELEASED_SHARE * self._suspects[kind]
        }
        return LeakReport(calls, leaks, outlived, released=released, setups=2 * self._pairs)

    def _rate(self, levels: array[int]) -> float:
        """Return the growth per call: the median over the pairs, or the mean if the median is 0."""
        steps = [levels[index + 1] - levels[index] for index in range(self._pairs)]
        mean = (levels[self._pairs] - levels[0]) / max(1, self._pairs)
        return (median(steps) or mean) / max(1, self._calls - 1)
