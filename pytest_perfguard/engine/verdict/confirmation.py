"""A test that the baseline file did not clear and that was then measured in pairs: does the pair settle it?"""

from __future__ import annotations

from typing import Final

from pytest_perfguard.core.model import JUDGED, Comparison, Verdict
from pytest_perfguard.engine.verdict.looks import PAIR_LOOKS

#: Verdicts of the file that a pair has to settle.
SUSPECT: Final = frozenset({Verdict.REGRESSION, Verdict.INCONCLUSIVE, Verdict.OVER_LIMIT})


def settles(paired: Comparison) -> bool:
    """Is this a verdict? A pair that could not be measured, or hardly was, does not acquit a suspect."""
    if paired.broken or paired.verdict not in JUDGED:
        return False
    return paired.verdict is not Verdict.INCONCLUSIVE or paired.measurement.processes >= PAIR_LOOKS[0]


def why_unsettled(paired: Comparison) -> str:
    """Why the pair is no verdict."""
    findings = [finding.reason for finding in paired.findings if finding.reason]
    why = paired.broken or paired.reason or "; ".join(dict.fromkeys(findings))
    revision = paired.pairing.revision if paired.pairing else "its commit"
    return f"measuring it side by side with {revision} settled nothing: {why}"
