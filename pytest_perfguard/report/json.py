"""The JSON report: one object, its form fixed by the contract (docs/report.md)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from pytest_perfguard.model import Comparison, Finding, Machine
from pytest_perfguard.report.terminal import count_verdicts
from pytest_perfguard.settings import Settings

SCHEMA = 1


def json_report(comparisons: Sequence[Comparison], *, mode: str, machine: Machine, settings: Settings) -> str:
    """The report's text. Amounts are per iteration, in the unit that stands beside them."""
    report = {
        "schema": SCHEMA,
        "mode": mode,
        "machine": {"class": machine.name, **machine.facts},
        "settings": settings.as_data(),
        "summary": count_verdicts(comparisons),
        "tests": [_test(comparison) for comparison in sorted(comparisons, key=lambda item: item.nodeid)],
    }
    return json.dumps(report, indent=1, allow_nan=False) + "\n"


def _test(comparison: Comparison) -> dict[str, object]:
    return {
        "nodeid": comparison.nodeid,
        "verdict": str(comparison.verdict) if comparison.verdict else None,
        "seconds": round(comparison.measurement.seconds, 3),
        "processes": comparison.measurement.processes,
        "paired": _pairing(comparison),
        "reason": comparison.broken or comparison.reason,
        "notes": list(comparison.measurement.notes),
        "metrics": [_metric(finding) for finding in comparison.findings],
    }


def _pairing(comparison: Comparison) -> dict[str, object] | None:
    pairing = comparison.pairing
    if pairing is None:
        return None
    return {
        "revision": pairing.revision,
        "pairs": pairing.measurement.processes,
        "pinned": pairing.pinned,
        "why": pairing.why,
    }


def _metric(finding: Finding) -> dict[str, object]:
    return {
        "name": finding.name,
        "unit": finding.unit,
        "baseline": finding.baseline,
        "candidate": finding.candidate,
        "ratio": finding.ratio,
        "interval": list(finding.interval) if finding.interval else None,
        "verdict": str(finding.verdict) if finding.verdict else None,
        "rounds": finding.rounds,
        "limit": finding.limit,
        "smallest_detectable": finding.smallest,
        "reason": finding.reason,
        "details": list(finding.details),
    }
