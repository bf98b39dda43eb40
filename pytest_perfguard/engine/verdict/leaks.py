"""From leak checks to a verdict: a leak is what fresh processes agree on. Needs no baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from pytest_perfguard.core.metric_names import metric_name
from pytest_perfguard.core.model import Comparison, Finding, Measurement, Verdict
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.engine.leaks.findings import Examination, Leak
from pytest_perfguard.engine.verdict.combine import worst

#: A suspect is checked in so many.
PROCESSES: Final = 2
#: What a finding on leaks is called begins with this.
LEAK: Final = "leak"


def judge_leaks(
    nodeid: str, found: Sequence[Mapping[str, Examination]], settings: Settings, measurement: Measurement
) -> Comparison | None:
    """The verdict on one test after these checks, each by measurement point; None: check it in another process.

    Clean after one clean check; leaking only if every process says so. The first check makes its calls in one set-up, the
    second in several: what a teardown frees is no leak.
    """
    labels = [label for label in found[0] if all(label in checks for checks in found)]
    findings = [
        finding for label in labels for finding in _of_point(label, [checks[label] for checks in found], settings)
    ]
    suspect = any(finding.verdict in (Verdict.LEAK, Verdict.OVER_LIMIT) for finding in findings)
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
    if last.unsettled and (settings.leaks or not last.calls):
        yield Finding(metric_name(LEAK, label), "B", Verdict.INCONCLUSIVE, 0.0, reason=f"leaks: {last.unsettled}")
    elif settings.leaks:
        yield from _leaks(label, checks)
    if not last.calls:
        return
    if settings.max_rss_growth is not None:
        over = min(check.rss for check in checks) > settings.max_rss_growth
        verdict, reason = (Verdict.OVER_LIMIT, f"the growth of the resident set {last.extent}") if over else (None, "")
        name = metric_name("max_rss_growth", label)
        yield Finding(name, "B", verdict, last.rss, limit=settings.max_rss_growth, reason=reason)


def _leaks(label: str, checks: Sequence[Examination]) -> Iterator[Finding]:
    leaks: dict[str, Leak] = {}
    for leak in (leak for check in checks for leak in check.leaks):
        leaks.setdefault(leak.kind, leak)  # the first check is the one that explains
    findings = [finding for leak in leaks.values() if (finding := _of_kind(label, leak, checks)) is not None]
    yield from findings
    if not findings:
        last = checks[-1]
        freed = f"; its teardown frees {' and '.join(map(str, leaks.values()))}" if leaks else ""
        growth = max(0.0, last.growth.get("memory", 0.0))
        yield Finding(metric_name(f"{LEAK}.memory", label), "B", None, growth, reason=f"no leak {last.extent}{freed}")


def _of_kind(label: str, leak: Leak, checks: Sequence[Examination]) -> Finding | None:
    """What is to be said of one kind that grew in one set-up; None: its teardown frees it, and nothing speaks against that."""
    name, last = metric_name(f"{LEAK}.{leak.kind}", label), checks[-1]
    keepers = {fixture: scope for check in checks for fixture, scope in check.keepers.items()}
    if leak.kind in last.released:
        fixtures = [fixture for fixture in keepers if fixture]
        if not fixtures:
            return None
    elif any(leak.kind not in {other.kind for other in check.leaks} for check in checks):
        reason = f"{leak}: seen in one of {len(checks)} processes only"
        return Finding(name, leak.unit, Verdict.INCONCLUSIVE, leak.per_call, reason=reason)
    else:
        fixtures = _shared(keepers)
    if fixtures:
        reason = f"leaks cannot be checked: the fixture {' and '.join(fixtures)} keeps {leak} until its teardown"
        return Finding(name, leak.unit, Verdict.INCONCLUSIVE, leak.per_call, reason=reason)
    details = (*leak.lines, f"in each of {len(checks)} fresh processes, {last.extent}")
    per_call = next(other.per_call for other in last.leaks if other.kind == leak.kind)
    return Finding(name, leak.unit, Verdict.LEAK, per_call, details=details)


def _shared(keepers: Mapping[str, str]) -> list[str]:
    """Fixtures that outlive a test, where these and other fixtures are all that keeps what grew."""
    return [] if "" in keepers else [fixture for fixture, scope in keepers.items() if scope != "function"]
