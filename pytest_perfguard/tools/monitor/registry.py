"""All series of a monitor: each made once, its name and labels checked then, and found by what a caller wrote."""

from __future__ import annotations

import threading
import time
from collections import Counter as Tally
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from pytest_perfguard.core.errors import SeriesError
from pytest_perfguard.core.labels import Series, exposed_name, series_of
from pytest_perfguard.tools.monitor.histogram import Histogram
from pytest_perfguard.tools.monitor.instruments import Counter, Gauge

#: Series of one monitor. A label with a value per user or per request would fill the memory.
MOST_SERIES: Final = 1000

Instrument = Counter | Gauge | Histogram
_I = TypeVar("_I", bound="Counter | Gauge | Histogram")


class TimerSeries(Histogram):
    """Durations in seconds, recorded by timers that read this clock."""

    kind = "timer"

    def __init__(self, series: Series, window: int, clock: Callable[[], float]) -> None:
        super().__init__(series, window)
        self.clock = clock


class Registry:
    """The series by their identity. Safe to use from several threads."""

    def __init__(self, *, window: int, most: int, clock: Callable[[], float]) -> None:
        self._lock = threading.Lock()
        self._most = most
        self._made: dict[Series, Instrument] = {}
        self._kinds: dict[str, str] = {}
        self._exposed: dict[str, str] = {}
        self._makers: Mapping[type[Instrument], Callable[[Series], Instrument]] = {
            Counter: Counter,
            Gauge: lambda series: Gauge(series, time.time),
            Histogram: lambda series: Histogram(series, window),
            TimerSeries: lambda series: TimerSeries(series, window, clock),
        }
        self.on_new: Callable[[Instrument], None] | None = None
        """Called with every new one, under no lock."""

    def get(self, kind: type[_I], name: str, labels: Mapping[str, object]) -> _I:
        """The series of this kind, name and labels; made where there is none.

        Raises
        ------
        SeriesError
            where the name is one of another kind, cannot be one, or there are too many.
        """
        series = series_of(name, labels)
        with self._lock:
            known = self._made.get(series)
            made = known if known is not None else self._make(kind, series)
        if not isinstance(made, kind) or type(made) is not kind:
            raise SeriesError(f"{name} is a {made.kind}, and cannot be a {kind.kind} as well")
        if known is None and self.on_new is not None:
            self.on_new(made)
        return made

    def all(self) -> list[Instrument]:
        """Every series, sorted."""
        with self._lock:
            return [self._made[series] for series in sorted(self._made)]

    def absorb(self, series: Series, state: Mapping[str, Any]) -> None:
        """Add what a series of this identity has recorded in another process."""
        labels = dict(series.labels)
        found: Instrument
        match state["kind"]:
            case Counter.kind:
                found = self.get(Counter, series.name, labels)
            case Gauge.kind:
                found = self.get(Gauge, series.name, labels)
            case TimerSeries.kind:
                found = self.get(TimerSeries, series.name, labels)
            case _:
                found = self.get(Histogram, series.name, labels)
        found.absorb(state)

    def state(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {str(made.series): {"kind": made.kind, **made.state()} for made in self.all()}

    def _make(self, kind: type[Any], series: Series) -> Instrument:
        name = series.name
        if self._kinds.setdefault(name, kind.kind) != kind.kind:
            raise SeriesError(f"{name} is a {self._kinds[name]}, and cannot be a {kind.kind} as well")
        other = self._exposed.setdefault(exposed_name(name, kind.kind), name)
        if other != name:
            raise SeriesError(
                f"{name} and {other} would be one name for Prometheus, {exposed_name(name, kind.kind)}; rename one"
            )
        if len(self._made) >= self._most:
            raise SeriesError(self._too_many())
        made = self._made[series] = self._makers[kind](series)
        return made

    def _too_many(self) -> str:
        name, count = Tally(series.name for series in self._made).most_common(1)[0]
        values: dict[str, set[str]] = {}
        for series in self._made:
            for label, value in series.labels if series.name == name else ():
                values.setdefault(label, set()).add(value)
        label = max(values, key=lambda label: len(values[label]), default="")
        why = f", whose label {label} has {len(values[label])} values" if label else ""
        return (
            f"there are {len(self._made)} series already, {count} of them of {name}{why}; labels are for a few values "
            f"each. Give less, or allow more: PerformanceMonitor(max_series=...)"
        )
