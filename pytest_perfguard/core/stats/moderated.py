"""Moderated variances: few values borrow strength from what is known of others (Smyth 2004, as in limma)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

#: The prior counts at most as so many degrees of freedom, so that a test which is wilder than the others is seen as such.
MAX_PRIOR_FREEDOM: Final = 6.0
MIN_PRIOR_FREEDOM: Final = 1.0
#: Times the prior's variance from which on the prior counts for less.
WILD: Final = 4.0
#: Variances needed to estimate how much they differ among tests.
MIN_VARIANCES: Final = 5
#: A variance below this (a standard deviation of 0.1 %) is the resolution of clocks, not knowledge.
_MIN_VARIANCE: Final = 1e-6


@dataclass(frozen=True)
class VarianceEstimate:
    """A variance, and the degrees of freedom that the estimate counts as: a prior or what became of it."""

    variance: float
    freedom: float


def moderated(groups: Sequence[Sequence[float]], prior: VarianceEstimate) -> VarianceEstimate:
    """Return the variance within the groups, moderated by the prior.

    s^2 = (d0 s0^2 + sum of squares) / (d0 + d), with d0 + d degrees of freedom (Smyth 2004, equation 6). The prior counts
    for less where the groups are wilder than it expects, as in robust empirical Bayes (Phipson et al. 2016).
    """
    freedom = sum(len(group) - 1 for group in groups if group)
    squares = sum(statistics.variance(group) * (len(group) - 1) for group in groups if len(group) > 1)
    believed = prior.freedom
    if freedom and squares > WILD * prior.variance * freedom:
        believed *= WILD * prior.variance * freedom / squares
    total = believed + freedom
    return VarianceEstimate((believed * prior.variance + squares) / total, total)


def fitted_prior(variances: Iterable[tuple[float, int]], default: VarianceEstimate) -> VarianceEstimate:
    """Return the prior that these (variance, degrees of freedom) of other tests suggest; `default` where they are few.

    The moments of log(s^2) of a scaled F distribution (Smyth 2004, section 6.2). The freedom is kept between bounds; the
    variance is never below the default's, since a run of few tests may be lucky as a whole.
    """
    from scipy.special import digamma, polygamma

    known = [(max(variance, _MIN_VARIANCE), freedom) for variance, freedom in variances if freedom > 0]
    if len(known) < MIN_VARIANCES:
        return default
    centred = [math.log(s2) - float(digamma(d / 2)) + math.log(d / 2) for s2, d in known]
    mean = statistics.fmean(centred)
    excess = statistics.variance(centred) - statistics.fmean(float(polygamma(1, d / 2)) for _s2, d in known)
    half = _inverse_trigamma(excess) if excess > 0 else math.inf
    freedom = min(MAX_PRIOR_FREEDOM, max(MIN_PRIOR_FREEDOM, 2 * half))
    variance = math.exp(mean + float(digamma(half)) - math.log(half)) if math.isfinite(half) else math.exp(mean)
    return VarianceEstimate(max(default.variance, variance), freedom)


def _inverse_trigamma(value: float) -> float:
    """Return the y with trigamma(y) = value, by Newton's iteration (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    y = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, y))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, y))
        y += step
        if -step / y < 1e-8:
            break
    return y
