"""From the findings on the metrics of a test to the verdict on the test."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_perfguard.model import Comparison, Finding, Measurement, Pairing, worst


def concluded(
    nodeid: str, findings: Sequence[Finding | None], measurement: Measurement, pairing: Pairing | None = None
) -> Comparison | None:
    """The gravest finding's verdict; None while any finding is missing, since more measuring may settle it."""
    settled = [finding for finding in findings if finding is not None]
    if len(settled) < len(findings):
        return None
    verdict = worst([finding.verdict for finding in settled if finding.verdict is not None])
    return Comparison(nodeid, verdict, tuple(settled), measurement, pairing=pairing)
