"""The recording part of a monitor: series, alerts on them, summaries, exports, merging."""

from __future__ import annotations

import contextlib
import logging
import math
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from types import MethodType
from typing import Any

from pytest_perfguard.core.errors import AlertError
from pytest_perfguard.core.fork import register_at_fork
from pytest_perfguard.core.labels import Label, read_series
from pytest_perfguard.tools.monitor.alerts import Action, Alert
from pytest_perfguard.tools.monitor.exposition import Format, exported, registry_of
from pytest_perfguard.tools.monitor.histogram import Histogram
from pytest_perfguard.tools.monitor.instruments import Counter, Gauge
from pytest_perfguard.tools.monitor.registry import Instrument, Registry, TimerSeries
from pytest_perfguard.tools.monitor.summary import Summary
from pytest_perfguard.tools.monitor.timers import Timer

#: Returns numbers by name when they are needed, such as the statistics of a pool or a cache.
Source = Callable[[], Mapping[str, float]]

_log = logging.getLogger("perfguard")


class MetricRecorder:
    """The recording part of `PerformanceMonitor`."""

    def __init__(self, *, window: int, max_series: int, clock: Callable[[], float]) -> None:
        for name, number in {"window": window, "max_series": max_series}.items():
            if not isinstance(number, int) or number < 1:
                raise ValueError(f"{name} is {number!r}: give a whole number of at least 1")
        self._clock = clock
        self._registry = Registry(window=window, max_series=max_series, clock=clock)
        self._registry.on_new = self._watch_new
        # By the caller's arguments, so that a record needs one look-up. Labels in another order are another key. The types belong to
        # the key because 1 and True compare equal, but are different labels.
        self._counters: dict[object, Counter] = {}
        self._sets: dict[object, Callable[[float], None]] = {}
        self._records: dict[object, Callable[[float], None]] = {}
        self._timings: dict[object, TimerSeries] = {}
        self._alerts: list[Alert] = []
        self.alerting = True
        """False in a measuring process: alerts are checked for mistakes and not evaluated."""
        self._sources: dict[str, Source | weakref.WeakMethod[Source]] = {}
        self._unreadable: set[str] = set()
        """Sources that could not be read the last time."""
        register_at_fork(self)

    def timer(self, name: str, /, **labels: Label) -> Timer:
        """Return a timer: `with monitor.timer("db.query", table="users"):`, or `@monitor.timer("db.query")` on a function."""
        key = (name, *labels.items(), *map(type, labels.values())) if labels else name
        try:
            return Timer(self._timings[key])
        except KeyError:
            self._timings[key] = self._registry.get(TimerSeries, name, labels)
            return Timer(self._timings[key])

    def start_timer(self, name: str, /, **labels: Label) -> Timer:
        """Return a running timer, whose `stop()` returns the seconds. For code that cannot use a `with` block."""
        return self.timer(name, **labels).start()

    def record_duration(self, name: str, seconds: float, /, **labels: Label) -> None:
        """Record a duration that was measured elsewhere, in seconds, in the series of a timer."""
        self._registry.get(TimerSeries, name, labels).record(seconds)

    def count(self, name: str, n: float = 1, /, **labels: Label) -> None:
        """Add `n` to a counter, which only grows."""
        key = (name, *labels.items(), *map(type, labels.values())) if labels else name
        try:
            counter = self._counters[key]
        except KeyError:
            counter = self._counters[key] = self._registry.get(Counter, name, labels)
        if n != 1:
            n = counter.checked(n)
        pending = counter.pending
        pending.append(n)  # inline: a call would take as long as the rest
        if len(pending) > counter.room:
            counter.flush()

    def gauge(self, name: str, value: float, /, **labels: Label) -> None:
        """Record the value that a quantity has from now on."""
        key = (name, *labels.items(), *map(type, labels.values())) if labels else name
        try:
            put = self._sets[key]
        except KeyError:
            put = self._sets[key] = self._registry.get(Gauge, name, labels).set
        put(value)

    @contextlib.contextmanager
    def in_progress(self, name: str, /, **labels: Label) -> Iterator[None]:
        """Count a block as in progress while it runs, in a gauge: `with monitor.in_progress("requests.open"):`."""
        gauge = self._registry.get(Gauge, name, labels)
        gauge.add(1)
        try:
            yield
        finally:
            gauge.add(-1)

    def observe(self, name: str, value: float, /, **labels: Label) -> None:
        """Record one value of a distribution, in any unit."""
        key = (name, *labels.items(), *map(type, labels.values())) if labels else name
        try:
            record = self._records[key]
        except KeyError:
            record = self._records[key] = self._registry.get(Histogram, name, labels).record
        record(value)

    def describe(self, name: str, help_text: str = "", /, *, buckets: Iterable[float] = ()) -> None:
        """Set the help text of the series of a name, and the buckets of its histograms and timers, for Prometheus.

        Parameters
        ----------
        buckets
            upper bounds that grow, of timers in seconds. Values are then exported by bucket, and not as quantiles. Give them before the
            first record. Without them those that are set remain.
        """
        self._registry.describe(name, help_text, buckets)

    def remove(self, name: str, /, **labels: Label) -> int:
        """Remove the series of a name, those with these labels if any are given, and return their number."""
        removed = self._registry.remove(name, labels)
        self._forget_instruments()
        return removed

    def clear(self) -> None:
        """Remove all series."""
        self._registry.clear()
        self._forget_instruments()

    def watch(self, name: str, source: Source, /) -> None:
        """Call `source()` for a mapping of numbers whenever they are needed, as gauges `name.KEY`.

        Example: `monitor.watch("db.pool", pool.statistics)`. The object of a bound method is not kept alive. A source that raises an
        error is logged, again only after it could be read.

        Raises
        ------
        TypeError
            if the source cannot be called.
        """
        if not callable(source):
            raise TypeError(f"source is {source!r}: give a function without arguments that returns a mapping")
        self._sources[name] = weakref.WeakMethod(source) if isinstance(source, MethodType) else source

    def alert(self, expression: str, /, *, action: Action = "fail", on_record: bool = False) -> Alert:
        """Add an alert such as `db.query.p95 > 200ms`: a series, one of its fields, a comparison with a number.

        Parameters
        ----------
        action
            "fail": `check()` raises, which a test does at its end; "warn"; or a function that is called with the `Breach`.
        on_record
            evaluate at every record of these series, not only at `check()`. For a quantile each record then sorts the window.

        Raises
        ------
        ExpressionError
            with the place in the expression.
        """
        for known in self._alerts:
            if (known.condition.text, known.action, known.on_record) == (expression, action, on_record):
                return known  # the call is in a loop
        alert = Alert(expression, action, on_record=on_record, clock=self._clock)
        if self.alerting:
            self._alerts.append(alert)
            for made in self._registry.all():
                alert.begin(made)
                self._attach(alert, made)
        return alert

    def check(self) -> None:
        """Evaluate all alerts.

        Raises
        ------
        AlertError
            an AssertionError with a line for every breach of an alert with the action "fail", now or at a record.
        """
        if breaches := self.breaches():
            raise AlertError(breaches.splitlines())

    def breaches(self) -> str:
        """Return the lines that `check` would raise, "" if there are none."""
        instruments = self._pulled() if self._alerts else []
        for alert in self._alerts:
            alert.evaluate(instruments)
        return "\n".join(line for alert in self._alerts for line in alert.reported(instruments))

    def summary(self) -> Summary:
        """Return all series as they are now; `print` shows a table."""
        kinds: dict[str, dict[str, Any]] = {"counter": {}, "gauge": {}, "timer": {}, "histogram": {}}
        for made in self._pulled():
            value = made.stats() if isinstance(made, Histogram) else made.value
            if value is not None:
                kinds[made.kind][str(made.series)] = value
        return Summary(kinds["counter"], kinds["gauge"], kinds["timer"], kinds["histogram"])

    def export(self, form: Format = "json", /) -> str:
        """Return all series as text: "json", "prometheus" or "openmetrics" (both with prometheus-client)."""
        return exported(self._pulled, form, self._help)

    def prometheus_registry(self) -> Any:
        """Return a `CollectorRegistry` of prometheus-client whose content is this monitor's at the time of each request.

        For `prometheus_client.make_wsgi_app(registry)`, `make_asgi_app(registry)` and `start_http_server(port, registry=registry)`.

        Raises
        ------
        MissingExtra
            if prometheus-client is not installed.
        """
        return registry_of(self._pulled, self._help)

    def state(self) -> dict[str, Any]:
        """Return all series as plain data that JSON can represent, for `merge` in another process."""
        self._pulled()
        return self._registry.state()

    def merge(self, other: MetricRecorder | Mapping[str, Any]) -> None:
        """Add the records of another monitor, or of its `state()` in another process.

        Counters add up, of gauges the later value is kept, and histograms hold the values of both.
        """
        for text, state in (other.state() if isinstance(other, MetricRecorder) else other).items():
            self._registry.merge(read_series(text), state)

    def forget(self) -> None:
        """Discard the single values, which quantiles need; counts and sums stay."""
        for made in self._registry.all():
            if not isinstance(made, Gauge):
                made.forget()

    def histograms(self) -> list[Histogram]:
        """Return the timers' and other histograms, which a measuring process judges as metrics of their own."""
        return [made for made in self._registry.all() if isinstance(made, Histogram)]

    def begin_anew(self) -> None:
        """Reset all locks in a forked child. It begins with the records of its parent."""
        self._registry.begin_anew()
        for alert in self._alerts:
            alert.begin_anew()

    def _help(self, name: str) -> str:
        return self._registry.description(name).help

    def _forget_instruments(self) -> None:
        for known in (self._counters, self._sets, self._records, self._timings):
            known.clear()

    def _pulled(self) -> list[Instrument]:
        """Return all series, with the current numbers of the sources."""
        for name in list(self._sources):  # of `items`, the tuples may run the collector, and a finalizer add a source
            source = self._sources.get(name)
            read = source() if isinstance(source, weakref.WeakMethod) else source
            if read is None:  # its object is gone
                self._sources.pop(name, None)
                continue
            try:
                for key, value in read().items():
                    if math.isfinite(value):
                        self.gauge(f"{name}.{key}", value)
            except Exception:  # its object may be closed
                if name not in self._unreadable:  # reported once, not at every reading
                    self._unreadable.add(name)
                    _log.exception("%s: %r could not be read", name, read)
            else:
                self._unreadable.discard(name)
        return self._registry.all()

    def _watch_new(self, made: Instrument) -> None:
        for alert in self._alerts:
            self._attach(alert, made)

    def _attach(self, alert: Alert, made: Instrument) -> None:
        if alert.on_record and alert.concerns(made):
            made.watch(partial(alert.evaluate, [made]))
