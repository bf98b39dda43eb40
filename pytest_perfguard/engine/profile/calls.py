"""The deterministic profile: every call of every function, with the profiler's own cost subtracted.

cProfile counts exactly and sees C functions. It lengthens each call by a fixed time, part of which it books on the
function that is called and part on its caller; small functions seem to cost several times their time. Both parts are
calibrated once per process and subtracted (Malony and Shende, "Overhead compensation in performance profiling", 2004).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import lru_cache
from types import CodeType
from typing import TYPE_CHECKING, Final, NamedTuple

from pytest_perfguard.core.originals import CLOCKS, sys, threading
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.measure.executor import RUN_SETUP, CallStep
from pytest_perfguard.engine.profile.model import CallProfile, Cost, Edge, Function
from pytest_perfguard.engine.profile.names import Named, Namer

if TYPE_CHECKING:
    from _lsprof import profiler_entry, profiler_subentry
    from cProfile import Profile

_CALIBRATION_CALLS: Final = 1000
_CALIBRATION_ROUNDS: Final = 7
#: Share of its uncorrected time that a function keeps at least.
_MIN_SHARE: Final = 0.02
#: From Python 3.12 on one profiler sees all threads, and a second one cannot be started.
_ONE_PER_THREAD: Final = sys.version_info < (3, 12)


class Overhead(NamedTuple):
    """Seconds by which cProfile lengthens one call."""

    callee: float
    """Booked on the Python function that is called."""
    caller: float
    """Booked on the caller of a Python function."""
    builtin: float
    """Booked on the C function that is called."""
    builtin_caller: float
    """Booked on the caller of a C function."""


def profile_calls(iterations: int, root: str) -> Generator[CallStep, Timing, CallProfile]:
    """Profile `iterations` calls of the measured function."""
    from cProfile import Profile

    overhead = calibrated()
    yield RUN_SETUP
    profiles = [Profile()]
    with _new_threads_profiled(profiles, Profile):
        profiles[0].enable(subcalls=True, builtins=True)
        try:
            timing = yield CallStep(iterations, count_switches=False)
        finally:
            profiles[0].disable()
    builder = _Builder(Namer(root), iterations, overhead)
    for each in profiles:
        builder.add(each.getstats())
    return builder.profile(len(profiles) - 1, timing.wall_ns / 1e9 / iterations)


@contextlib.contextmanager
def _new_threads_profiled(profiles: list[Profile], make: Callable[[], Profile]) -> Iterator[None]:
    """Give every thread that starts meanwhile a profiler of its own."""
    if not _ONE_PER_THREAD:
        yield
        return

    def begin(*_event: object) -> None:
        profile = make()
        profiles.append(profile)
        profile.enable(subcalls=True, builtins=True)

    before = threading.getprofile()
    threading.setprofile(begin)
    try:
        yield
    finally:
        threading.setprofile(before)


class _Builder:
    """Adds up cProfile's entries by function."""

    def __init__(self, namer: Namer, iterations: int, overhead: Overhead) -> None:
        self._namer = namer
        self._iterations = iterations
        self._overhead = overhead
        self._costs: dict[Function, Cost] = {}
        self._edges: dict[tuple[Function, Function], Edge] = {}

    def add(self, entries: Sequence[profiler_entry]) -> None:
        for entry in entries:
            caller = self._named(entry.code)
            calls = entry.calls or ()
            if caller is not None:
                self._add_cost(caller, entry, calls)
            for callee_entry in calls:
                callee = self._named(callee_entry.code)
                if caller is not None and callee is not None and callee.function != caller.function:
                    self._add_edge(caller, callee, callee_entry)

    def profile(self, threads: int, seconds: float) -> CallProfile:
        return CallProfile(self._costs, self._edges, threads, seconds)

    def _named(self, code: CodeType | str) -> Named | None:
        if isinstance(code, str):
            if "_lsprof.Profiler" in code:
                return None
            return Named(self._namer.of_builtin(code), 0, 0, folded=False, resumed=False)
        return self._namer.of_code(code)

    def _add_cost(self, named: Named, entry: profiler_entry, calls: Sequence[profiler_subentry]) -> None:
        is_builtin = isinstance(entry.code, str)
        spent = entry.callcount * (self._overhead.builtin if is_builtin else self._overhead.callee)
        for each in calls:
            spent += each.callcount * (
                self._overhead.builtin_caller if isinstance(each.code, str) else self._overhead.caller
            )
        own = max(entry.inlinetime * _MIN_SHARE, entry.inlinetime - spent)
        before = self._costs.get(named.function, Cost(0.0, 0.0, 0.0))
        counted = 0 if named.folded else entry.callcount
        self._costs[named.function] = Cost(
            before.calls + counted / self._iterations,
            before.own + own / self._iterations,
            before.cumulative + (0.0 if named.folded else entry.totaltime / self._iterations),
            before.line if named.folded and before.line else named.line,
            max(before.end, named.end),
            before.resumed or (named.resumed and not named.folded),
        )

    def _add_edge(self, caller: Named, callee: Named, entry: profiler_subentry) -> None:
        pair = caller.function, callee.function
        before = self._edges.get(pair, Edge(0.0, 0.0))
        counted = 0 if callee.folded else entry.callcount
        self._edges[pair] = Edge(
            before.calls + counted / self._iterations, before.seconds + entry.totaltime / self._iterations
        )


@lru_cache(maxsize=1)
def calibrated() -> Overhead:
    """Measure what cProfile adds to a call of a Python function and of a C function."""
    from cProfile import Profile

    def callee() -> None:
        """Do nothing."""

    def calls_python() -> None:
        for _ in range(_CALIBRATION_CALLS):
            callee()

    def calls_builtin() -> None:
        for _ in range(_CALIBRATION_CALLS):
            len("")

    def own_seconds(function: Callable[[], None], called: CodeType | str) -> tuple[float, float]:
        best = (1.0, 1.0)
        for _ in range(_CALIBRATION_ROUNDS):
            profile = Profile()
            profile.enable(subcalls=True, builtins=True)
            function()
            profile.disable()
            spent = {entry.code: entry.inlinetime for entry in profile.getstats()}
            best = min(best, (spent.get(called, 0.0), spent.get(function.__code__, 0.0)), key=sum)
        return best[0] / _CALIBRATION_CALLS, best[1] / _CALIBRATION_CALLS

    def plain_seconds(function: Callable[[], None]) -> float:
        times = []
        for _ in range(_CALIBRATION_ROUNDS):
            start = CLOCKS.perf_counter()
            function()
            times.append(CLOCKS.perf_counter() - start)
        return min(times) / _CALIBRATION_CALLS

    python, builtin = plain_seconds(calls_python) / 2, plain_seconds(calls_builtin) / 2
    of_callee, of_caller = own_seconds(calls_python, callee.__code__)
    of_builtin, of_builtin_caller = own_seconds(calls_builtin, "<built-in method builtins.len>")
    return Overhead(
        max(0.0, of_callee - python),
        max(0.0, of_caller - python),
        max(0.0, of_builtin - builtin),
        max(0.0, of_builtin_caller - builtin),
    )
