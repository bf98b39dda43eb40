"""Alerts: conditions with what to do when they hold, told once for each series until it has recovered."""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from pytest_perfguard.core.labels import Series
from pytest_perfguard.tools.monitor.conditions import FIELDS, RATE, Condition, read_condition
from pytest_perfguard.tools.monitor.registry import Instrument

#: A rate is told over so many seconds at most.
RATE_WINDOW: Final = 60.0
#: Readings that are kept for a rate, so far apart at least.
RATE_STEP: Final = 1.0


class PerformanceAlert(UserWarning):
    """What an alert with the action "warn" says."""


@dataclass(frozen=True)
class Breach:
    """A series for which an alert's condition holds."""

    series: str
    field: str
    value: float
    limit: float
    text: str
    """All of it in words."""

    def __str__(self) -> str:
        return self.text


Action = Literal["fail", "warn"] | Callable[[Breach], object]


class Alert:
    """One condition over all the series that it is about."""

    def __init__(self, expression: str, action: Action, *, on_record: bool, clock: Callable[[], float]) -> None:
        if action not in ("fail", "warn") and not callable(action):
            raise ValueError(f'action is {action!r}, expected "fail", "warn" or a function')
        self.condition: Condition = read_condition(expression)
        self.action = action
        self.on_record = on_record
        self._failures: list[str] = []
        self._clock = clock
        self._born = clock()
        self._readings: dict[Series, deque[tuple[float, float]]] = {}
        self._told: set[Series] = set()
        self._lock = threading.RLock()

    def about(self, made: Instrument) -> bool:
        """Is it about this series?"""
        return self.condition.field_of(made.series) is not None

    def begin(self, made: Instrument) -> None:
        """Take note of what a series that is there already has come to: a rate counts from here."""
        if made.kind != "gauge" and self.condition.field_of(made.series) == RATE:
            self._readings[made.series] = deque([(self._born, _level(made))])

    def told(self, instruments: Iterable[Instrument]) -> list[str]:
        """Every breach since the last time, with the action "fail"; and why it can watch for nothing, if that is so."""
        with self._lock:
            failures, self._failures = self._failures, []
        return [*failures, *filter(None, map(self._mistake, instruments))]

    def _mistake(self, made: Instrument) -> str:
        """Is the series meant, and a field of it that it has not?"""
        name, _dot, last = self.condition.path.rpartition(".")
        field = self.condition.field_of(made.series) or (last if made.series.name == name else None)
        known = set(made.fields()) | {RATE}
        if field is None or field in known or (len(known) == 2 and "count" in known):  # nothing recorded yet
            return ""
        valid = ", ".join(name for name in FIELDS if name in known)
        return f'alert "{self.condition.text.strip()}": {made.series.name} is a {made.kind}, which has {valid}, and no {field}'

    def evaluate(self, instruments: Iterable[Instrument]) -> None:
        """Look at these series, and act on each that has come to be what the alert watches for."""
        for made in instruments:
            with self._lock:
                breach = self._breach(made)
                told = made.series in self._told
                (self._told.discard if breach is None else self._told.add)(made.series)
            if breach is not None and not told:
                self._act(breach)

    def _breach(self, made: Instrument) -> Breach | None:
        field = self.condition.field_of(made.series)
        if field is None:
            return None
        value = self._rate(made) if field == RATE else made.fields().get(field)
        if value is None or not self.condition.holds(value):
            return None
        text = self.condition.describe(made.series, field, value)
        return Breach(str(made.series), field, value, self.condition.limit, text)

    def _rate(self, made: Instrument) -> float | None:
        """Change per second, of a counter, a gauge or the number of records; None until a second has passed."""
        now, level = self._clock(), _level(made)
        # What is counted began at nothing when the alert was made; a gauge begins where it was first seen.
        first = (now, level) if made.kind == "gauge" else (self._born, 0.0)
        readings = self._readings.setdefault(made.series, deque([first]))
        while len(readings) > 1 and readings[1][0] <= now - RATE_WINDOW:
            readings.popleft()
        at, before = readings[0]
        if now - readings[-1][0] >= RATE_STEP:
            readings.append((now, level))
        return (level - before) / (now - at) if now - at >= RATE_STEP else None

    def _act(self, breach: Breach) -> None:
        if self.action == "fail":
            self._failures.append(breach.text)
        elif self.action == "warn":
            warnings.warn(PerformanceAlert(breach.text), stacklevel=2)
        elif callable(self.action):
            self.action(breach)


def _level(made: Instrument) -> float:
    """The value, or how many records there were."""
    fields = made.fields()
    return fields.get("value", fields.get("count", 0.0))
