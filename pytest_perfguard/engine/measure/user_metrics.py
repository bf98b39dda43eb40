"""What a test records itself while it is measured: its timers and histograms, read around every timed round."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from pytest_perfguard.core.stats.quantiles import quantile

#: What stands for the tail of a distribution.
TAIL_QUANTILE: Final = 0.95
#: Values of which the largest twentieth is at least one.
MIN_TAIL_VALUES: Final = 20


class Distribution(Protocol):
    """A timer or a histogram."""

    @property
    def series(self) -> object: ...

    @property
    def kind(self) -> str: ...

    @property
    def totals(self) -> tuple[int, float]: ...

    def last(self, number: int) -> list[float]: ...


class UserMetrics:
    """Reads the distributions of one measurement point. Names are those of metrics: `time:db.query`, `p95:db.query`."""

    def __init__(
        self, distributions: Callable[[], Iterable[Distribution]], forget: Callable[[], object] = lambda: None
    ) -> None:
        self._distributions = distributions
        self.forget = forget
        """Lets go of what recording keeps, which is not the test's own memory."""
        self._at_start = self._counts()
        self._before: Mapping[str, float] = {}
        self._readings: dict[str, list[float]] = {}
        self._rounds = 0

    def start_round(self) -> None:
        """Right before a timed round."""
        self._before = self._sums()

    def end_round(self) -> None:
        """Right after it."""
        after = self._sums()
        for name, total in after.items():
            readings = self._readings.setdefault(name, [0.0] * self._rounds)
            readings.append(total - self._before.get(name, 0.0))
        self._rounds += 1

    def drain(self) -> dict[str, list[float]]:
        """What was recorded in each of the rounds since the last time: totals of a round."""
        readings, self._readings, self._rounds = self._readings, {}, 0
        return readings

    def read_tails(self) -> None:
        """Read the 95th percentile of what was recorded since the point began, as far back as it is kept."""
        for found in self._distributions():
            values = found.last(found.totals[0] - self._at_start.get(str(found.series), 0))
            if len(values) >= MIN_TAIL_VALUES:
                kind = "p95" if found.kind == "timer" else "value-p95"
                self._readings[f"{kind}:{found.series}"] = [quantile(sorted(values), TAIL_QUANTILE)]

    def _counts(self) -> dict[str, int]:
        return {str(found.series): found.totals[0] for found in self._distributions()}

    def _sums(self) -> dict[str, float]:
        kinds = {"timer": "time"}
        return {f"{kinds.get(found.kind, 'value')}:{found.series}": found.totals[1] for found in self._distributions()}
