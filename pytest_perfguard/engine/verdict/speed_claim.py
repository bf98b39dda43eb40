"""Claims that one call is faster than another: a sequential test over processes, in which both were measured in turn."""

from __future__ import annotations

import math
import statistics
from typing import Final

from pytest_perfguard.core.model import CLAIMED, ClaimSamples, Finding, Measurement, Verdict
from pytest_perfguard.core.stats.robust import CONFIDENCE
from pytest_perfguard.core.stats.sequential import margin
from pytest_perfguard.engine.verdict.looks import PAIR_LOOKS, TEST_ALPHA

#: What the finding on a claim is called begins with this.
CLAIM: Final = "faster"


def judge_claims(measurement: Measurement, *, final: bool) -> list[Finding | None]:
    """A finding for each claim; None where a further process may settle it. What is not so is over its budget."""
    return [_judge(contest, measurement.processes, final=final) for contest in measurement.contests.values()]


def _judge(contest: ClaimSamples, processes: int, *, final: bool) -> Finding | None:
    """The mean of the log ratios against the claimed one, with the process as the unit and the looks paid for."""
    ratios, wanted = contest.log_ratios, math.log(contest.by)
    if not final and processes not in PAIR_LOOKS:
        return None
    mean = statistics.fmean(ratios) if ratios else 0.0
    strict = margin(ratios, TEST_ALPHA / len(PAIR_LOOKS))
    if len(ratios) >= PAIR_LOOKS[0] and mean - strict > wanted:
        return _finding(contest, None, mean)
    if len(ratios) >= PAIR_LOOKS[0] and mean + strict < wanted:
        return _finding(contest, Verdict.OVER_LIMIT, mean)
    if not final:
        return None
    return _finding(contest, Verdict.INCONCLUSIVE, mean)


def _finding(contest: ClaimSamples, verdict: Verdict | None, mean: float) -> Finding:
    half = margin(contest.log_ratios, (1 - CONFIDENCE) / 2)
    told = f"{contest.name} was to take less time than {contest.rival} by a factor of {contest.by:.4g}: "
    if contest.problem:
        told += f"it cannot be called again ({contest.problem})"
    elif math.isfinite(half):
        told += f"it is {math.exp(mean):.3g} (interval {math.exp(mean - half):.3g} to {math.exp(mean + half):.3g})"
    else:
        told += "too few processes, or a clock too coarse, to tell; give it more with --perf-budget"
    return Finding(
        name=f"{CLAIM}:{contest.name}<{contest.rival}",
        unit=CLAIMED,
        verdict=verdict,
        candidate=math.exp(mean),
        interval=(math.exp(mean - half), math.exp(mean + half)) if math.isfinite(half) else None,
        limit=contest.by,
        rounds=len(contest.log_ratios),
        reason=told if verdict is not None else "",
    )
