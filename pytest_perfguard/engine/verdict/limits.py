"""Judge absolute limits of the marker and speed claims of the test, which need no baseline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_perfguard.core.errors import SeriesError
from pytest_perfguard.core.labels import Series, read_series
from pytest_perfguard.core.metric_names import MetricName
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Finding, Measurement, Verdict
from pytest_perfguard.core.parsers import KINDS, LIMIT_KEYWORDS
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.engine.verdict.speed_claim import judge_claims


def judge_limits(measurement: Measurement, settings: Settings, *, final: bool) -> list[Finding | None]:
    """Return a finding for each metric whose smallest value is above its limit; None where another process may clear it.

    The minimum is judged, since interference only adds: where even the best call is too slow, every call is.
    """
    findings: list[Finding | None] = []
    names = {MetricName.parse(text, measurement.iterations): text for text in sorted(measurement.samples)}
    for limit in _limits(settings):
        limited = {name: measurement.samples[text] for name, text in names.items() if limit.applies_to(name)}
        findings += [
            _judge(limit, name, stats, final=final) for name, stats in limited.items() if limit.is_exceeded(stats)
        ]
        if final and not limited:
            findings.append(_not_taken(limit))
    return [*findings, *judge_claims(measurement, final=final)]


@dataclass(frozen=True)
class _Limit:
    keyword: str
    """Keyword of the marker."""
    kind: str
    """Kind of the metric that the limit is for."""
    amount: float
    series: Series | None = None
    """Series of a timer; None for a limit of the measured calls themselves."""

    def applies_to(self, name: MetricName) -> bool:
        """Return whether this is a limit of the metric."""
        if name.kind != self.kind:
            return False
        if self.series is None:
            return not name.series
        try:
            return bool(name.series) and read_series(name.series).matches(*self.series)
        except SeriesError:  # a label of a measurement point may be no valid series
            return False

    def is_exceeded(self, stats: MetricStats) -> bool:
        """Return whether even the lowest value is above the limit."""
        return _lowest(stats) > self.amount


def _limits(settings: Settings) -> Iterator[_Limit]:
    for kind, keyword in LIMIT_KEYWORDS.items():
        amount = getattr(settings, keyword)
        if amount is not None:
            yield _Limit(keyword, kind, amount)
    for text, amount in (settings.max_p95 or {}).items():
        yield _Limit("max_p95", "p95", amount, read_series(text))


def _judge(limit: _Limit, name: MetricName, stats: MetricStats, *, final: bool) -> Finding | None:
    if not final and (stats.unit == "s" or len(stats.minima) < 2):
        return None
    return Finding(
        name=str(name._replace(kind=limit.keyword)),
        unit=stats.unit,
        verdict=Verdict.OVER_LIMIT,
        candidate=_lowest(stats),
        limit=limit.amount,
        rounds=stats.rounds,
        reason="every call is above the limit given in the marker" if limit.series is None else "in every process",
    )


def _not_taken(limit: _Limit) -> Finding:
    """Return the finding on a limit whose metric the test does not have."""
    reason = "this metric could not be measured for the test: see its notes"
    if limit.series:
        reason = f"the test recorded no timer {limit.series}, or too few values for a 95th percentile"
    name = str(MetricName(limit.keyword, series=str(limit.series or "")))
    return Finding(name, KINDS[limit.kind].unit, Verdict.INCONCLUSIVE, 0.0, limit=limit.amount, reason=reason)


def _lowest(stats: MetricStats) -> float:
    return stats.minimum if stats.unit == "s" else min(stats.medians)
