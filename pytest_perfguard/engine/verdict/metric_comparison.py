"""One metric of one test on both sides: the input of every judgement of a single metric, and its finding."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_perfguard.core.metric_names import metric_kind, same_place
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Finding, Measurement, Record, Verdict
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.core.stats.robust import ratio_interval


@dataclass(frozen=True)
class MetricComparison:
    """Both sides of one metric with their context."""

    name: str
    record: Record
    """The baseline, which contains the metric."""
    now: MetricStats
    measurement: Measurement
    """The measurement that contains `now`."""
    settings: Settings
    final: bool
    """There will be no other process."""

    @property
    def base(self) -> MetricStats:
        """Statistics of the baseline."""
        return self.record.metrics[self.name]

    @property
    def wall(self) -> float:
        """Recorded wall time at the measurement point of a CPU time, in seconds; the baseline of any other metric."""
        recorded = self.record.metrics.get(same_place(self.name, "time")) if metric_kind(self.name) == "cpu" else None
        return recorded.minimum if recorded else self.base.minimum

    @property
    def busy(self) -> float:
        """Share of CPU time in this metric."""
        return 1.0 if metric_kind(self.name) == "cpu" else min(1.0, self.measurement.busy)

    def finding(
        self,
        verdict: Verdict,
        limit: float,
        reason: str = "",
        smallest: float | None = None,
        *,
        interval: tuple[float, float] | None = None,
    ) -> Finding:
        """Return the finding of this metric; times get the interval of their minima."""
        if self.base.unit == "s":
            interval = ratio_interval(self.base.minima, self.now.minima)
        return Finding(
            name=self.name,
            unit=self.base.unit,
            verdict=verdict,
            candidate=self.now.estimate,
            baseline=self.base.estimate,
            interval=interval,
            limit=limit,
            rounds=self.now.rounds,
            reason=reason,
            smallest=smallest,
        )
