"""From the findings on the metrics of a test to the verdict on the test."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_perfguard.core.metric_names import metric_kind
from pytest_perfguard.core.model import RANK, Comparison, Finding, Measurement, Pairing, Verdict


def concluded(
    nodeid: str, findings: Sequence[Finding | None], measurement: Measurement, pairing: Pairing | None = None
) -> Comparison | None:
    """The gravest finding's verdict; None while any finding is missing, since more measuring may settle it."""
    settled = [finding for finding in findings if finding is not None]
    if len(settled) < len(findings):
        return None
    verdict = worst(
        [finding.verdict for finding in settled if finding.verdict is not None and not _is_open_tail(finding)]
    )
    if verdict is None and measurement.contests:
        verdict = Verdict.UNCHANGED  # every claim holds, and there is nothing else
    return Comparison(nodeid, verdict, tuple(settled), measurement, pairing=pairing)


def _is_open_tail(finding: Finding) -> bool:
    """A tail is told by few values: what it leaves open makes no test inconclusive that is not so otherwise."""
    return finding.verdict is Verdict.INCONCLUSIVE and metric_kind(finding.name) == "p95"


def worst(verdicts: list[Verdict]) -> Verdict | None:
    """The verdict that outranks the others; None if there is none."""
    return min(verdicts, key=RANK.__getitem__, default=None)
