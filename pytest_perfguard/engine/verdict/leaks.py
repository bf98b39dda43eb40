"""Turn leak checks into a verdict: a leak is growth on which fresh processes agree. No baseline is needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from pytest_perfguard.core.metric_names import MetricName
from pytest_perfguard.core.model import Comparison, Finding, Measurement, Verdict
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.core.text import plural
from pytest_perfguard.engine.leaks.results import Leak, LeakReport
from pytest_perfguard.engine.verdict.combine import most_severe

#: Processes that check a suspect.
PROCESSES: Final = 2
#: First part of the kind in the names of findings on leaks.
LEAK: Final = "leak"


def judge_leaks(
    nodeid: str, found: Sequence[Mapping[str, LeakReport]], settings: Settings, measurement: Measurement
) -> Comparison | None:
    """Return the verdict on one test after these checks, each by measurement point; None requests another process.

    A test is clean after one clean check, and leaks only if every process reports the leak. The first check makes its
    calls in one set-up, the second in several: memory that a teardown frees is no leak.
    """
    labels = [label for label in found[0] if all(label in checks for checks in found)]
    findings = [
        finding for label in labels for finding in _of_point(label, [checks[label] for checks in found], settings)
    ]
    suspect = any(finding.verdict in (Verdict.LEAK, Verdict.OVER_LIMIT) for finding in findings)
    if suspect and len(found) < PROCESSES:
        return None
    return Comparison(nodeid, most_severe(finding.verdict for finding in findings), tuple(findings), measurement)


def with_leaks(measured: Comparison, checked: Comparison) -> Comparison:
    """Return the comparison of a test with the findings of its leak check added."""
    if checked.broken:
        return replace(measured, broken=checked.broken)
    seconds = measured.measurement.seconds + checked.measurement.seconds
    return replace(
        measured,
        verdict=most_severe((measured.verdict, checked.verdict)),
        findings=(*measured.findings, *checked.findings),
        measurement=replace(measured.measurement, seconds=seconds),
    )


def _of_point(label: str, checks: Sequence[LeakReport], settings: Settings) -> Iterator[Finding]:
    last = checks[-1]
    if last.unsettled and (settings.leaks or not last.calls):
        name = str(MetricName(LEAK, label))
        yield Finding(name, "B", Verdict.INCONCLUSIVE, 0.0, reason=f"leaks: {last.unsettled}")
    elif settings.leaks:
        yield from _leaks(label, checks)
    if not last.calls:
        return
    if settings.max_rss_growth is not None:
        over = min(check.rss for check in checks) > settings.max_rss_growth
        calls = "the calls of one set-up" if last.setups else plural(last.calls, "call")
        verdict, reason = (Verdict.OVER_LIMIT, f"the resident set (RSS) grew over {calls}") if over else (None, "")
        name = str(MetricName("max_rss_growth", label))
        yield Finding(name, "B", verdict, last.rss, limit=settings.max_rss_growth, reason=reason)


def _leaks(label: str, checks: Sequence[LeakReport]) -> Iterator[Finding]:
    leaks: dict[str, Leak] = {}
    for leak in (leak for check in checks for leak in check.leaks):
        leaks.setdefault(leak.kind, leak)  # only the first check contains the explanation
    findings = [finding for leak in leaks.values() if (finding := _of_kind(label, leak, checks)) is not None]
    yield from findings
    if not findings:
        last = checks[-1]
        freed = f"; its teardown frees {' and '.join(map(str, leaks.values()))}" if leaks else ""
        growth = max(0.0, last.growth.get("memory", 0.0))
        name = str(MetricName(f"{LEAK}.memory", label))
        yield Finding(name, "B", None, growth, reason=f"no leak {last.summary}{freed}")


def _of_kind(label: str, leak: Leak, checks: Sequence[LeakReport]) -> Finding | None:
    """Return the finding on a kind that grew in one set-up; None where the teardown frees it and no fixture keeps it."""
    name, last = str(MetricName(f"{LEAK}.{leak.kind}", label)), checks[-1]
    keepers = {fixture: scope for check in checks for fixture, scope in check.retaining_fixtures.items()}
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
    details = (*leak.lines, f"in each of {len(checks)} fresh processes, {last.summary}")
    per_call = next(other.per_call for other in last.leaks if other.kind == leak.kind)
    return Finding(name, leak.unit, Verdict.LEAK, per_call, details=details)


def _shared(keepers: Mapping[str, str]) -> list[str]:
    """Return the fixtures with a scope beyond the test if fixtures alone keep the growth alive, else nothing."""
    return [] if "" in keepers else [fixture for fixture, scope in keepers.items() if scope != "function"]
