"""The leak check of a call: a generator of steps between which the levels of memory and resources are read.

docs/leaks.md describes the rule and the measurements behind its constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_perfguard.core.errors import CannotRepeat
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.core.units import format_duration, format_size
from pytest_perfguard.engine.leaks.budgeted_calls import BudgetedCalls, catch_error
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
from pytest_perfguard.engine.measure.executor import CallStep, CallSteps

CALLS: Final = 100
BUDGET_NS: Final = 20_000_000_000
#: Minimum growth of memory that counts as a leak. Smaller growth does not justify a failure.
MIN_BYTES_PER_CALL: Final = 4.0
MIN_BYTES_PER_WINDOW: Final = 80.0
#: An exception in an earlier window ends the check.
MIN_WINDOWS: Final = 2
#: Unit in which address space grows.
PAGE_BYTES: Final = 4096.0
#: Calls that follow a suspect, unless it reaches one of the limits below: by then a bounded cache or pool is full.
#: Fewer calls do not settle it, however long they take.
MIN_FOLLOW_UP_CALLS: Final = 1_500
#: A quick call is made more often, for this long, within these limits.
FOLLOW_UP_NS: Final = 1_000_000_000
MAX_FOLLOW_UP_CALLS: Final = 20_000
MAX_FOLLOW_UP_BYTES: Final = 128 * 2**20
MAX_FOLLOW_UP_RESOURCES: Final = 100
#: Length of the windows without tracing, relative to those with tracing: the rate is already known.
CROSS_CHECK_SHARE: Final = 1 / 4
#: Parts of the budget that are spent at most when the search ends, and when the follow-up of suspects ends. The rest is
#: for the explanation.
SEARCH_SHARE: Final = 1 / 2
FOLLOW_UP_SHARE: Final = 7 / 8
#: Factor by which the follow-up may exceed its plan before it ends early, and the windows that are judged at least then.
SLOWER: Final = 1.1
MIN_JUDGED_WINDOWS: Final = 3
#: Minimum factor by which a message suggests to raise a budget that was too small.
MIN_BUDGET_RAISE: Final = 1.5
#: Growth of native memory is remarked beside a leak of Python's memory if it is this many times as large, since the tracer
#: itself takes up to some 100 bytes per block; and at least so large.
MIN_BEYOND_PYTHON: Final = 10.0
MIN_BEYOND_BYTES: Final = 1024.0
#: Minimum growth per call without tracing. The tracer itself keeps the name of every allocating file, so that code
#: which is compiled repeatedly under new names seems to leak while it is traced.
MIN_CROSS_CHECKED: Final = {"blocks": 0.002, "native": MIN_BYTES_PER_CALL / 2}

LeakCheckSteps = Generator[CallStep, Timing, LeakReport]


@dataclass(frozen=True)
class LeakCheckOptions:
    """Options of a leak check."""

    calls: int = CALLS
    """Calls of the first series, split into its windows."""
    budget_ns: int = BUDGET_NS
    """Maximum time for everything. A check that needs more reports that."""
    cycles: bool = False
    """True: note the reference cycles that only the garbage collector frees."""
    share: float = 1.0
    """Fraction of the budget that this check may take; a check in another process takes the rest."""


def check_leaks(
    options: LeakCheckOptions, reader: LevelReader, clock: Callable[[], int] = running_ns
) -> LeakCheckSteps:
    """Yield the calls of a leak check, and return its report.

    Raises
    ------
    CannotRepeat
        if a call after the first one raised, and nothing was leaking before.
    """
    with reader.open():
        return (yield from _LeakCheck(options, reader, clock).run())


class _LeakCheck:
    def __init__(self, options: LeakCheckOptions, reader: LevelReader, clock: Callable[[], int]) -> None:
        self._options = options
        self._reader = reader
        self._calls = BudgetedCalls(options.budget_ns, clock)
        self._window = max(1, -(-options.calls // WINDOWS))
        self._growth: dict[str, float] = {}
        self._suspects: list[str] = []
        self._unsettled: str | None = None
        self._notes: list[str] = []
        self._retaining_fixtures: dict[str, str] = {}

    def run(self) -> LeakCheckSteps:
        self._reader.trace(1)
        self._window = yield from self._calls.warm_up(self._window, WINDOWS + 1, self._share(SEARCH_SHARE))
        if not self._window:
            needed = self._budget_for(WINDOWS + 2, SEARCH_SHARE)
            return LeakReport(0, unsettled=f"a call takes too long: a leak check of it needs a budget of {needed}")
        resident, held = self._reader.resident_bytes(), self._reader.held()
        series = self._reader.series(self._window, counted=True)
        problem = yield from catch_error(self._search(series, without=NATIVE_KINDS, until=SEARCH_SHARE))
        rss, uss = (max(0, now - before) for now, before in zip(self._reader.resident_bytes(), resident, strict=True))
        if problem:
            self._stop_early(series, problem)
        else:
            problem = yield from self._confirm_suspects()
        lines: Lines = {}
        if self._suspects:
            problem = problem or (yield from catch_error(self._explain(lines)))
            if problem or not lines:
                lines |= describe_new(held, self._reader.held(), problem)
            lines.setdefault("memory", []).extend(self._beyond_python(series))
        if self._options.cycles and not problem:
            yield from note_cycles(self._notes, self._calls)
        # Counted resources come first, because the memory often only belongs to them.
        ordered = sorted(self._suspects, key=lambda kind: kind in BYTE_KINDS)
        leaks = [Leak(kind, self._growth[kind], lines.get(kind, ())) for kind in ordered]
        unsettled = None if leaks else self._unsettled
        return LeakReport(
            series.calls,
            leaks,
            self._growth,
            unsettled,
            rss,
            uss,
            self._notes,
            retaining_fixtures=self._retaining_fixtures if leaks else {},
        )

    def _fill(self, series: LevelSeries, windows: int, until: float = 1.0) -> Generator[CallStep, Timing, bool]:
        """Read the series until it has this many windows; return whether it got them.

        The first window is not counted: reading has a warm-up, and this generator allocates memory itself. The number of
        calls is planned by the duration of earlier ones. As soon as calls have become so slow that the other windows would
        exceed the share `until` of the budget, no more are made.
        """
        while series.windows < windows:
            left = (windows - series.windows) * series.window
            expected_ns = self._calls.spent_ns + left * self._calls.call_ns
            if expected_ns > self._share(until) * self._options.budget_ns:
                return False
            yield from self._calls.make(series.window)
            self._calls.read(series.read)
        return True

    def _slowed_down(self, series: LevelSeries, windows: int) -> str:
        """Return why a series did not get its windows."""
        needed = self._budget_for((windows + 1) * series.window, SEARCH_SHARE)
        each = format_duration(self._calls.call_ns / 1e9)
        return f"the calls become slower, now {each} each; the check takes a budget of {needed} or more"

    def _search(self, series: LevelSeries, *, without: Sequence[str], until: float) -> CallSteps:
        """Judge the first windows, and more windows if these are not conclusive; kinds that leak become suspects."""
        if not (yield from self._fill(series, WINDOWS)):
            self._growth |= series.growth()
            self._unsettled = self._slowed_down(series, WINDOWS)
            return
        trends = {
            kind: judge_short_series(series[kind], self._min_growth(kind)) for kind in series if kind not in without
        }
        still_open = [kind for kind, trend in trends.items() if trend is Growth.OPEN]
        if still_open and Growth.LEAKING not in trends.values():
            more = MAX_WINDOWS - WINDOWS
            if self._calls.affordable(self._share(until), readings=more) >= more * self._window:
                if not (yield from self._fill(series, MAX_WINDOWS)):
                    self._growth |= series.growth()
                    self._unsettled = self._slowed_down(series, MAX_WINDOWS)
                    return
                trends |= {kind: judge_long_series(series[kind], self._min_growth(kind)) for kind in still_open}
            else:
                grew, needed = ", ".join(still_open), self._budget_for((MAX_WINDOWS + 3) * self._window, until)
                self._unsettled = f"{grew} grew a little; to find out whether that continues takes a budget of {needed}"
        self._growth |= series.growth()
        self._suspects = [kind for kind, trend in trends.items() if trend is Growth.LEAKING]

    def _min_growth(self, kind: str) -> float:
        """Return the minimum growth per window that counts."""
        if kind == "mapped":
            return PAGE_BYTES
        return max(MIN_BYTES_PER_WINDOW, MIN_BYTES_PER_CALL * self._window) if kind in BYTE_KINDS else 0.0

    def _stop_early(self, series: LevelSeries, problem: str) -> None:
        """Judge a check that an exception ended: code that opens a connection with every call is refused one before the
        last window."""
        series.read()
        self._growth = series.growth()
        counted = [kind for kind in series if kind not in BYTE_KINDS]
        self._suspects = [kind for kind in counted if judge_short_series(series[kind], 0) is Growth.LEAKING]
        if not self._suspects or series.windows < MIN_WINDOWS:
            raise CannotRepeat(problem)

    def _confirm_suspects(self) -> Generator[CallStep, Timing, str | None]:
        """Keep the suspects that continue to grow. Without any, check the memory that only C code knows.

        Returns the exception of a call, if one raised.
        """
        if self._suspects:
            problem = yield from catch_error(self._follow())
            if problem:  # counted resources need no more calls, and may be the cause of the exception
                self._suspects = [kind for kind in self._suspects if kind not in BYTE_KINDS]
                self._unsettled = f"memory grew, and a later call raised {problem}"
            return problem
        if any(self._growth.get(kind, 0) > 0 for kind in NATIVE_KINDS):
            # Tracing takes memory itself. Without it, the size of the C heap is exact.
            self._reader.trace(0)
            problem = yield from catch_error(self._search_native())
            if problem:
                self._suspects = []
                self._notes.append(f"note: the memory of C code is unknown, because a later call raised {problem}")
            return problem
        return None

    def _search_native(self) -> CallSteps:
        yield from self._search(
            self._reader.series(self._window, counted=False), without=("memory",), until=FOLLOW_UP_SHARE
        )
        yield from self._follow()

    def _follow(self) -> CallSteps:
        """Make many more calls; only kinds that continue to grow remain suspects."""
        if not self._suspects:
            return
        rates = {kind: self._growth[kind] for kind in self._suspects}
        search_ns = self._calls.spent_ns
        longer = self._follow_up_window(rates)
        if not longer:
            self._report_open(rates, self._window * WINDOWS, search_ns)
            return
        series = self._reader.series(longer, counted=any(kind not in BYTE_KINDS for kind in rates))
        until = SLOWER * FOLLOW_UP_SHARE / (1 + CROSS_CHECK_SHARE if "memory" in rates else 1)
        complete = yield from self._fill(series, WINDOWS, min(until, 1.0))
        too_few = series.windows < MIN_JUDGED_WINDOWS or longer * series.windows < self._conclusive_calls(rates)
        if not complete and too_few:
            if series.windows < 0:  # not even one more window fits
                self._report_open(rates, self._window * WINDOWS, search_ns)
            else:
                yield from self._follow()  # with as many calls as fit now
            return
        self._suspects = [kind for kind in rates if still_growing(series[kind], rates[kind] * longer)]
        if self._suspects == ["memory"]:
            self._reader.trace(0)
            afforded = self._calls.affordable(self._share(1.0)) // (WINDOWS + 1)
            window = max(1, min(int(longer * CROSS_CHECK_SHARE), afforded))
            cross_check = self._reader.cross_check_series(window)
            if not (yield from self._fill(cross_check, WINDOWS)):
                self._unsettled = self._slowed_down(cross_check, WINDOWS)
                self._suspects = []
            elif all(rate < MIN_CROSS_CHECKED[kind] for kind, rate in cross_check.growth().items()):
                self._suspects = []
        # The rates over many calls are more precise.
        self._growth |= {kind: rate for kind, rate in series.growth().items() if kind in self._suspects}
        made = longer * series.windows
        if set(self._suspects) < set(rates) and made < self._conclusive_calls(rates):
            yield from self._follow()  # the dropped suspects may have limited the number of calls
        else:
            self._report_open(rates, made, search_ns)

    def _follow_up_window(self, rates: Mapping[str, float]) -> int:
        """Return the calls per window while suspects with these rates are followed; 0 if there is no time."""
        wanted = max(MIN_FOLLOW_UP_CALLS, min(int(FOLLOW_UP_NS / self._calls.quickest_ns), MAX_FOLLOW_UP_CALLS))
        wanted = min(wanted, *(_max_follow_up_calls(kind, rate) for kind, rate in rates.items()))
        afforded = self._calls.affordable(self._share(FOLLOW_UP_SHARE), readings=2 * (WINDOWS + 1))
        return min(max(1, wanted // WINDOWS), int(afforded / _follow_up_windows(rates)))

    def _conclusive_calls(self, rates: Mapping[str, float]) -> int:
        """Return the number of calls after which continued growth has no bound."""
        most = (_max_follow_up_calls(kind, rates[kind]) for kind in self._suspects)
        return min(MIN_FOLLOW_UP_CALLS, *most) // WINDOWS * WINDOWS if self._suspects else 0

    def _report_open(self, rates: Mapping[str, float], calls: int, search_ns: int) -> None:
        """Drop the suspects if this many calls cannot distinguish them from growth with a bound."""
        enough = self._conclusive_calls(rates)
        if calls < enough:
            needed = self._budget_for(_follow_up_windows(self._suspects) * enough / WINDOWS, FOLLOW_UP_SHARE, search_ns)
            grew = " and ".join(self._suspects)
            self._unsettled = (
                f"{grew} grew with each call so far; to find out whether that has a bound takes {enough} calls, "
                f"a budget of {needed}"
            )
            self._suspects = []

    def _explain(self, lines: Lines) -> CallSteps:
        """Explain the leaks with as many calls as the rest of the budget allows."""
        number = min(2 * self._window, self._calls.affordable(self._share(1.0)) // 3)
        if number:
            yield from explain(lines, self._retaining_fixtures, self._reader, self._calls, number)

    def _beyond_python(self, series: LevelSeries) -> Iterator[str]:
        """Yield a line if the leaking objects hold much more memory than Python's allocations."""
        judge = judge_short_series if series.windows == WINDOWS else judge_long_series
        for kind in NATIVE_KINDS:
            rate = self._growth.get(kind, 0.0)
            large = rate > max(MIN_BEYOND_BYTES, MIN_BEYOND_PYTHON * self._growth.get("memory", 0.0))
            if large and judge(series[kind], self._min_growth(kind)) is Growth.LEAKING:
                yield f"with it grows {format_size(rate)} of {BYTE_KINDS[kind]} per call, which Python does not count"
                return

    def _share(self, share: float) -> float:
        return share * self._options.share

    def _budget_for(self, calls: float, share: float, spent_ns: float = 0.0) -> str:
        """Return the budget of which this many calls, with the time already spent, take this share; more than the
        current one."""
        needed_ns = (calls * self._calls.call_ns + spent_ns) / self._share(share)
        return f"{math.ceil(max(needed_ns, MIN_BUDGET_RAISE * self._options.budget_ns) / 1e9)} s"


def _follow_up_windows(kinds: Collection[str]) -> float:
    """Return the number of windows in which such suspects are followed: one more that is not counted, and for memory
    windows without tracing."""
    return (WINDOWS + 1) * (1 + CROSS_CHECK_SHARE if "memory" in kinds else 1)


def _max_follow_up_calls(kind: str, rate: float) -> int:
    """Return the calls after which growth at this rate reaches its limit."""
    return max(1, int((MAX_FOLLOW_UP_BYTES if kind in BYTE_KINDS else MAX_FOLLOW_UP_RESOURCES) / rate))
