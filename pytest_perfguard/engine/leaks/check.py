"""The leak check: a generator of steps around which the meter is read. Obeyed by the sync and the async loop alike.

The rule and the figures behind it: docs/leaks.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_perfguard.core.errors import CannotRepeat
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.leaks.budgeted_calls import BudgetedCalls, LeakSteps, catch_error
from pytest_perfguard.engine.leaks.clock import running_ns
from pytest_perfguard.engine.leaks.explain import Lines, describe_new, explain, note_cycles
from pytest_perfguard.engine.leaks.growth import (
    MAX_WINDOWS,
    WINDOWS,
    Growth,
    judge_long_series,
    judge_short_series,
    still_growing,
)
from pytest_perfguard.engine.leaks.levels import LevelReader, LevelSeries
from pytest_perfguard.engine.leaks.results import BYTE_KINDS, NATIVE_KINDS, Leak, LeakReport
from pytest_perfguard.engine.measure.executor import CallStep

CALLS: Final = 100
BUDGET_NS: Final = 20_000_000_000
#: A real leak is larger; what is smaller is not worth a red build.
MIN_BYTES_PER_CALL: Final = 4.0
MIN_BYTES_PER_WINDOW: Final = 80.0
#: Before this many windows an exception ends the check.
MIN_WINDOWS: Final = 2
#: Address space comes in pages.
PAGE_BYTES: Final = 4096.0
#: A suspect is called so often, or until it has taken so much or so many: a cache or a pool with a bound is full then.
#: Fewer calls leave it open, however long they take.
MIN_FOLLOW_UP_CALLS: Final = 1_500
#: More calls than that for so long.
FOLLOW_UP_NS: Final = 1_000_000_000
MAX_FOLLOW_UP_CALLS: Final = 20_000
MAX_FOLLOW_UP_BYTES: Final = 128 * 2**20
MAX_FOLLOW_UP_RESOURCES: Final = 100
#: Windows without tracing are so much shorter than those with it: their rate is known already.
CROSS_CHECK_SHARE: Final = 1 / 4
#: The parts of the budget at whose end the look, and the following of a suspect, are over. The rest is for its explanation.
SEARCH_SHARE: Final = 1 / 2
FOLLOW_UP_SHARE: Final = 7 / 8
#: A budget that did not do is to be raised by this factor at least.
MIN_BUDGET_RAISE: Final = 1.5
#: Per call, without tracing. The tracer itself keeps the name of every file that allocates: code that is compiled anew with
#: ever new names seems to leak while it is traced.
MIN_CROSS_CHECKED: Final = {"blocks": 0.002, "native": MIN_BYTES_PER_CALL / 2}

LeakCheckSteps = Generator[CallStep, Timing, LeakReport]


@dataclass(frozen=True)
class LeakCheckOptions:
    """What is wanted of a check."""

    calls: int = CALLS
    """Of the first look, split into its windows."""
    budget_ns: int = BUDGET_NS
    """The most time for everything; a check that needs more says so."""
    cycles: bool = False
    """Note the reference cycles that only the collector frees?"""
    share: float = 1.0
    """The part of the budget that this check may take; another process takes the rest."""


def check_leaks(options: LeakCheckOptions, meter: LevelReader, clock: Callable[[], int] = running_ns) -> LeakCheckSteps:
    """Call again and again and say what grows.

    Raises
    ------
    CannotRepeat
        where a call raised after the first one, and nothing was leaking so far.
    """
    with meter.open():
        return (yield from _Check(options, meter, clock).run())


class _Check:
    def __init__(self, options: LeakCheckOptions, meter: LevelReader, clock: Callable[[], int]) -> None:
        self._options = options
        self._meter = meter
        self._calls = BudgetedCalls(options.budget_ns, clock)
        self._window = max(1, -(-options.calls // WINDOWS))
        self._growth: dict[str, float] = {}
        self._suspects: list[str] = []
        self._unsettled = ""
        self._notes: list[str] = []
        self._keepers: dict[str, str] = {}

    def run(self) -> LeakCheckSteps:
        self._meter.trace(1)
        self._window = yield from self._calls.warm_up(self._window, WINDOWS + 1, self._share(SEARCH_SHARE))
        if not self._window:
            needed = self._budget_for(WINDOWS + 2, SEARCH_SHARE)
            return LeakReport(0, unsettled=f"a call takes too long: a leak check of it needs a budget of {needed}")
        resident, held = self._meter.resident_bytes(), self._meter.held()
        series = self._meter.series(self._window, counted=True)
        problem = yield from catch_error(self._look(series, without=NATIVE_KINDS, until=SEARCH_SHARE))
        rss, uss = (max(0, now - before) for now, before in zip(self._meter.resident_bytes(), resident, strict=True))
        if problem:
            self._cut_short(series, problem)
        else:
            problem = yield from self._settle_suspects()
        lines: Lines = {}
        if self._suspects:
            problem = problem or (yield from catch_error(self._explain(lines)))
            if problem or not lines:
                lines |= describe_new(held, self._meter.held(), problem)
        if self._options.cycles and not problem:
            yield from note_cycles(self._notes, self._calls)
        # What is counted comes first: the memory is often only what belongs to it.
        ordered = sorted(self._suspects, key=lambda kind: kind in BYTE_KINDS)
        leaks = [Leak(kind, self._growth[kind], lines.get(kind, ())) for kind in ordered]
        unsettled = "" if leaks else self._unsettled
        return LeakReport(
            series.calls,
            leaks,
            self._growth,
            unsettled,
            rss,
            uss,
            self._notes,
            retaining_fixtures=self._keepers if leaks else {},
        )

    def _fill(self, series: LevelSeries, windows: int) -> LeakSteps:
        """Read the series until it has so many windows.

        It starts here, after a window that counts for nothing: reading has a warm-up, and this very generator a size.
        """
        while series.windows < windows:
            yield from self._calls.make(series.window)
            self._calls.read(series.read)

    def _look(self, series: LevelSeries, *, without: Sequence[str], until: float) -> LeakSteps:
        """Judge the first windows, and more of them where these leave something open; what leaks is a suspect."""
        yield from self._fill(series, WINDOWS)
        trends = {kind: judge_short_series(series[kind], self._floor(kind)) for kind in series if kind not in without}
        still_open = [kind for kind, trend in trends.items() if trend is Growth.OPEN]
        if still_open and Growth.LEAKING not in trends.values():
            more = MAX_WINDOWS - WINDOWS
            if self._calls.affordable(self._share(until), readings=more) >= more * self._window:
                yield from self._fill(series, MAX_WINDOWS)
                trends |= {kind: judge_long_series(series[kind], self._floor(kind)) for kind in still_open}
            else:
                grew, needed = ", ".join(still_open), self._budget_for((MAX_WINDOWS + 3) * self._window, until)
                self._unsettled = f"{grew} grew a little; whether that goes on takes a budget of {needed}"
        self._growth |= series.growth()
        self._suspects = [kind for kind, trend in trends.items() if trend is Growth.LEAKING]

    def _floor(self, kind: str) -> float:
        """Least growth per window that counts."""
        if kind == "mapped":
            return PAGE_BYTES
        return max(MIN_BYTES_PER_WINDOW, MIN_BYTES_PER_CALL * self._window) if kind in BYTE_KINDS else 0.0

    def _cut_short(self, series: LevelSeries, problem: str) -> None:
        """A call raised. Whoever opens a connection with every call is refused one before the last window."""
        series.read()
        self._growth = series.growth()
        counted = [kind for kind in series if kind not in BYTE_KINDS]
        self._suspects = [kind for kind in counted if judge_short_series(series[kind], 0) is Growth.LEAKING]
        if not self._suspects or series.windows < MIN_WINDOWS:
            raise CannotRepeat(problem)

    def _settle_suspects(self) -> Generator[CallStep, Timing, str]:
        """Keep the suspects that hold on; without any, ask for what only C code knows of. Returns what a call raised."""
        if self._suspects:
            problem = yield from catch_error(self._follow())
            if problem:  # what is counted needs no more calls, and may be what there is too much of
                self._suspects = [kind for kind in self._suspects if kind not in BYTE_KINDS]
                self._unsettled = f"memory grew, and a later call raised {problem}"
            return problem
        if any(self._growth.get(kind, 0) > 0 for kind in NATIVE_KINDS):
            # Tracing takes memory itself; without it the C heap tells to the byte what is held.
            self._meter.trace(0)
            problem = yield from catch_error(self._look_at_c())
            if problem:
                self._suspects = []
                self._notes.append(f"note: what C code holds is not known, since a later call raised {problem}")
            return problem
        return ""

    def _look_at_c(self) -> LeakSteps:
        yield from self._look(
            self._meter.series(self._window, counted=False), without=("memory",), until=FOLLOW_UP_SHARE
        )
        yield from self._follow()

    def _follow(self) -> LeakSteps:
        """Make many more calls; those that go on growing for long enough remain suspects."""
        if not self._suspects:
            return
        rates = {kind: self._growth[kind] for kind in self._suspects}
        looked_ns = self._calls.spent_ns
        longer = self._longer(rates)
        if not longer:
            self._leave_open(rates, self._window * WINDOWS, looked_ns)
            return
        series = self._meter.series(longer, counted=any(kind not in BYTE_KINDS for kind in rates))
        yield from self._fill(series, WINDOWS)
        self._suspects = [kind for kind in rates if still_growing(series[kind], rates[kind] * longer)]
        if self._suspects == ["memory"]:
            self._meter.trace(0)
            window = max(1, int(longer * CROSS_CHECK_SHARE))
            witnesses = self._meter.cross_check_series(window)
            yield from self._fill(witnesses, WINDOWS)
            if all(rate < MIN_CROSS_CHECKED[kind] for kind, rate in witnesses.growth().items()):
                self._suspects = []
        # So many calls tell it better.
        self._growth |= {kind: rate for kind, rate in series.growth().items() if kind in self._suspects}
        if set(self._suspects) < set(rates) and longer * WINDOWS < self._enough(rates):
            yield from self._follow()  # the others may have kept it short
        else:
            self._leave_open(rates, longer * WINDOWS, looked_ns)

    def _longer(self, rates: Mapping[str, float]) -> int:
        """Calls per window while suspects that grow at these rates are followed; 0: there is no time for any."""
        wanted = max(MIN_FOLLOW_UP_CALLS, min(int(FOLLOW_UP_NS / self._calls.quickest_ns), MAX_FOLLOW_UP_CALLS))
        wanted = min(wanted, *(_max_follow_up_calls(kind, rate) for kind, rate in rates.items()))
        afforded = self._calls.affordable(self._share(FOLLOW_UP_SHARE), readings=2 * (WINDOWS + 1))
        return min(max(1, wanted // WINDOWS), int(afforded / _follow_up_windows(rates)))

    def _enough(self, rates: Mapping[str, float]) -> int:
        """Calls after which what still grows has no bound."""
        most = (_max_follow_up_calls(kind, rates[kind]) for kind in self._suspects)
        return min(MIN_FOLLOW_UP_CALLS, *most) // WINDOWS * WINDOWS if self._suspects else 0

    def _leave_open(self, rates: Mapping[str, float], calls: int, looked_ns: int) -> None:
        """Drop the suspects if so many calls cannot tell them from what fills up and has a bound."""
        enough = self._enough(rates)
        if calls < enough:
            needed = self._budget_for(_follow_up_windows(self._suspects) * enough / WINDOWS, FOLLOW_UP_SHARE, looked_ns)
            grew = " and ".join(self._suspects)
            self._unsettled = f"{grew} grew with each call so far; whether that has a bound takes {enough} calls, a budget of {needed}"
            self._suspects = []

    def _explain(self, lines: Lines) -> LeakSteps:
        """Explain the leaks with as many calls as the rest of the budget allows."""
        number = min(2 * self._window, self._calls.affordable(self._share(1.0)) // 3)
        if number:
            yield from explain(lines, self._keepers, self._meter, self._calls, number)

    def _share(self, share: float) -> float:
        return share * self._options.share

    def _budget_for(self, calls: float, share: float, spent_ns: float = 0.0) -> str:
        """The budget of which so many calls take this share, together with what is spent; more than there was."""
        needed_ns = (calls * self._calls.call_ns + spent_ns) / self._share(share)
        return f"{math.ceil(max(needed_ns, MIN_BUDGET_RAISE * self._options.budget_ns) / 1e9)} s"


def _follow_up_windows(kinds: Collection[str]) -> float:
    """Windows for which such suspects are followed: one that counts for nothing, and for memory as many without tracing."""
    return (WINDOWS + 1) * (1 + CROSS_CHECK_SHARE if "memory" in kinds else 1)


def _max_follow_up_calls(kind: str, rate: float) -> int:
    """Calls in which something that grows at this rate takes the most that it may."""
    return max(1, int((MAX_FOLLOW_UP_BYTES if kind in BYTE_KINDS else MAX_FOLLOW_UP_RESOURCES) / rate))
