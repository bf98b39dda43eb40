"""From leak checks to a verdict: a leak is what fresh processes agree on. Needs no baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from pytest_perfguard.judge.conclusion import worst
from pytest_perfguard.leaks.findings import Examination
from pytest_perfguard.metrics import metric_name
from pytest_perfguard.model import Comparison, Finding, Measurement, Verdict
from pytest_perfguard.settings import Settings

#: A suspect is checked in so many.
PROCESSES: Final = 2
#: What a finding on leaks is called begins with this.
LEAK: Final = "leak"


def judge_leaks(
    nodeid: str, found: Sequence[Mapping[str, Examination]], settings: Settings, measurement: Measurement
) -> Comparison | None:
    """The verdict on one test after these checks, each by measurement point; None: check it in another process.

    Clean after one clean check; leaking only if every process says so.
    """
    labels = [label for label in found[0] if all(label in checks for checks in found)]
    findings = [
        finding for label in labels for finding in _of_point(label, [checks[label] for checks in found], settings)
    ]
    suspect = any(finding.verdict in (Verdict.LEAK, Verdict.OVER_BUDGET) for finding in findings)
    if suspect and len(found) < PROCESSES:
        return None
    verdict = worst([finding.verdict for finding in findings if finding.verdict is not None])
    return Comparison(nodeid, verdict, tuple(findings), measurement)


def with_leaks(measured: Comparison, checked: Comparison) -> Comparison:
    """One test's comparison with what its leak check found."""
    if checked.broken:
        return replace(measured, broken=checked.broken)
    verdicts = [verdict for verdict in (measured.verdict, checked.verdict) if verdict is not None]
    seconds = measured.measurement.seconds + checked.measurement.seconds
    return replace(
        measured,
        verdict=worst(verdicts),
        findings=(*measured.findings, *checked.findings),
        measurement=replace(measured.measurement, seconds=seconds),
    )


def _of_point(label: str, checks: Sequence[Examination], settings: Settings) -> Iterator[Finding]:
    last = checks[-1]
    if last.unsettled:
        yield Finding(metric_name(LEAK, label), "B", Verdict.INCONCLUSIVE, 0.0, reason=f"leaks: {last.unsettled}")
        return
    if settings.leaks:
        yield from _leaks(label, checks)
    if settings.max_rss_growth is not None:
        over = min(check.rss for check in checks) > settings.max_rss_growth
        verdict, reason = (Verdict.OVER_BUDGET, f"the growth of the resident set {last.extent}") if over else (None, "")
        name = metric_name("max_rss_growth", label)
        yield Finding(name, "B", verdict, last.rss, limit=settings.max_rss_growth, reason=reason)


def _leaks(label: str, checks: Sequence[Examination]) -> Iterator[Finding]:
    leaks = {leak.kind: leak for check in checks for leak in check.leaks}
    last = checks[-1]
    for kind, leak in leaks.items():
        name = metric_name(f"{LEAK}.{kind}", label)
        if all(kind in {other.kind for other in check.leaks} for check in checks):
            details = (*leak.lines, f"in each of {len(checks)} fresh processes, {last.extent}")
            yield Finding(name, leak.unit, Verdict.LEAK, leak.per_call, details=details)
        else:
            reason = f"{leak}: seen in one of {len(checks)} processes only"
            yield Finding(name, leak.unit, Verdict.INCONCLUSIVE, leak.per_call, reason=reason)
    if not leaks:
        growth = max(0.0, last.growth.get("memory", 0.0))
        yield Finding(metric_name(f"{LEAK}.memory", label), "B", None, growth, reason=f"no leak {last.extent}")
