"""What needs nothing to compare with, judged in every measuring mode: the marker's limits and the test's own claims."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_perfguard.core.errors import SeriesError
from pytest_perfguard.core.labels import Series, read_series
from pytest_perfguard.core.metric_names import metric_kind, of_points
from pytest_perfguard.core.model import Finding, Measurement, Samples, Verdict
from pytest_perfguard.core.parsers import KINDS, LIMIT_KEYWORDS
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.engine.verdict.speed_claim import judge_claims


def judge_limits(measurement: Measurement, settings: Settings, *, final: bool) -> list[Finding | None]:
    """A finding for each metric whose smallest value is above its limit; None where a further process may clear it.

    The minimum is judged, since interference only adds: where even the best call is too slow, every call is.
    """
    findings: list[Finding | None] = []
    points = of_points(measurement.samples, measurement.iterations)
    for limit in _limits(settings):
        held = {name: found for name, found in sorted(measurement.samples.items()) if limit.is_on(name, points)}
        findings += [_judge(limit, name, found, final=final) for name, found in held.items() if limit.exceeded(found)]
        if final and not held:
            reason = "this could not be taken of the test: see its notes"
            if limit.series:
                reason = f"the test recorded no timer {limit.series}, or too little for a 95th percentile"
            unit = KINDS[limit.kind].unit
            name = limit.keyword + f":{limit.series}" * bool(limit.series)
            findings.append(Finding(name, unit, Verdict.INCONCLUSIVE, 0.0, limit=limit.limit, reason=reason))
    return [*findings, *judge_claims(measurement, final=final)]


@dataclass(frozen=True)
class _Limit:
    keyword: str
    kind: str
    limit: float
    series: Series | None = None
    """Of a timer; None: of the measured calls themselves."""

    def is_on(self, name: str, points: set[str]) -> bool:
        """Is it a limit of this metric?"""
        if metric_kind(name) != self.kind:
            return False
        if self.series is None:
            return name in points
        try:
            return _series_in(name).matches(*self.series)
        except SeriesError:  # the label of a measurement point looks like nothing that a series has
            return False

    def exceeded(self, samples: Samples) -> bool:
        return _lowest(samples) > self.limit


def _limits(settings: Settings) -> Iterator[_Limit]:
    for kind, keyword in LIMIT_KEYWORDS.items():
        limit = getattr(settings, keyword)
        if limit is not None:
            yield _Limit(keyword, kind, limit)
    for text, limit in (settings.max_p95 or {}).items():
        yield _Limit("max_p95", "p95", limit, read_series(text))


def _judge(limit: _Limit, name: str, samples: Samples, *, final: bool) -> Finding | None:
    if not final and (samples.unit == "s" or len(samples.processes) < 2):
        return None
    return Finding(
        name=limit.keyword + name.removeprefix(limit.kind),
        unit=samples.unit,
        verdict=Verdict.OVER_LIMIT,
        candidate=_lowest(samples),
        limit=limit.limit,
        rounds=samples.rounds,
        reason="every call is above the limit given in the marker" if limit.series is None else "in every process",
    )


def _lowest(samples: Samples) -> float:
    return samples.minimum if samples.unit == "s" else min(samples.medians)


def _series_in(name: str) -> Series:
    """The timer's series in the name of a metric, behind the label of the measurement point."""
    text = name.partition(":")[2]
    head, brace, labels = text.partition("{")
    return read_series(head.rpartition("/")[2] + brace + labels)
