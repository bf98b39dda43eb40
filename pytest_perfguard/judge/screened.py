"""A test that the baseline file suspected and that was then measured side by side: which of the two verdicts holds?"""

from __future__ import annotations

from dataclasses import replace

from pytest_perfguard.judge.looks import LOOKS
from pytest_perfguard.model import JUDGED, Comparison, Verdict

_SUSPECT = frozenset({Verdict.REGRESSION, Verdict.INCONCLUSIVE, Verdict.OVER_BUDGET})


def settled(screened: Comparison | None, paired: Comparison) -> Comparison:
    """The pair's verdict, where it is one; a pair that could not be measured does not acquit a suspect."""
    if screened is None or screened.verdict not in _SUSPECT or _says_something(paired):
        return paired
    findings = [finding.reason for finding in paired.findings if finding.reason]
    why = paired.broken or paired.reason or "; ".join(findings)
    revision = paired.pairing.revision if paired.pairing else "its commit"
    return replace(screened, reason=f"measuring it side by side with {revision} settled nothing: {why}")


def _says_something(paired: Comparison) -> bool:
    if paired.broken or paired.verdict not in JUDGED:
        return False
    return paired.verdict is not Verdict.INCONCLUSIVE or paired.measurement.processes >= LOOKS[0]
