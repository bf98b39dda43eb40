"""One metric of one test on its two sides: what every judgement of it looks at, and the form of its outcome."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_perfguard.core.metric_names import metric_kind
from pytest_perfguard.core.model import Finding, Measurement, Record, Recorded, Verdict
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.core.stats.robust import ratio_interval


@dataclass(frozen=True)
class MetricComparison:
    """All that the judgement of one metric looks at."""

    name: str
    base: Recorded
    now: Recorded
    record: Record
    measurement: Measurement
    settings: Settings
    final: bool

    @classmethod
    def of(
        cls, name: str, record: Record, now: Recorded, measurement: Measurement, settings: Settings, *, final: bool
    ) -> MetricComparison:
        """Return the case of the metric of this name, which the record has and of which `now` was measured."""
        return cls(name, record.metrics[name], now, record, measurement, settings, final)

    @property
    def ratio(self) -> float:
        return self.now.minimum / self.base.minimum if self.base.minimum > 0 else float("inf")

    @property
    def wall(self) -> float:
        """Of CPU time: recorded seconds of wall time at the same measurement point; of all else its own."""
        if metric_kind(self.name) != "cpu":
            return self.base.minimum
        name = "time" + self.name.removeprefix(metric_kind(self.name))
        recorded = self.record.metrics.get(name)
        return recorded.minimum if recorded else self.base.minimum

    @property
    def busy(self) -> float:
        """Share of CPU time in what this metric counts."""
        return 1.0 if metric_kind(self.name) == "cpu" else min(1.0, self.measurement.busy)


def finding(
    case: MetricComparison,
    verdict: Verdict,
    limit: float,
    reason: str = "",
    smallest: float | None = None,
    *,
    interval: tuple[float, float] | None = None,
) -> Finding:
    if case.base.unit == "s":
        interval = ratio_interval(case.base.minima, case.now.minima)
    return Finding(
        name=case.name,
        unit=case.base.unit,
        verdict=verdict,
        candidate=case.now.estimate,
        baseline=case.base.estimate,
        interval=interval,
        limit=limit,
        rounds=case.now.rounds,
        reason=reason,
        smallest=smallest,
    )
