"""The JSON report: one object, its form fixed by the contract (docs/report.md)."""

from __future__ import annotations

import json

from pytest_perfguard.core.model import Comparison, Finding
from pytest_perfguard.engine.baseline.schema import record_data
from pytest_perfguard.engine.report.document import Entry, Report, Sides, Spread

SCHEMA = 1


def json_report(report: Report) -> str:
    """The report's text. Amounts are per iteration, in the unit that stands beside them."""
    content = {
        "schema": SCHEMA,
        "mode": report.mode,
        "at": report.at,
        "commit": report.commit,
        "against": report.against,
        "complete": report.complete,
        "notes": list(report.notes),
        "machine": {"class": report.machine.name, **report.machine.facts},
        "settings": report.settings,
        "summary": report.summary,
        "tests": [_test(entry) for entry in sorted(report.entries, key=lambda entry: entry.nodeid)],
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _test(entry: Entry) -> dict[str, object]:
    comparison = entry.comparison
    return {
        "nodeid": comparison.nodeid,
        "verdict": str(comparison.verdict) if comparison.verdict else None,
        "seconds": round(comparison.measurement.seconds, 3),
        "processes": comparison.measurement.processes,
        "paired": _pairing(comparison),
        "reason": comparison.broken or comparison.reason,
        "broken": bool(comparison.broken),
        "notes": list(comparison.measurement.notes),
        "file": entry.file,
        "line": entry.line,
        "base": entry.base,
        "headline": entry.headline,
        "explanation": _explanation(entry),
        "metrics": [_metric(finding, entry.sides.get(finding.name)) for finding in comparison.findings],
        "record": record_data(entry.record) if entry.record is not None else None,
    }


def _explanation(entry: Entry) -> dict[str, object]:
    """The lines that the terminal showed, and the profiles' findings where both sides were profiled."""
    profiled = entry.comparison.explanation
    return {"lines": list(entry.lines), **(profiled.to_json() if profiled is not None else {})}


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


def _metric(finding: Finding, sides: Sides | None) -> dict[str, object]:
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
        "samples": _sides(sides) if sides is not None else None,
    }


def _sides(sides: Sides) -> dict[str, object]:
    return {
        "baseline": _spread(sides.baseline) if sides.baseline is not None else None,
        "candidate": _spread(sides.candidate),
        "log_ratios": list(sides.log_ratios),
    }


def _spread(spread: Spread) -> dict[str, object]:
    return {
        "minima": list(spread.minima),
        "medians": list(spread.medians),
        "quantiles": list(spread.quantiles),
    }
