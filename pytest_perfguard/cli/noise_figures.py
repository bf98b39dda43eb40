"""What trials of identical code say of a machine. Pure: reports in, figures out."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pytest_perfguard.core.model import Verdict
from pytest_perfguard.core.option_specs import PAIRED_THRESHOLD
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.core.stats.sequential import t_quantile
from pytest_perfguard.core.units import format_magnitude
from pytest_perfguard.engine.report.document import Report
from pytest_perfguard.engine.verdict.paired import MAX_PAIRS, look_level, paired_threshold

#: A machine on which more verdicts than this stay open is of little use.
MAX_INCONCLUSIVE_SHARE: Final = 0.2
#: Chance with which a slowdown of the smallest size is found.
POWER: Final = 0.95
_CONFIDENCE: Final = 0.95
#: A chance of a false alarm per verdict that may be so high is as good as unknown.
_UNKNOWN_RATE: Final = 0.1
_SETTLED: Final = frozenset({Verdict.REGRESSION, Verdict.IMPROVEMENT, Verdict.UNCHANGED, Verdict.INCONCLUSIVE})


@dataclass(frozen=True)
class Figures:
    """What was seen of a machine."""

    verdicts: int
    """Tests that were judged, each time they were."""
    unjudged: int
    """Tests that broke or could not be judged."""
    false_alarms: int
    """Regressions and improvements of the times of identical code."""
    inconclusive: int
    pinned: bool
    smallest: dict[str, float]
    """By test: the smallest slowdown, as a ratio, that `--perf-against` could tell with all its pairs."""
    repeats: dict[str, float]
    """By test: standard deviation of the logarithm of a run's minimum, from run to run: what a stored baseline meets."""

    @property
    def highest_rate(self) -> float:
        """The upper 95 % limit of the chance of a false alarm per verdict (Clopper & Pearson 1934)."""
        return upper_limit(self.false_alarms, self.verdicts)

    @property
    def fit(self) -> bool:
        """Can this machine be trusted with a build?"""
        enough = self.verdicts > 0 and not self.unjudged
        return enough and not self.false_alarms and self.inconclusive <= MAX_INCONCLUSIVE_SHARE * self.verdicts


def summarize(reports: Sequence[Report]) -> Figures:
    """Sum up the reports of `--perf-against` runs on identical code."""
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
    """The slowdown that all pairs of a test, one of `family`, tell in 95 of 100 cases, if pairs vary as these did.

    A regression needs a mean above the threshold and an interval above nothing: the power of a t test at the last look.
    """
    freedom = MAX_PAIRS - 1
    error = statistics.stdev(log_ratios) / math.sqrt(MAX_PAIRS)
    settings = resolve(marker={}, command_line={}, ini={}, defaults={"threshold": PAIRED_THRESHOLD})
    certain = t_quantile(1 - look_level(settings, family, final=True), freedom) * error
    power = t_quantile(POWER, freedom) * error
    return math.exp(max(math.log1p(paired_threshold(settings, pinned=pinned)), certain) + power)


def upper_limit(seen: int, of: int) -> float:
    """The upper limit of a chance, one-sided 95 %, after `seen` of `of` trials (Clopper & Pearson 1934)."""
    from scipy.special import betaincinv

    if seen >= of:
        return 1.0
    return float(betaincinv(seen + 1, of - seen, _CONFIDENCE))


def describe(found: Figures) -> Iterator[str]:
    """The figures in words."""
    yield (
        f"false alarms: {found.false_alarms} of {found.verdicts} verdicts on identical code "
        f"(at most {found.highest_rate:.1%}, with a certainty of 95 %)"
    )
    if found.unjudged:
        yield f"not judged: {found.unjudged}, which broke or were incomparable"
    yield f"inconclusive: {found.inconclusive} of {found.verdicts}"
    if found.smallest:
        yield f"smallest slowdown that --perf-against can detect: {_range(found.smallest.values())}"
    if found.repeats:
        spread = [math.exp(value) for value in found.repeats.values()]
        yield f"a run's minimum differs from run to run by (standard deviation): {_range(spread)}"
    if not found.pinned:
        yield "processes cannot be pinned to a CPU here, so that only larger changes can be told"
    if not found.fit:
        yield "this machine is NOT fit to judge builds"
    elif found.highest_rate > _UNKNOWN_RATE:
        yield f"nothing speaks against this machine so far; {found.verdicts} verdicts are few: give it longer, such as --seconds=600"
    else:
        yield "this machine is fit to judge builds"


def _range(ratios: Iterable[float]) -> str:
    """The median and the largest of slowdowns, on one scale."""
    ordered = sorted(ratios)
    typical = statistics.median(ordered)
    return f"{format_magnitude(typical)} typically, {format_magnitude(ordered[-1], like=typical)} at worst"
