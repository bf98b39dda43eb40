"""All series of a monitor. Each is made once; its name and labels are checked then."""

from __future__ import annotations

import itertools
import math
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple, TypeVar

from pytest_perfguard.core.errors import SeriesError
from pytest_perfguard.core.labels import Series, exposed_name, series_of
from pytest_perfguard.core.shared_lock import SHARED_LOCK
from pytest_perfguard.tools.monitor.histogram import Histogram
from pytest_perfguard.tools.monitor.instruments import Counter, Gauge

#: Series of one monitor. A label with a value per user or per request would exhaust the memory.
MAX_SERIES: Final = 1000

Instrument = Counter | Gauge | Histogram
_I = TypeVar("_I", bound="Counter | Gauge | Histogram")


class TimerSeries(Histogram):
    """Durations in seconds, recorded by timers that read this clock."""

    kind = "timer"

    def __init__(
        self, series: Series, window: int, clock: Callable[[], float], buckets: tuple[float, ...] = ()
    ) -> None:
        super().__init__(series, window, buckets)
        self.clock = clock


class Description(NamedTuple):
    """The help text and the buckets of the series of one name."""

    help: str = ""
    buckets: tuple[float, ...] = ()


class Registry:
    """The series by name and labels. Safe to use from several threads."""

    def __init__(self, *, window: int, max_series: int, clock: Callable[[], float]) -> None:
        self._lock = SHARED_LOCK
        self._max_series = max_series
        self._made: dict[Series, Instrument] = {}
        self._kinds: dict[str, str] = {}
        self._exposed: dict[str, str] = {}
        self._descriptions: dict[str, Description] = {}
        self._makers: Mapping[type[Instrument], Callable[[Series], Instrument]] = {
            Counter: Counter,
            Gauge: lambda series: Gauge(series, time.time),
            Histogram: lambda series: Histogram(series, window, self.description(series.name).buckets),
            TimerSeries: lambda series: TimerSeries(series, window, clock, self.description(series.name).buckets),
        }
        self.on_new: Callable[[Instrument], None] | None = None
        """Called with every new instrument, without a lock."""

    def get(self, kind: type[_I], name: str, labels: Mapping[str, object]) -> _I:
        """Return the instrument of this kind, name and labels, made if necessary.

        Raises
        ------
        SeriesError
            if the name is invalid or belongs to another kind, or if there are too many series.
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
        """Return all instruments, sorted by their series."""
        with self._lock:
            return sorted(self._made.values(), key=lambda made: made.series)

    def describe(self, name: str, help_text: str, buckets: Iterable[float]) -> None:
        """Set the help text of a name, and the buckets of its histograms and timers.

        Raises
        ------
        SeriesError
            if the name is invalid, or a series of it was recorded without these buckets.
        ValueError
            if the bounds do not grow.
        """
        bounds = tuple(float(bound) for bound in buckets if bound != math.inf) or self.description(name).buckets
        if any(map(math.isnan, bounds)) or any(not low < high for low, high in itertools.pairwise(bounds)):
            raise ValueError(f"the buckets of {name} are {bounds!r}: give upper bounds that grow")
        series_of(name, {})
        with self._lock:
            if name in self._kinds and self.description(name).buckets != bounds:
                raise SeriesError(f"{name} was recorded before: give its buckets first")
            self._descriptions[name] = Description(help_text, bounds)

    def description(self, name: str) -> Description:
        """Return the help text and the buckets of a name."""
        return self._descriptions.get(name, Description())

    def remove(self, name: str, labels: Mapping[str, object]) -> int:
        """Remove the series of a name that have these labels, and return their number."""
        wanted = series_of(name, labels)
        with self._lock:
            # Of a copy: in the middle of the loop a finalizer may record or remove a series.
            gone = [series for series in list(self._made) if series.matches(wanted.name, wanted.labels)]
            number = sum(self._made.pop(series, None) is not None for series in gone)
            if not any(series.name == name for series in list(self._made)):
                self._forget_name(name)
            return number

    def clear(self) -> None:
        """Remove all series."""
        with self._lock:
            self._made.clear()
            self._kinds.clear()
            self._exposed.clear()

    def merge(self, series: Series, state: Mapping[str, Any]) -> None:
        """Add the records of a series in another process."""
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
        found.merge(state)

    def state(self) -> dict[str, Any]:
        """Return all series as plain data."""
        return {str(made.series): {"kind": made.kind, **made.state()} for made in self.all()}

    def begin_anew(self) -> None:
        """Reset all locks in a forked child. What was recorded stays."""
        self._lock = SHARED_LOCK
        for made in list(self._made.values()):
            made.begin_anew()

    def _make(self, kind: type[Any], series: Series) -> Instrument:
        name = series.name
        exposed = exposed_name(name, kind.kind)
        known_kind, known_name = self._kinds.get(name, kind.kind), self._exposed.get(exposed, name)
        if known_kind != kind.kind:
            raise SeriesError(f"{name} is a {known_kind}, and cannot be a {kind.kind} as well")
        if known_name != name:
            raise SeriesError(f"{name} and {known_name} would be one name for Prometheus, {exposed}; rename one")
        if len(self._made) >= self._max_series:
            raise SeriesError(self._too_many())
        # A refused series leaves nothing behind: names are noted once all is checked.
        self._kinds[name], self._exposed[exposed] = kind.kind, name
        return self._made.setdefault(series, self._makers[kind](series))

    def _forget_name(self, name: str) -> None:
        kind = self._kinds.pop(name, None)
        if kind is not None:
            self._exposed.pop(exposed_name(name, kind), None)

    def _too_many(self) -> str:
        made = list(self._made)
        name, count = Tally(series.name for series in made).most_common(1)[0]
        values: dict[str, set[str]] = {}
        for series in made:
            for label, value in series.labels if series.name == name else ():
                values.setdefault(label, set()).add(value)
        label = max(values, key=lambda label: len(values[label]), default="")
        why = f", whose label {label} has {len(values[label])} values" if label else ""
        return (
            f"there are {len(made)} series already, {count} of them of {name}{why}; labels are for a few values "
            "each. Use fewer, or allow more: PerformanceMonitor(max_series=...)"
        )
