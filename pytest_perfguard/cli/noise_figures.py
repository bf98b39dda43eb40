"""Summarize trials of identical code: false alarms, and the smallest slowdown that this machine can detect."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_perfguard.core.model import Verdict
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.core.stats.sequential import t_quantile
from pytest_perfguard.core.units import format_magnitude
from pytest_perfguard.engine.report.document import Report
from pytest_perfguard.engine.verdict.paired import MAX_PAIRS, look_level, paired_threshold

#: Maximum share of inconclusive verdicts on a suitable machine.
MAX_INCONCLUSIVE_SHARE: Final = 0.2
#: Probability of detecting a slowdown of the smallest size.
POWER: Final = 0.95
_CONFIDENCE: Final = 0.95
#: Upper limit of the false alarm rate above which the rate is considered unknown.
_UNKNOWN_RATE: Final = 0.1
_SETTLED: Final = frozenset({Verdict.REGRESSION, Verdict.IMPROVEMENT, Verdict.UNCHANGED, Verdict.INCONCLUSIVE})


@dataclass(frozen=True)
class Figures:
    """Results of the trials on one machine."""

    verdicts: int
    """Number of verdicts, over all trials."""
    unjudged: int
    """Number of tests that failed or could not be judged, over all trials."""
    false_alarms: int
    """Regressions and improvements reported for identical code."""
    inconclusive: int
    pinned: bool
    smallest: dict[str, float]
    """By test, the smallest slowdown, as a ratio, that `--perf-against` can detect with all its pairs."""
    repeats: dict[str, float]
    """By test, the standard deviation of the logarithm of a run's minimum between runs, the noise that a stored baseline has."""

    @property
    def highest_rate(self) -> float:
        """Upper 95 % limit of the false alarm rate per verdict (Clopper & Pearson 1934)."""
        return upper_limit(self.false_alarms, self.verdicts)

    @property
    def fit(self) -> bool:
        """True if this machine is suitable for judging builds."""
        enough = self.verdicts > 0 and not self.unjudged
        return enough and not self.false_alarms and self.inconclusive <= MAX_INCONCLUSIVE_SHARE * self.verdicts


def summarize(reports: Sequence[Report]) -> Figures:
    """Summarize the reports of `--perf-against` runs on identical code."""
    entries = [entry for report in reports for entry in report.entries]
    words = [entry.comparison.verdict for entry in entries]
    ratios: dict[str, list[float]] = {}
    minima: dict[str, list[float]] = {}
    for entry in entries:
        sides = entry.sides.get("time")
        if sides is not None:
            ratios.setdefault(entry.nodeid, []).extend(sides.log_ratios)
            minima.setdefault(entry.nodeid, []).append(math.log(min(sides.candidate.minima)))
    pinned = all(entry.comparison.pairing is not None and entry.comparison.pairing.pinned for entry in entries)
    return Figures(
        verdicts=sum(word in _SETTLED for word in words),
        unjudged=sum(word not in _SETTLED for word in words),
        false_alarms=sum(word in (Verdict.REGRESSION, Verdict.IMPROVEMENT) for word in words),
        inconclusive=words.count(Verdict.INCONCLUSIVE),
        pinned=pinned,
        smallest={
            nodeid: smallest_ratio(found, len(ratios), pinned=pinned)
            for nodeid, found in ratios.items()
            if len(found) > 1
        },
        repeats={nodeid: statistics.stdev(found) for nodeid, found in minima.items() if len(found) > 1},
    )


def smallest_ratio(log_ratios: Sequence[float], family: int, *, pinned: bool) -> float:
    """Return the slowdown that all pairs of a test, one of `family`, detect in 95 of 100 cases, with this variance of pairs.

    A regression needs a mean above the threshold and a confidence interval above 0: the power of a t test at the last look.
    """
    freedom = MAX_PAIRS - 1
    error = statistics.stdev(log_ratios) / math.sqrt(MAX_PAIRS)
    settings = resolve(marker={}, command_line={}, ini={}).for_pairs()
    certain = t_quantile(1 - look_level(settings, family, final=True), freedom) * error
    power = t_quantile(POWER, freedom) * error
    return math.exp(max(math.log1p(paired_threshold(settings, pinned=pinned)), certain) + power)


def upper_limit(seen: int, of: int) -> float:
    """Return the one-sided 95 % upper limit of a probability after `seen` of `of` trials (Clopper & Pearson 1934)."""
    from scipy.special import betaincinv

    if seen >= of:
        return 1.0
    return float(betaincinv(seen + 1, of - seen, _CONFIDENCE))


def describe(found: Figures) -> Iterator[str]:
    """Yield the lines that describe the figures."""
    yield (
        f"false alarms: {found.false_alarms} of {found.verdicts} verdicts on identical code "
        f"(rate at most {found.highest_rate:.1%}, with 95 % confidence)"
    )
    if found.unjudged:
        yield f"not judged: {found.unjudged}, which failed or were incomparable"
    yield f"inconclusive: {found.inconclusive} of {found.verdicts}"
    if found.smallest:
        yield f"smallest slowdown that --perf-against can detect: {_range(found.smallest.values())}"
    if found.repeats:
        spread = [math.exp(value) for value in found.repeats.values()]
        yield f"standard deviation of a run's minimum between runs: {_range(spread)}"
    if not found.pinned:
        yield "processes cannot be pinned to a CPU here, so only larger changes can be detected"
    if not found.fit:
        yield "this machine is NOT suitable for judging builds"
    elif found.highest_rate > _UNKNOWN_RATE:
        yield f"no problem found so far, but {found.verdicts} verdicts are few: measure longer, such as --seconds=600"
    else:
        yield "this machine is suitable for judging builds"


def _range(ratios: Iterable[float]) -> str:
    """Return the median and the largest slowdown, in the same unit."""
    ordered = sorted(ratios)
    typical = statistics.median(ordered)
    return f"{format_magnitude(typical)} typically, {format_magnitude(ordered[-1], like=typical)} at worst"
