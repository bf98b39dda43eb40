"""`PerformanceMonitor`: timers, counters, gauges and histograms, system metrics, alerts. Needs no pytest."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar, cast

from pytest_perfguard.core.callables import must_be_awaited
from pytest_perfguard.core.measurement_points import CallOnce, NamedCall, PointServer, name_of
from pytest_perfguard.core.originals import CLOCKS
from pytest_perfguard.tools.monitor.histogram import WINDOW
from pytest_perfguard.tools.monitor.recorder import MetricRecorder
from pytest_perfguard.tools.monitor.registry import MAX_SERIES
from pytest_perfguard.tools.monitor.system import SystemCollector, running_loop
from pytest_perfguard.tools.monitor.ticker import Ticker, Ticking

if TYPE_CHECKING:
    import asyncio

INTERVAL: Final = 30.0

P = ParamSpec("P")
R = TypeVar("R")

_log = logging.getLogger("perfguard")


class PerformanceMonitor(MetricRecorder, Ticking):
    """Record durations, counts and sizes. Safe for threads, event loops, finalizers and forks.

    A series is a name and labels: `monitor.count("requests", route="/users")`. Both are checked when the series is made. Names are
    words joined by dots, labels are text or whole numbers. All series of a name are of one kind.

    Parameters
    ----------
    window
        values that each timer and histogram keeps for its quantiles.
    max_series
        maximum number of series. A label must not have a value for every user.
    interval
        seconds between two readings of the system metrics after `start()`.
    server
        serves measurement points; by default each call is made once.
    clock
        returns seconds of a monotonic clock, for timers and rates.
    """

    def __init__(
        self,
        *,
        window: int = WINDOW,
        max_series: int = MAX_SERIES,
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
        """Call `function(*args, **kwargs)` and return its result; in a perf mode only this call is measured.

        The rest of the test's body is then not timed. A measuring process calls the function many times and returns the first result.
        The metric has the function's name: `time:parse`.

        Raises
        ------
        TypeError
            for a coroutine function, whose call only makes a coroutine.
        """
        if must_be_awaited(function):
            raise TypeError(
                f"perf_monitor.measure cannot time the coroutine function {name_of(function)}: "
                "await perf_monitor.measure_async(...)"
            )
        return cast(R, self._server.measure(partial(function, *args, **kwargs), name_of(function)))

    async def measure_async(self, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Measure a coroutine function in the running event loop, as `measure` does: an iteration is one `await`."""
        call = partial(function, *args, **kwargs)
        return cast(R, await self._server.measure_async(call, name_of(function)))

    def named(self, name: str, function: Callable[..., R], /, *args: object, **kwargs: object) -> NamedCall[R]:
        """Return a call with a name, to measure or to compare: `new.measure()`, `new.faster_than(old, by="20%")`."""
        return NamedCall(self._server, name, partial(function, *args, **kwargs))

    # The system

    def start(self) -> None:
        """Read the system metrics now and then every interval, in a daemon thread that ends with `stop()` or with the monitor.

        In a running event loop its delay and its tasks are measured, too.
        """
        if not self.running:
            loop = running_loop()
            if loop is not None:
                self.watch_loop(loop)
            try:
                self.collect_system()
            except Exception:
                _log.exception("the system metrics could not be read")
        super().start()

    def collect_system(self) -> None:
        """Read memory, CPU time, threads, open files, garbage collections and the delay of the watched loops now."""
        self._system.collect()

    def watch_loop(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Measure the delay and the tasks of a loop, by default of the running one, whenever the system metrics are read."""
        import asyncio

        self._system.watch_loop(loop or asyncio.get_running_loop())

    def __repr__(self) -> str:
        return f"<PerformanceMonitor with {len(self._registry.all())} series, {self._server}>"
