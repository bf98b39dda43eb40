"""Decide whether a pair settles a test that the baseline file did not clear."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pytest_perfguard.core.model import JUDGED, Comparison, Verdict
from pytest_perfguard.engine.verdict.looks import PAIR_LOOKS

#: Verdicts of the baseline file that a pair has to confirm.
SUSPECT: Final = frozenset({Verdict.REGRESSION, Verdict.INCONCLUSIVE, Verdict.OVER_LIMIT})


def settles(paired: Comparison) -> bool:
    """Return whether the pair reached a verdict. A pair that was hardly measured, or not at all, clears no suspect."""
    if paired.broken or paired.verdict not in JUDGED:
        return False
    return paired.verdict is not Verdict.INCONCLUSIVE or paired.measurement.processes >= PAIR_LOOKS[0]


def why_unsettled(paired: Comparison, summarize: Callable[[str], str] = str) -> str:
    """Return the reason why the pair reached no verdict; `summarize` shortens the report of a failure to one line."""
    findings = [finding.reason for finding in paired.findings if finding.reason]
    why = summarize(paired.broken) if paired.broken else paired.reason or "; ".join(dict.fromkeys(findings))
    revision = paired.pairing.revision if paired.pairing else "its commit"
    return f"measuring it side by side with {revision} settled nothing: {why}"
