"""The leak check: a generator of steps around which the meter is read. Obeyed by the sync and the async loop alike.

The rule and the figures behind it: docs/leaks.md.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_perfguard.drive import Step, Timing
from pytest_perfguard.errors import CannotRepeat
from pytest_perfguard.leaks.calls import Calls, Steps, attempted
from pytest_perfguard.leaks.explain import Lines, explain, note_cycles, things_since
from pytest_perfguard.leaks.findings import BYTES, NATIVE, Examination, Leak
from pytest_perfguard.leaks.growth import MOST_WINDOWS, WINDOWS, Trend, first_look, last_look, still_growing
from pytest_perfguard.leaks.meter import Meter, Series

CALLS: Final = 100
BUDGET_NS: Final = 20_000_000_000
#: A real leak is larger; what is smaller is not worth a red build.
LEAST_BYTES_PER_CALL: Final = 4.0
LEAST_BYTES_PER_WINDOW: Final = 80.0
#: Before this many windows an exception ends the check.
LEAST_WINDOWS: Final = 2
#: Address space comes in pages.
PAGE: Final = 4096.0
#: A suspect is called for so much longer, or so often, or until it has taken so much or so many: a cache or a pool with a
#: bound is full then.
LONGER_NS: Final = 1_000_000_000
MOST_LONGER_CALLS: Final = 20_000
MOST_LONGER_BYTES: Final = 128 * 2**20
MOST_LONGER_THINGS: Final = 100
#: Per call, without tracing. The tracer itself keeps the name of every file that allocates: code that is compiled anew with
#: ever new names seems to leak while it is traced.
LEAST_WITNESSED: Final = {"blocks": 0.002, "native": LEAST_BYTES_PER_CALL / 2}

Examining = Generator[Step, Timing, Examination]


@dataclass(frozen=True)
class Order:
    """What is wanted of a check."""

    calls: int = CALLS
    """Of the first look, split into its windows."""
    budget_ns: int = BUDGET_NS
    """The most time in calls; a check that needs more says so."""
    cycles: bool = False
    """Note the reference cycles that only the collector frees?"""


def examine(order: Order, meter: Meter) -> Examining:
    """Call again and again and say what grows.

    Raises
    ------
    CannotRepeat
        where a call raised after the first one, and nothing was leaking so far.
    """
    with meter.open():
        return (yield from _Check(order, meter).run())


class _Check:
    def __init__(self, order: Order, meter: Meter) -> None:
        self._order = order
        self._meter = meter
        # Half of the budget for what every test goes through, half for a suspect.
        self._calls = Calls(order.budget_ns // 2)
        self._window = max(1, -(-order.calls // WINDOWS))
        self._growth: dict[str, float] = {}
        self._suspects: list[str] = []
        self._unsettled = ""
        self._notes: list[str] = []

    def run(self) -> Examining:
        self._meter.trace(1)
        self._window = yield from self._calls.warm_up(self._window, WINDOWS + 1)
        if not self._window:
            seconds = 2 * self._calls.call_ns * (WINDOWS + 2) / 1e9
            return Examination(
                0, unsettled=f"a call takes too long: a leak check of it needs a budget of {seconds:.0f} s"
            )
        resident, held = self._meter.resident(), self._meter.held()
        series = self._meter.series(self._window, counted=True)
        problem = yield from attempted(self._look(series, without=NATIVE))
        rss, uss = (max(0, now - before) for now, before in zip(self._meter.resident(), resident, strict=True))
        if problem:
            self._cut_short(series, problem)
        else:
            problem = yield from self._settle_suspects()
        lines: Lines = {}
        if self._suspects:
            problem = problem or (yield from attempted(explain(lines, self._meter, self._calls, 2 * self._window)))
            if problem:
                lines |= things_since(held, self._meter.held(), problem)
        if self._order.cycles and not problem:
            yield from note_cycles(self._notes, self._calls)
        # What is counted comes first: the memory is often only what belongs to it.
        ordered = sorted(self._suspects, key=lambda kind: kind in BYTES)
        leaks = [Leak(kind, self._growth[kind], lines.get(kind, ())) for kind in ordered]
        return Examination(series.calls, leaks, self._growth, "" if leaks else self._unsettled, rss, uss, self._notes)

    def _fill(self, series: Series, windows: int) -> Steps:
        """Read the series until it has so many windows.

        It starts here, after a window that counts for nothing: reading has a warm-up, and this very generator a size.
        """
        while series.windows < windows:
            yield from self._calls.make(series.window)
            series.read()

    def _look(self, series: Series, *, without: Sequence[str] = ()) -> Steps:
        """Judge the first windows, and more of them where these leave something open; what leaks is a suspect."""
        yield from self._fill(series, WINDOWS)
        trends = {kind: first_look(series[kind], self._floor(kind)) for kind in series if kind not in without}
        still_open = [kind for kind, trend in trends.items() if trend is Trend.OPEN]
        if still_open and Trend.LEAKING not in trends.values():
            if self._calls.affords((MOST_WINDOWS - WINDOWS) * self._window):
                yield from self._fill(series, MOST_WINDOWS)
                trends |= {kind: last_look(series[kind], self._floor(kind)) for kind in still_open}
            else:
                grew = ", ".join(still_open)
                self._unsettled = f"{grew} grew a little; a larger budget would tell whether that goes on"
        self._growth |= series.growth()
        self._suspects = [kind for kind, trend in trends.items() if trend is Trend.LEAKING]

    def _floor(self, kind: str) -> float:
        """Least growth per window that counts."""
        if kind == "mapped":
            return PAGE
        return max(LEAST_BYTES_PER_WINDOW, LEAST_BYTES_PER_CALL * self._window) if kind in BYTES else 0.0

    def _cut_short(self, series: Series, problem: str) -> None:
        """A call raised. Whoever opens a connection with every call is refused one before the last window."""
        series.read()
        self._growth = series.growth()
        counted = [kind for kind in series if kind not in BYTES]
        self._suspects = [kind for kind in counted if first_look(series[kind], 0) is Trend.LEAKING]
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
        yield from self._look(self._meter.series(self._window, counted=False), without=("memory",))
        yield from self._follow()

    def _follow(self) -> Steps:
        """Make many more calls; those that go on growing remain suspects."""
        if not self._suspects:
            return
        rates = {kind: self._growth[kind] for kind in self._suspects}
        most = min((MOST_LONGER_BYTES if kind in BYTES else MOST_LONGER_THINGS) / rate for kind, rate in rates.items())
        longer = max(1, int(min(LONGER_NS / self._calls.call_ns, MOST_LONGER_CALLS, most)) // WINDOWS)
        series = self._meter.series(longer, counted=any(kind not in BYTES for kind in rates))
        yield from self._fill(series, WINDOWS)
        self._suspects = [kind for kind in rates if still_growing(series[kind], rates[kind] * longer)]
        if self._suspects == ["memory"]:
            self._meter.trace(0)
            witnesses = self._meter.witnesses(longer)
            yield from self._fill(witnesses, WINDOWS)
            if all(rate < LEAST_WITNESSED[kind] for kind, rate in witnesses.growth().items()):
                self._suspects = []
        # So many calls tell it better.
        self._growth |= {kind: rate for kind, rate in series.growth().items() if kind in self._suspects}
