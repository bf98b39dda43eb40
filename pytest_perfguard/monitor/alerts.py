"""Alerts: conditions with what to do when they hold, told once for each series until it has recovered."""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from pytest_perfguard.monitor.conditions import RATE, Condition, read_condition
from pytest_perfguard.monitor.registry import Instrument
from pytest_perfguard.series import Series

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
        self.failures: list[str] = []
        """What is to be told at the end: with the action "fail", every breach there was."""
        self._clock = clock
        self._born = clock()
        self._readings: dict[Series, deque[tuple[float, float]]] = {}
        self._told: set[Series] = set()
        self._lock = threading.RLock()

    def about(self, made: Instrument) -> bool:
        """Is it about this series?"""
        return self.condition.field_of(made.series) is not None

    def evaluate(self, instruments: Iterable[Instrument]) -> None:
        """Look at these series, and act on each that has come to be what the alert watches for."""
        for made in instruments:
            breach = self._breach(made)
            with self._lock:
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
        """Change per second, of a counter, a gauge or the number of records; None until there are two moments."""
        now = self._clock()
        fields = made.fields()
        level = fields.get("value", fields.get("count", 0.0))
        with self._lock:
            # What is counted began at nothing when the alert was made; a gauge begins where it was first seen.
            first = (now, level) if made.kind == "gauge" else (self._born, 0.0)
            readings = self._readings.setdefault(made.series, deque([first]))
            while len(readings) > 1 and readings[1][0] <= now - RATE_WINDOW:
                readings.popleft()
            at, before = readings[0]
            if now - readings[-1][0] >= RATE_STEP:
                readings.append((now, level))
        return (level - before) / (now - at) if now > at else None

    def _act(self, breach: Breach) -> None:
        if self.action == "fail":
            self.failures.append(breach.text)
        elif self.action == "warn":
            warnings.warn(PerformanceAlert(breach.text), stacklevel=2)
        elif callable(self.action):
            self.action(breach)
