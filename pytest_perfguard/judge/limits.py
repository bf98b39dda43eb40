"""Absolute budgets: `max_time`, `max_memory` and `max_allocations` of the marker, judged in every measuring mode."""

from __future__ import annotations

from pytest_perfguard.model import Finding, Measurement, Verdict, metric_kind
from pytest_perfguard.settings import Settings
from pytest_perfguard.values import BUDGETS, METRICS


def over_budget(measurement: Measurement, settings: Settings, *, final: bool) -> list[Finding | None]:
    """A finding for each metric whose smallest value is above its budget; None where a further process may clear it.

    The minimum is judged, since interference only adds: where even the best call is too slow, every call is.
    """
    limits: dict[str, float | None] = {metric: getattr(settings, keyword) for metric, keyword in BUDGETS.items()}
    findings: list[Finding | None] = []
    for name, samples in sorted(measurement.samples.items()):
        kind = metric_kind(name)
        limit = limits.get(kind)
        lowest = samples.minimum if samples.unit == "s" else min(samples.medians)
        if limit is None or lowest <= limit:
            continue
        decided = final or (samples.unit != "s" and len(samples.processes) > 1)
        finding = Finding(
            name=BUDGETS[kind] + name.removeprefix(kind),
            unit=samples.unit,
            verdict=Verdict.OVER_BUDGET,
            candidate=lowest,
            limit=limit,
            rounds=samples.rounds,
            reason="every call is above the budget given in the marker",
        )
        findings.append(finding if decided else None)
    for kind, limit in limits.items():
        taken = any(metric_kind(name) == kind for name in measurement.samples)
        if final and limit is not None and not taken:
            reason = "this could not be taken of the test: see its notes"
            unit = METRICS[kind]
            findings.append(Finding(BUDGETS[kind], unit, Verdict.INCONCLUSIVE, 0.0, limit=limit, reason=reason))
    return findings
