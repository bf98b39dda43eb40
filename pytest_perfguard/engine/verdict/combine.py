"""Combine the findings on the metrics of a test into the verdict on the test."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pytest_perfguard.core.metric_names import metric_kind
from pytest_perfguard.core.model import SEVERITY, Comparison, Finding, Measurement, Pairing, Verdict


def combine(
    nodeid: str, findings: Sequence[Finding | None], measurement: Measurement, pairing: Pairing | None = None
) -> Comparison | None:
    """Return the comparison with the most severe verdict; None as long as a finding is None, which requests more processes."""
    settled = [finding for finding in findings if finding is not None]
    if len(settled) < len(findings):
        return None
    verdict = most_severe(finding.verdict for finding in settled if not _is_open_tail(finding))
    if verdict is None and measurement.claims:
        verdict = Verdict.UNCHANGED  # every speed claim holds, and there is nothing else to judge
    return Comparison(nodeid, verdict, tuple(settled), measurement, pairing=pairing)


def _is_open_tail(finding: Finding) -> bool:
    """Return whether this is an inconclusive tail. Tails rest on few values, so one alone leaves no test inconclusive."""
    return finding.verdict is Verdict.INCONCLUSIVE and metric_kind(finding.name) == "p95"


def most_severe(verdicts: Iterable[Verdict | None]) -> Verdict | None:
    """Return the most severe of the verdicts; None if there is none."""
    return min((verdict for verdict in verdicts if verdict is not None), key=SEVERITY.__getitem__, default=None)
