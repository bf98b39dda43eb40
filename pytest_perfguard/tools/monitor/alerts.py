"""Alerts: conditions with an action, which is taken once for each series until the series has recovered."""

from __future__ import annotations

import warnings
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from pytest_perfguard.core.labels import Series
from pytest_perfguard.core.shared_lock import SHARED_LOCK
from pytest_perfguard.tools.monitor.conditions import FIELDS, RATE, Condition, read_condition
from pytest_perfguard.tools.monitor.registry import Instrument

#: Maximum seconds over which a rate is computed.
RATE_WINDOW: Final = 60.0
#: Minimum seconds between two readings that are kept for a rate.
RATE_STEP: Final = 1.0


class PerformanceAlert(UserWarning):
    """The warning of an alert with the action "warn"."""


@dataclass(frozen=True)
class Breach:
    """A series for which an alert's condition holds."""

    series: str
    field: str
    value: float
    limit: float
    text: str
    """The breach in words."""

    def __str__(self) -> str:
        return self.text


Action = Literal["fail", "warn"] | Callable[[Breach], object]


class Alert:
    """One condition over all series that it concerns."""

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
        self._reported: set[Series] = set()
        self._lock = SHARED_LOCK

    def concerns(self, made: Instrument) -> bool:
        """Return whether the condition concerns this series."""
        return self.condition.field_of(made.series) is not None

    def begin(self, made: Instrument) -> None:
        """Note the current value of an existing series: a rate counts from here."""
        if made.kind != "gauge" and self.condition.field_of(made.series) == RATE:
            self._readings[made.series] = deque([(self._born, _level(made))])

    def reported(self, instruments: Iterable[Instrument]) -> list[str]:
        """Return the breaches since the last call of an alert that fails, and a line for a field that its series does not have."""
        with self._lock:
            failures, self._failures = self._failures, []
        return [*failures, *filter(None, map(self._mistake, instruments))]

    def _mistake(self, made: Instrument) -> str:
        """Return a line if the condition names a field that this series does not have."""
        name, _dot, last = self.condition.path.rpartition(".")
        field = self.condition.field_of(made.series) or (last if made.series.name == name else None)
        known = set(made.fields()) | {RATE}
        if field is None or field in known or (len(known) == 2 and "count" in known):  # nothing recorded yet
            return ""
        valid = ", ".join(name for name in FIELDS if name in known)
        return f'alert "{self.condition.text.strip()}": {made.series.name} is a {made.kind}, which has {valid}, and no {field}'

    def evaluate(self, instruments: Iterable[Instrument]) -> None:
        """Evaluate the condition for these series, and act on each new breach."""
        for made in instruments:
            with self._lock:
                breach = self._breach(made)
                is_reported = made.series in self._reported
                (self._reported.discard if breach is None else self._reported.add)(made.series)
            if breach is not None and not is_reported:
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
        """Return the change per second of a counter, a gauge or the number of records; None until a second has passed."""
        now, level = self._clock(), _level(made)
        # A count began at 0 when the alert was made; a gauge begins at its first value.
        first = (now, level) if made.kind == "gauge" else (self._born, 0.0)
        readings = self._readings.setdefault(made.series, deque([first]))
        while len(readings) > 1 and readings[1][0] <= now - RATE_WINDOW:
            readings.popleft()
        at, before = readings[0]
        if now - readings[-1][0] >= RATE_STEP:
            readings.append((now, level))
        return (level - before) / (now - at) if now - at >= RATE_STEP else None

    def begin_anew(self) -> None:
        """Reset in a forked child, where another thread may have held the lock."""
        self._lock = SHARED_LOCK

    def _act(self, breach: Breach) -> None:
        if self.action == "fail":
            self._failures.append(breach.text)
        elif self.action == "warn":
            warnings.warn(PerformanceAlert(breach.text), stacklevel=2)
        elif callable(self.action):
            self.action(breach)


def _level(made: Instrument) -> float:
    """Return the value, or the number of records."""
    fields = made.fields()
    return fields.get("value", fields.get("count", 0.0))
