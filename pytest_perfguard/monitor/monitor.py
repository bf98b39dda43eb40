"""`PerformanceMonitor`: timers, counters, gauges and histograms, what the system tells, alerts. Needs no pytest."""

from __future__ import annotations

import inspect
import math
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import MethodType, TracebackType
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast

from pytest_perfguard.errors import AlertError
from pytest_perfguard.monitor.alerts import Action, Alert
from pytest_perfguard.monitor.exposition import Format, exported
from pytest_perfguard.monitor.instruments import WINDOW, Counter, Gauge, Histogram
from pytest_perfguard.monitor.points import NamedCall, PointServer, ServesOnce, name_of
from pytest_perfguard.monitor.registry import MOST_SERIES, Instrument, Registry, Timings
from pytest_perfguard.monitor.summary import Summary
from pytest_perfguard.monitor.system import SystemCollector
from pytest_perfguard.monitor.ticker import Ticker
from pytest_perfguard.monitor.timers import Timer
from pytest_perfguard.series import Label, read_series

if TYPE_CHECKING:
    import asyncio

INTERVAL: Final = 30.0
#: A source of numbers that is asked when they are wanted: a pool's or a cache's statistics.
Source = Callable[[], Mapping[str, float]]

P = ParamSpec("P")
R = TypeVar("R")


class PerformanceMonitor:
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
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        if window < 1:
            raise ValueError(f"window is {window!r}: a histogram keeps at least one value")
        self._clock = clock
        self._server = server if server is not None else ServesOnce()
        self._registry = Registry(window=window, most=max_series, clock=time.time)
        self._registry.on_new = self._watch_new
        # By what the caller wrote, so that a record costs one look-up: the same labels in another order come twice.
        self._adds: dict[object, Callable[[float], None]] = {}
        self._sets: dict[object, Callable[[float], None]] = {}
        self._records: dict[object, Callable[[float], None]] = {}
        self._timings: dict[object, Histogram] = {}
        self._alerts: list[Alert] = []
        self._sources: dict[str, Source | weakref.WeakMethod[Source]] = {}
        self._system = SystemCollector(self, clock)
        self._ticker = Ticker(self.collect_system, interval, "perfguard-monitor")

    # Records

    def timer(self, name: str, /, **labels: Label) -> Timer:
        """`with monitor.timer("db.query", table="users"):`, or `@monitor.timer("db.query")` on a function."""
        key = (name, *labels.items()) if labels else name
        histogram = self._timings.get(key)
        if histogram is None:
            histogram = self._timings[key] = self._registry.get(Timings, name, labels)
        return Timer(histogram, self._clock)

    def start_timer(self, name: str, /, **labels: Label) -> Timer:
        """A timer that runs already; its `stop()` returns the seconds. For code that cannot nest."""
        return self.timer(name, **labels).start()

    def count(self, name: str, n: float = 1, /, **labels: Label) -> None:
        """Count `n` more; a counter only grows."""
        key = (name, *labels.items()) if labels else name
        add = self._adds.get(key)
        if add is None:
            add = self._adds[key] = self._registry.get(Counter, name, labels).add
        add(n)

    def gauge(self, name: str, value: float, /, **labels: Label) -> None:
        """It is `value` now."""
        key = (name, *labels.items()) if labels else name
        put = self._sets.get(key)
        if put is None:
            put = self._sets[key] = self._registry.get(Gauge, name, labels).set
        put(value)

    def observe(self, name: str, value: float, /, **labels: Label) -> None:
        """One more value of a distribution, in any unit."""
        key = (name, *labels.items()) if labels else name
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = self._registry.get(Histogram, name, labels).record
        record(value)

    def watch(self, name: str, source: Source, /) -> None:
        """Ask `source()` for a mapping of numbers whenever they are wanted, as gauges `name.KEY`.

        Such as `monitor.watch("db.pool", pool.statistics)`. A bound method's object is not kept alive.
        """
        self._sources[name] = weakref.WeakMethod(source) if isinstance(source, MethodType) else source

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

    def start(self) -> None:
        """Look at the system every interval, in a daemon thread that ends with `stop()` or with this object."""
        self._ticker.start()

    def stop(self) -> None:
        """End the thread."""
        self._ticker.stop()

    def __enter__(self) -> PerformanceMonitor:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # Alerts

    def alert(self, expression: str, /, *, action: Action = "fail", on_record: bool = False) -> Alert:
        """Watch for `db.query.p95 > 200ms`: a series, one of its fields, a comparison with a number.

        Parameters
        ----------
        action
            "fail": `check()` raises, which a test does at its end; "warn"; or a function of the `Breach`.
        on_record
            look with every record of these series, not only at `check()`. Quantiles then cost a sort of the window each.

        Raises
        ------
        ExpressionError
            with the place in the expression.
        """
        alert = Alert(expression, action, on_record=on_record, clock=self._clock)
        self._alerts.append(alert)
        for made in self._registry.all():
            self._attach(alert, made)
        return alert

    def check(self) -> None:
        """Look at every alert.

        Raises
        ------
        AlertError
            an AssertionError with a line for every breach of an alert with the action "fail", now or at a record.
        """
        instruments = self._pulled()
        for alert in self._alerts:
            alert.evaluate(instruments)
        failures = [line for alert in self._alerts for line in alert.failures]
        if failures:
            raise AlertError(failures)

    # Reading

    def summary(self) -> Summary:
        """All series as they are now; `print` shows a table."""
        kinds: dict[str, dict[str, Any]] = {"counter": {}, "gauge": {}, "timer": {}, "histogram": {}}
        for made in self._pulled():
            value = made.stats() if isinstance(made, Histogram) else made.value
            if value is not None:
                kinds[made.kind][str(made.series)] = value
        return Summary(kinds["counter"], kinds["gauge"], kinds["timer"], kinds["histogram"])

    def export(self, form: Format = "json", /) -> str:
        """All series as text: "json", "prometheus" or "openmetrics" (both by prometheus-client)."""
        return exported(self._pulled(), form)

    def state(self) -> dict[str, Any]:
        """All series as plain data that JSON can carry, for `merge` in another process."""
        self._pulled()
        return self._registry.state()

    def merge(self, other: PerformanceMonitor | Mapping[str, Any]) -> None:
        """Add what another monitor, or the `state()` of one in another process, has recorded.

        Counters add up, of gauges the later value stays, and histograms hold the values of both.
        """
        for text, state in (other.state() if isinstance(other, PerformanceMonitor) else other).items():
            self._registry.absorb(read_series(text), state)

    def histograms(self) -> list[Histogram]:
        """The timers' and other histograms, which a measuring process judges as metrics of their own."""
        return [made for made in self._registry.all() if isinstance(made, Histogram)]

    def __repr__(self) -> str:
        return f"<PerformanceMonitor with {len(self._registry.all())} series, {self._server}>"

    def _pulled(self) -> list[Instrument]:
        """Every series, with what the sources say now."""
        for name, source in list(self._sources.items()):
            ask = source() if isinstance(source, weakref.WeakMethod) else source
            if ask is None:  # its object is gone
                del self._sources[name]
                continue
            for key, value in ask().items():
                if math.isfinite(value):
                    self.gauge(f"{name}.{key}", value)
        return self._registry.all()

    def _watch_new(self, made: Instrument) -> None:
        for alert in self._alerts:
            self._attach(alert, made)

    def _attach(self, alert: Alert, made: Instrument) -> None:
        if alert.on_record and alert.about(made):
            made.watchers.append(partial(alert.evaluate, [made]))
