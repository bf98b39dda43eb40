"""Judge speed claims (one call is faster than another): a sequential test over processes that measured both in turn."""

from __future__ import annotations

import math
import statistics
from typing import Final

from pytest_perfguard.core.metric_names import MetricName
from pytest_perfguard.core.model import CLAIM_UNIT, ClaimSamples, Finding, Measurement, Verdict
from pytest_perfguard.core.stats.robust import CONFIDENCE
from pytest_perfguard.core.stats.sequential import mean_margin
from pytest_perfguard.engine.verdict.looks import PAIR_LOOKS, TEST_ALPHA

#: Kind in the names of findings on speed claims.
CLAIM: Final = "faster"


def judge_claims(measurement: Measurement, *, final: bool) -> list[Finding | None]:
    """Return a finding for each claim, `over-limit` for a false one; None where another process may settle the claim."""
    return [_judge(claim, measurement.processes, final=final) for claim in measurement.claims.values()]


def _judge(claim: ClaimSamples, processes: int, *, final: bool) -> Finding | None:
    """Test the mean log ratio against the claimed one. The unit is the process; the looks share the significance level."""
    ratios, claimed = claim.log_ratios, math.log(claim.by)
    if not final and processes not in PAIR_LOOKS:
        return None
    mean = statistics.fmean(ratios) if ratios else 0.0
    strict = mean_margin(ratios, TEST_ALPHA / len(PAIR_LOOKS))
    if len(ratios) >= PAIR_LOOKS[0] and mean - strict > claimed:
        return _finding(claim, None, mean)
    if len(ratios) >= PAIR_LOOKS[0] and mean + strict < claimed:
        return _finding(claim, Verdict.OVER_LIMIT, mean)
    if not final:
        return None
    return _finding(claim, Verdict.INCONCLUSIVE, mean)


def _finding(claim: ClaimSamples, verdict: Verdict | None, mean: float) -> Finding:
    half = mean_margin(claim.log_ratios, (1 - CONFIDENCE) / 2)
    reason = f"{claim.name} should take less time than {claim.rival} by a factor of {claim.by:.4g}: "
    if claim.problem:
        reason += f"it cannot be called again ({claim.problem})"
    elif math.isfinite(half):
        reason += f"it is {math.exp(mean):.3g} (interval {math.exp(mean - half):.3g} to {math.exp(mean + half):.3g})"
    else:
        reason += "too few processes, or a clock too coarse, to decide; measure for longer with --perf-budget"
    return Finding(
        name=str(MetricName(CLAIM, f"{claim.name}<{claim.rival}")),
        unit=CLAIM_UNIT,
        verdict=verdict,
        candidate=math.exp(mean),
        interval=(math.exp(mean - half), math.exp(mean + half)) if math.isfinite(half) else None,
        limit=claim.by,
        rounds=len(claim.log_ratios),
        reason=reason if verdict is not None else "",
    )
