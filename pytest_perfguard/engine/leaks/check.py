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
from pytest_perfguard.engine.leaks.calls import Calls, Steps, attempted
from pytest_perfguard.engine.leaks.clock import undisturbed_ns
from pytest_perfguard.engine.leaks.explain import Lines, explain, note_cycles, things_since
from pytest_perfguard.engine.leaks.findings import BYTES, NATIVE, Examination, Leak
from pytest_perfguard.engine.leaks.growth import (
    MOST_WINDOWS,
    WINDOWS,
    Growth,
    first_look,
    last_look,
    still_growing,
)
from pytest_perfguard.engine.leaks.meter import LevelSeries, Meter
from pytest_perfguard.engine.measure.executor import Step

CALLS: Final = 100
BUDGET_NS: Final = 20_000_000_000
#: A real leak is larger; what is smaller is not worth a red build.
LEAST_BYTES_PER_CALL: Final = 4.0
LEAST_BYTES_PER_WINDOW: Final = 80.0
#: Before this many windows an exception ends the check.
LEAST_WINDOWS: Final = 2
#: Address space comes in pages.
PAGE: Final = 4096.0
#: A suspect is called so often, or until it has taken so much or so many: a cache or a pool with a bound is full then.
#: Fewer calls leave it open, however long they take.
LEAST_LONGER_CALLS: Final = 1_500
#: More calls than that for so long.
LONGER_NS: Final = 1_000_000_000
MOST_LONGER_CALLS: Final = 20_000
MOST_LONGER_BYTES: Final = 128 * 2**20
MOST_LONGER_THINGS: Final = 100
#: Windows without tracing are so much shorter than those with it: their rate is known already.
WITNESS_SHARE: Final = 1 / 4
#: The parts of the budget at whose end the look, and the following of a suspect, are over. The rest is for its explanation.
LOOK_SHARE: Final = 1 / 2
FOLLOW_SHARE: Final = 7 / 8
#: A budget that did not do is to be raised by this factor at least.
LEAST_RAISE: Final = 1.5
#: Per call, without tracing. The tracer itself keeps the name of every file that allocates: code that is compiled anew with
#: ever new names seems to leak while it is traced.
LEAST_WITNESSED: Final = {"blocks": 0.002, "native": LEAST_BYTES_PER_CALL / 2}

Examining = Generator[Step, Timing, Examination]


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


def examine(order: LeakCheckOptions, meter: Meter, clock: Callable[[], int] = undisturbed_ns) -> Examining:
    """Call again and again and say what grows.

    Raises
    ------
    CannotRepeat
        where a call raised after the first one, and nothing was leaking so far.
    """
    with meter.open():
        return (yield from _Check(order, meter, clock).run())


class _Check:
    def __init__(self, order: LeakCheckOptions, meter: Meter, clock: Callable[[], int]) -> None:
        self._order = order
        self._meter = meter
        self._calls = Calls(order.budget_ns, clock)
        self._window = max(1, -(-order.calls // WINDOWS))
        self._growth: dict[str, float] = {}
        self._suspects: list[str] = []
        self._unsettled = ""
        self._notes: list[str] = []
        self._keepers: dict[str, str] = {}

    def run(self) -> Examining:
        self._meter.trace(1)
        self._window = yield from self._calls.warm_up(self._window, WINDOWS + 1, self._share(LOOK_SHARE))
        if not self._window:
            needed = self._budget_for(WINDOWS + 2, LOOK_SHARE)
            return Examination(0, unsettled=f"a call takes too long: a leak check of it needs a budget of {needed}")
        resident, held = self._meter.resident(), self._meter.held()
        series = self._meter.series(self._window, counted=True)
        problem = yield from attempted(self._look(series, without=NATIVE, until=LOOK_SHARE))
        rss, uss = (max(0, now - before) for now, before in zip(self._meter.resident(), resident, strict=True))
        if problem:
            self._cut_short(series, problem)
        else:
            problem = yield from self._settle_suspects()
        lines: Lines = {}
        if self._suspects:
            problem = problem or (yield from attempted(self._explain(lines)))
            if problem or not lines:
                lines |= things_since(held, self._meter.held(), problem)
        if self._order.cycles and not problem:
            yield from note_cycles(self._notes, self._calls)
        # What is counted comes first: the memory is often only what belongs to it.
        ordered = sorted(self._suspects, key=lambda kind: kind in BYTES)
        leaks = [Leak(kind, self._growth[kind], lines.get(kind, ())) for kind in ordered]
        unsettled = "" if leaks else self._unsettled
        return Examination(
            series.calls, leaks, self._growth, unsettled, rss, uss, self._notes, keepers=self._keepers if leaks else {}
        )

    def _fill(self, series: LevelSeries, windows: int) -> Steps:
        """Read the series until it has so many windows.

        It starts here, after a window that counts for nothing: reading has a warm-up, and this very generator a size.
        """
        while series.windows < windows:
            yield from self._calls.make(series.window)
            self._calls.read(series.read)

    def _look(self, series: LevelSeries, *, without: Sequence[str], until: float) -> Steps:
        """Judge the first windows, and more of them where these leave something open; what leaks is a suspect."""
        yield from self._fill(series, WINDOWS)
        trends = {kind: first_look(series[kind], self._floor(kind)) for kind in series if kind not in without}
        still_open = [kind for kind, trend in trends.items() if trend is Growth.OPEN]
        if still_open and Growth.LEAKING not in trends.values():
            more = MOST_WINDOWS - WINDOWS
            if self._calls.affordable(self._share(until), readings=more) >= more * self._window:
                yield from self._fill(series, MOST_WINDOWS)
                trends |= {kind: last_look(series[kind], self._floor(kind)) for kind in still_open}
            else:
                grew, needed = ", ".join(still_open), self._budget_for((MOST_WINDOWS + 3) * self._window, until)
                self._unsettled = f"{grew} grew a little; whether that goes on takes a budget of {needed}"
        self._growth |= series.growth()
        self._suspects = [kind for kind, trend in trends.items() if trend is Growth.LEAKING]

    def _floor(self, kind: str) -> float:
        """Least growth per window that counts."""
        if kind == "mapped":
            return PAGE
        return max(LEAST_BYTES_PER_WINDOW, LEAST_BYTES_PER_CALL * self._window) if kind in BYTES else 0.0

    def _cut_short(self, series: LevelSeries, problem: str) -> None:
        """A call raised. Whoever opens a connection with every call is refused one before the last window."""
        series.read()
        self._growth = series.growth()
        counted = [kind for kind in series if kind not in BYTES]
        self._suspects = [kind for kind in counted if first_look(series[kind], 0) is Growth.LEAKING]
        if not self._suspects or series.windows < LEAST_WINDOWS:
            raise CannotRepeat(problem)

    def _settle_suspects(self) -> Generator[Step, Timing, str]:
        """Keep the suspects that hold on; without any, ask for what only C code knows of. Returns what a call raised."""
        if self._suspects:
            problem = yield from attempted(self._follow())
            if problem:  # what is counted needs no more calls, and may be what there is too much of
                self._suspects = [kind for kind in self._suspects if kind not in BYTES]
                self._unsettled = f"memory grew, and a later call raised {problem}"
            return problem
        if any(self._growth.get(kind, 0) > 0 for kind in NATIVE):
            # Tracing takes memory itself; without it the C heap tells to the byte what is held.
            self._meter.trace(0)
            problem = yield from attempted(self._look_at_c())
            if problem:
                self._suspects = []
                self._notes.append(f"note: what C code holds is not known, since a later call raised {problem}")
            return problem
        return ""

    def _look_at_c(self) -> Steps:
        yield from self._look(self._meter.series(self._window, counted=False), without=("memory",), until=FOLLOW_SHARE)
        yield from self._follow()

    def _follow(self) -> Steps:
        """Make many more calls; those that go on growing for long enough remain suspects."""
        if not self._suspects:
            return
        rates = {kind: self._growth[kind] for kind in self._suspects}
        looked_ns = self._calls.spent_ns
        longer = self._longer(rates)
        if not longer:
            self._leave_open(rates, self._window * WINDOWS, looked_ns)
            return
        series = self._meter.series(longer, counted=any(kind not in BYTES for kind in rates))
        yield from self._fill(series, WINDOWS)
        self._suspects = [kind for kind in rates if still_growing(series[kind], rates[kind] * longer)]
        if self._suspects == ["memory"]:
            self._meter.trace(0)
            window = max(1, int(longer * WITNESS_SHARE))
            witnesses = self._meter.witnesses(window)
            yield from self._fill(witnesses, WINDOWS)
            if all(rate < LEAST_WITNESSED[kind] for kind, rate in witnesses.growth().items()):
                self._suspects = []
        # So many calls tell it better.
        self._growth |= {kind: rate for kind, rate in series.growth().items() if kind in self._suspects}
        if set(self._suspects) < set(rates) and longer * WINDOWS < self._enough(rates):
            yield from self._follow()  # the others may have kept it short
        else:
            self._leave_open(rates, longer * WINDOWS, looked_ns)

    def _longer(self, rates: Mapping[str, float]) -> int:
        """Calls per window while suspects that grow at these rates are followed; 0: there is no time for any."""
        wanted = max(LEAST_LONGER_CALLS, min(int(LONGER_NS / self._calls.quickest_ns), MOST_LONGER_CALLS))
        wanted = min(wanted, *(_most_longer(kind, rate) for kind, rate in rates.items()))
        afforded = self._calls.affordable(self._share(FOLLOW_SHARE), readings=2 * (WINDOWS + 1))
        return min(max(1, wanted // WINDOWS), int(afforded / _windows(rates)))

    def _enough(self, rates: Mapping[str, float]) -> int:
        """Calls after which what still grows has no bound."""
        most = (_most_longer(kind, rates[kind]) for kind in self._suspects)
        return min(LEAST_LONGER_CALLS, *most) // WINDOWS * WINDOWS if self._suspects else 0

    def _leave_open(self, rates: Mapping[str, float], calls: int, looked_ns: int) -> None:
        """Drop the suspects if so many calls cannot tell them from what fills up and has a bound."""
        enough = self._enough(rates)
        if calls < enough:
            needed = self._budget_for(_windows(self._suspects) * enough / WINDOWS, FOLLOW_SHARE, looked_ns)
            grew = " and ".join(self._suspects)
            self._unsettled = f"{grew} grew with each call so far; whether that has a bound takes {enough} calls, a budget of {needed}"
            self._suspects = []

    def _explain(self, lines: Lines) -> Steps:
        """Explain the leaks with as many calls as the rest of the budget allows."""
        number = min(2 * self._window, self._calls.affordable(self._share(1.0)) // 3)
        if number:
            yield from explain(lines, self._keepers, self._meter, self._calls, number)

    def _share(self, share: float) -> float:
        return share * self._order.share

    def _budget_for(self, calls: float, share: float, spent_ns: float = 0.0) -> str:
        """The budget of which so many calls take this share, together with what is spent; more than there was."""
        needed_ns = (calls * self._calls.call_ns + spent_ns) / self._share(share)
        return f"{math.ceil(max(needed_ns, LEAST_RAISE * self._order.budget_ns) / 1e9)} s"


def _windows(kinds: Collection[str]) -> float:
    """Windows for which such suspects are followed: one that counts for nothing, and for memory as many without tracing."""
    return (WINDOWS + 1) * (1 + WITNESS_SHARE if "memory" in kinds else 1)


def _most_longer(kind: str, rate: float) -> int:
    """Calls in which something that grows at this rate takes the most that it may."""
    return max(1, int((MOST_LONGER_BYTES if kind in BYTES else MOST_LONGER_THINGS) / rate))
