"""The metrics that a test records itself: its timers and histograms, read around every timed round."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from pytest_perfguard.core.stats.quantiles import quantile

#: The quantile that stands for the tail of a distribution.
TAIL_QUANTILE: Final = 0.95
#: Minimum number of values: the tail holds at least one of them.
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
    """Reads the distributions of one measurement point, under the names of metrics: `time:db.query`, `p95:db.query`."""

    def __init__(
        self, distributions: Callable[[], Iterable[Distribution]], forget: Callable[[], object] = lambda: None
    ) -> None:
        self._distributions = distributions
        self.forget = forget
        """Releases the memory that recording keeps, which is not the test's own."""
        self._at_start = self._counts()
        self._before: Mapping[str, float] = {}
        self._readings: dict[str, list[float]] = {}
        self._rounds = 0

    def start_round(self) -> None:
        """Read the sums right before a timed round."""
        self._before = self._sums()

    def end_round(self) -> None:
        """Read the sums right after a timed round."""
        after = self._sums()
        for name, total in after.items():
            readings = self._readings.setdefault(name, [0.0] * self._rounds)
            readings.append(total - self._before.get(name, 0.0))
        self._rounds += 1

    def drain(self) -> dict[str, list[float]]:
        """Return the totals of each round since the last call of this method."""
        readings, self._readings, self._rounds = self._readings, {}, 0
        return readings

    def read_tails(self) -> None:
        """Read the 95th percentile of the values recorded since the start of the point, as far as they are kept."""
        for distribution in self._distributions():
            values = distribution.last(distribution.totals[0] - self._at_start.get(str(distribution.series), 0))
            if len(values) >= MIN_TAIL_VALUES:
                kind = "p95" if distribution.kind == "timer" else "value-p95"
                self._readings[f"{kind}:{distribution.series}"] = [quantile(sorted(values), TAIL_QUANTILE)]

    def _counts(self) -> dict[str, int]:
        return {str(distribution.series): distribution.totals[0] for distribution in self._distributions()}

    def _sums(self) -> dict[str, float]:
        kinds = {"timer": "time"}
        return {
            f"{kinds.get(distribution.kind, 'value')}:{distribution.series}": distribution.totals[1]
            for distribution in self._distributions()
        }
