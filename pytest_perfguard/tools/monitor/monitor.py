"""`PerformanceMonitor`: timers, counters, gauges and histograms, what the system tells, alerts. Needs no pytest."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar, cast

from pytest_perfguard.core.measurement_points import CallOnce, NamedCall, PointServer, name_of
from pytest_perfguard.core.originals import CLOCKS
from pytest_perfguard.tools.monitor.histogram import WINDOW
from pytest_perfguard.tools.monitor.recorder import Recorder
from pytest_perfguard.tools.monitor.registry import MOST_SERIES
from pytest_perfguard.tools.monitor.system import SystemCollector
from pytest_perfguard.tools.monitor.ticker import Ticker, Ticking

if TYPE_CHECKING:
    import asyncio

INTERVAL: Final = 30.0

P = ParamSpec("P")
R = TypeVar("R")


class PerformanceMonitor(Recorder, Ticking):
    """Records how long things take, how many there are and how large they are. Safe for threads and event loops.

    A series is a name and labels: `monitor.count("requests", route="/users")`. Both are checked when a series is made.
    Names are words joined by dots, labels text or whole numbers. A name is of one kind.

    Parameters
    ----------
    window
        values that each timer and histogram keeps for its quantiles.
    max_series
        above so many, a new one is an error: a label must not have a value for every user.
    interval
        seconds between two looks at the system, once `start()` was called.
    server
        what serves measurement points; by default each call is made once.
    clock
        seconds of a steady clock, for timers and rates.
    """

    def __init__(
        self,
        *,
        window: int = WINDOW,
        max_series: int = MOST_SERIES,
        interval: float = INTERVAL,
        server: PointServer | None = None,
        clock: Callable[[], float] = CLOCKS.perf_counter,
    ) -> None:
        super().__init__(window=window, max_series=max_series, clock=clock)
        self._server = server if server is not None else CallOnce()
        self._system = SystemCollector(self, clock)
        self._ticker = Ticker(self.collect_system, interval, "perfguard-monitor")

    # Measurement points

    def measure(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function(*args, **kwargs)` and return its result; under a perf mode this call alone is measured.

        The rest of the test's body is then not timed. In a measuring process the function is called many times; the
        result is the first call's. It is measured under the function's name: `time:parse`.

        Raises
        ------
        TypeError
            for a coroutine function, of which only the making of the coroutine would be timed.
        """
        if inspect.iscoroutinefunction(function):
            raise TypeError(
                f"perf_monitor.measure cannot time the coroutine function {name_of(function)}: "
                "await perf_monitor.measure_async(...)"
            )
        return cast(R, self._server.measure(partial(function, *args, **kwargs), name_of(function)))

    async def measure_async(self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """`measure` for a coroutine function, inside the running event loop: an iteration is one `await`."""
        call = partial(function, *args, **kwargs)
        return cast(R, await self._server.measure_async(call, name_of(function)))

    def named(self, name: str, function: Callable[..., R], /, *args: object, **kwargs: object) -> NamedCall[R]:
        """A call with a name of its own, to measure or to compare: `new.measure()`, `new.faster_than(old, by="20%")`."""
        return NamedCall(self._server, name, partial(function, *args, **kwargs))

    # The system

    def collect_system(self) -> None:
        """Read memory, CPU time, threads, open files, garbage collections and the watched loops' delay, now."""
        self._system.collect()

    def watch_loop(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Measure the delay and the tasks of this loop, by default of the running one, with each look at the system."""
        import asyncio

        self._system.watch_loop(loop or asyncio.get_running_loop())

    def __repr__(self) -> str:
        return f"<PerformanceMonitor with {len(self._registry.all())} series, {self._server}>"
