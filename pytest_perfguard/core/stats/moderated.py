"""Moderated variances: a few values borrow strength from those of other tests (Smyth 2004, as in limma)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

#: Largest weight of the prior in degrees of freedom, so that a test with a larger spread than the others is noticed.
MAX_PRIOR_FREEDOM: Final = 6.0
MIN_PRIOR_FREEDOM: Final = 1.0
#: The weight of the prior decreases for variances above this multiple of the prior's.
WILD: Final = 4.0
#: Number of variances from which their spread among tests is estimated.
MIN_VARIANCES: Final = 5
#: Smaller variances (a standard deviation of 0.1 %) reflect the resolution of the clock.
_MIN_VARIANCE: Final = 1e-6


@dataclass(frozen=True)
class VarianceEstimate:
    """A variance with its weight in degrees of freedom: a prior, or an estimate moderated by one."""

    variance: float
    freedom: float


def moderated(groups: Sequence[Sequence[float]], prior: VarianceEstimate) -> VarianceEstimate:
    """Return the variance within the groups, moderated by the prior.

    s^2 = (d0 s0^2 + sum of squares) / (d0 + d), with d0 + d degrees of freedom (Smyth 2004, equation 6). The weight of the
    prior decreases if the groups have a much larger variance, as in robust empirical Bayes (Phipson et al. 2016).
    """
    freedom = sum(len(group) - 1 for group in groups if group)
    squares = sum(statistics.variance(group) * (len(group) - 1) for group in groups if len(group) > 1)
    weight = prior.freedom
    if freedom and squares > WILD * prior.variance * freedom:
        weight *= WILD * prior.variance * freedom / squares
    total = weight + freedom
    return VarianceEstimate((weight * prior.variance + squares) / total, total)


def fitted_prior(variances: Iterable[tuple[float, int]], default: VarianceEstimate) -> VarianceEstimate:
    """Return the prior fitted to these (variance, degrees of freedom) of other tests; `default` if they are too few.

    The moments of log(s^2) of a scaled F distribution (Smyth 2004, section 6.2). The degrees of freedom have bounds. The
    variance is at least the default's, since a run of few tests may have a small spread by luck.
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
    """Return y with trigamma(y) = value, by Newton's iteration (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    y = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, y))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, y))
        y += step
        if -step / y < 1e-8:
            break
    return y
