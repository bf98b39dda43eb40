"""What a monitor records and how it is read: series, alerts on them, summaries, exports, merging."""

from __future__ import annotations

import logging
import math
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from types import MethodType
from typing import Any

from pytest_perfguard.core.errors import AlertError
from pytest_perfguard.core.labels import Label, read_series
from pytest_perfguard.tools.monitor.alerts import Action, Alert
from pytest_perfguard.tools.monitor.exposition import Format, exported
from pytest_perfguard.tools.monitor.histogram import Histogram
from pytest_perfguard.tools.monitor.instruments import Counter, Gauge
from pytest_perfguard.tools.monitor.registry import Instrument, Registry, TimerSeries
from pytest_perfguard.tools.monitor.summary import Summary
from pytest_perfguard.tools.monitor.timers import Timer

#: A source of numbers that is asked when they are wanted: a pool's or a cache's statistics.
Source = Callable[[], Mapping[str, float]]


_log = logging.getLogger("perfguard")


class Recorder:
    """The recording part of `PerformanceMonitor`, which see."""

    def __init__(self, *, window: int, max_series: int, clock: Callable[[], float]) -> None:
        if window < 1:
            raise ValueError(f"window is {window!r}: a histogram keeps at least one value")
        self._clock = clock
        self._registry = Registry(window=window, most=max_series, clock=clock)
        self._registry.on_new = self._watch_new
        # By what the caller wrote, so that a record costs one look-up: the same labels in another order come twice.
        self._counters: dict[object, Counter] = {}
        self._sets: dict[object, Callable[[float], None]] = {}
        self._records: dict[object, Callable[[float], None]] = {}
        self._timings: dict[object, TimerSeries] = {}
        self._alerts: list[Alert] = []
        self.alerting = True
        """False: alerts are checked for mistakes and then forgotten, as in a measuring process."""
        self._sources: dict[str, Source | weakref.WeakMethod[Source]] = {}

    def timer(self, name: str, /, **labels: Label) -> Timer:
        """`with monitor.timer("db.query", table="users"):`, or `@monitor.timer("db.query")` on a function."""
        key = (name, *labels.items()) if labels else name
        try:
            return Timer(self._timings[key])
        except KeyError:
            self._timings[key] = self._registry.get(TimerSeries, name, labels)
            return Timer(self._timings[key])

    def start_timer(self, name: str, /, **labels: Label) -> Timer:
        """A timer that runs already; its `stop()` returns the seconds. For code that cannot nest."""
        return self.timer(name, **labels).start()

    def count(self, name: str, n: float = 1, /, **labels: Label) -> None:
        """Count `n` more; a counter only grows."""
        key = (name, *labels.items()) if labels else name
        try:
            counter = self._counters[key]
        except KeyError:
            counter = self._counters[key] = self._registry.get(Counter, name, labels)
        if n != 1:
            n = counter.checked(n)
        pending = counter.pending
        pending.append(n)  # in place, since a call would take as long as the rest
        if len(pending) > counter.room:
            counter.flush()

    def gauge(self, name: str, value: float, /, **labels: Label) -> None:
        """It is `value` now."""
        key = (name, *labels.items()) if labels else name
        try:
            put = self._sets[key]
        except KeyError:
            put = self._sets[key] = self._registry.get(Gauge, name, labels).set
        put(value)

    def observe(self, name: str, value: float, /, **labels: Label) -> None:
        """One more value of a distribution, in any unit."""
        key = (name, *labels.items()) if labels else name
        try:
            record = self._records[key]
        except KeyError:
            record = self._records[key] = self._registry.get(Histogram, name, labels).record
        record(value)

    def watch(self, name: str, source: Source, /) -> None:
        """Ask `source()` for a mapping of numbers whenever they are wanted, as gauges `name.KEY`.

        Such as `monitor.watch("db.pool", pool.statistics)`. A bound method's object is not kept alive.
        """
        self._sources[name] = weakref.WeakMethod(source) if isinstance(source, MethodType) else source

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
        for known in self._alerts:
            if (known.condition.text, known.action, known.on_record) == (expression, action, on_record):
                return known  # asked for in a loop
        alert = Alert(expression, action, on_record=on_record, clock=self._clock)
        if self.alerting:
            self._alerts.append(alert)
            for made in self._registry.all():
                alert.begin(made)
                self._attach(alert, made)
        return alert

    def check(self) -> None:
        """Look at every alert.

        Raises
        ------
        AlertError
            an AssertionError with a line for every breach of an alert with the action "fail", now or at a record.
        """
        if breaches := self.breaches():
            raise AlertError(breaches.splitlines())

    def breaches(self) -> str:
        """`check` without raising: its lines, "" where there are none."""
        instruments = self._pulled() if self._alerts else []
        for alert in self._alerts:
            alert.evaluate(instruments)
        return "\n".join(line for alert in self._alerts for line in alert.told(instruments))

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

    def merge(self, other: Recorder | Mapping[str, Any]) -> None:
        """Add what another monitor, or the `state()` of one in another process, has recorded.

        Counters add up, of gauges the later value stays, and histograms hold the values of both.
        """
        for text, state in (other.state() if isinstance(other, Recorder) else other).items():
            self._registry.absorb(read_series(text), state)

    def forget(self) -> None:
        """Let go of the single values, which quantiles are made of; counts and sums stay."""
        for made in self._registry.all():
            if not isinstance(made, Gauge):
                made.forget()

    def histograms(self) -> list[Histogram]:
        """The timers' and other histograms, which a measuring process judges as metrics of their own."""
        return [made for made in self._registry.all() if isinstance(made, Histogram)]

    def _pulled(self) -> list[Instrument]:
        """Every series, with what the sources say now."""
        for name, source in list(self._sources.items()):
            ask = source() if isinstance(source, weakref.WeakMethod) else source
            if ask is None:  # its object is gone
                del self._sources[name]
                continue
            try:
                for key, value in ask().items():
                    if math.isfinite(value):
                        self.gauge(f"{name}.{key}", value)
            except Exception:  # what it belongs to may be closed
                _log.exception("%s: %r could not be asked", name, ask)
        return self._registry.all()

    def _watch_new(self, made: Instrument) -> None:
        for alert in self._alerts:
            self._attach(alert, made)

    def _attach(self, alert: Alert, made: Instrument) -> None:
        if alert.on_record and alert.about(made):
            made.watch(partial(alert.evaluate, [made]))
