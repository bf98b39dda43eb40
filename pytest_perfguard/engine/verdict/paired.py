"""Judge two revisions measured side by side: a sequential test on pairs of processes (docs/verdict.md, side by side).

Both arms run in turn on one CPU, so that the machine disturbs both alike. Memory layout and hash seed differ at random
between two fresh pairs. Hence the pair is the unit of inference, never the round.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from pytest_perfguard.core.metric_names import metric_kind, metric_order, same_place
from pytest_perfguard.core.model import Comparison, Finding, Measurement, Pairing, Record, Verdict
from pytest_perfguard.core.settings import Settings
from pytest_perfguard.core.stats.moderated import VarianceEstimate, moderated
from pytest_perfguard.core.stats.sequential import (
    binomial_tail,
    slice_log_ratios,
    t_quantile,
    trimmed_error,
    trimmed_mean,
)
from pytest_perfguard.core.units import describe_range
from pytest_perfguard.engine.verdict.combine import combine
from pytest_perfguard.engine.verdict.comparability import different_conditions, different_points
from pytest_perfguard.engine.verdict.limits import judge_limits
from pytest_perfguard.engine.verdict.looks import PAIR_LOOKS, SUSPICIOUS, TAIL_THRESHOLD, TEST_ALPHA, Spent
from pytest_perfguard.engine.verdict.memory import MEMORY_PAIRS, judge_memory
from pytest_perfguard.engine.verdict.metric_comparison import MetricComparison

MAX_PAIRS: Final = PAIR_LOOKS[-1]
#: Share of the significance level for the last look, which has most data; the others divide the rest evenly.
LAST_LOOK: Final = 0.5
#: On different CPUs the arms run at different speeds: identical code differs by up to 41 % in single pairs.
UNPINNED_THRESHOLD: Final = 0.10
#: Logarithm of a ratio that a pair of identical code exceeds with a chance of at most LARGE_CHANCE (docs/verdict.md).
LARGE: Final = math.log(1.25)
LARGE_CHANCE: Final = 0.05
#: A large change requires that chance alone gives the mean of the pairs its sign at most this often.
SIGN_ERROR: Final = 0.0025
#: LARGE where the arms are not kept on one CPU.
UNPINNED_LARGE: Final = math.log(1.6)
#: Pairs that are needed to report a small change; fewer report a large one only.
MIN_SPREAD_PAIRS: Final = PAIR_LOOKS[1]
#: Spread of the pairs of one test while little is known of this run: a standard deviation of 2 %.
PAIR_PRIOR: Final = VarianceEstimate(0.02**2, 3.0)
#: Confidence of the reported interval. An unchanged metric has its upper end below the limit.
CONFIDENCE: Final = 0.95
#: Logarithm of the ratio (a thousand) above which an interval is useless: two pairs may yield one of any size.
MAX_REPORTED_LOG_RATIO: Final = math.log(1000)


@dataclass(frozen=True)
class Pairs:
    """Both sides of one test: the i-th process of the base ran beside the i-th process of the head."""

    revision: str
    base: Measurement
    head: Measurement
    pinned: bool
    why: str | None = None

    def pairing(self) -> Pairing:
        """Return the description of the other side for the verdict."""
        return Pairing(self.revision, self.base, self.why, self.pinned)

    def rounds_match(self, name: str) -> bool:
        """Return whether both sides have equally many rounds of this time. A timer may have recorded fewer on one side."""
        sides = self.base.samples[name].processes, self.head.samples[name].processes
        return self.head.samples[name].unit != "s" or [len(rounds) for rounds in sides[0]] == [
            len(rounds) for rounds in sides[1]
        ]

    def slices(self, name: str) -> list[list[float]]:
        """Return the logarithms of head / base of the slices of each pair, without pairs too short for the clock."""
        sides = zip(self.base.samples[name].processes, self.head.samples[name].processes, strict=True)
        ratios = [slice_log_ratios(base, head) for base, head in sides]
        return [pair for pair in ratios if pair]

    def log_ratios(self, name: str) -> list[float]:
        """Return the logarithm of head / base of each pair."""
        return [trimmed_mean(pair) for pair in self.slices(name)]


def judge_paired(
    nodeid: str, pairs: Pairs, settings: Settings, *, family: int, spent: Spent, prior: VarianceEstimate = PAIR_PRIOR
) -> Comparison | None:
    """Return the verdict on one test, or None while another pair may settle it.

    Parameters
    ----------
    family
        the number of tests that share the run's chance of a false alarm.
    prior
        variance of a pair's log ratio that other tests suggest.
    """
    pairing = pairs.pairing()
    base, head = set(pairs.base.samples), set(pairs.head.samples)
    record = _as_record(pairs)
    points = {*pairs.base.iterations, *pairs.head.iterations}
    reason = different_points(base, head, points) or different_conditions(record, pairs.head)
    if not base | head and pairs.head.claims:  # the test consists of speed claims alone
        return combine(nodeid, judge_limits(pairs.head, settings, final=spent > Spent.LITTLE), pairs.head, pairing)
    if not base & head:
        reason = reason or f"none of the requested metrics could be measured: {', '.join(settings.metrics)}"
    if reason:
        return Comparison(nodeid, Verdict.INCOMPARABLE, (), pairs.head, reason, pairing)
    if spent is Spent.LITTLE and pairs.head.processes not in PAIR_LOOKS:
        return None
    names = sorted(filter(pairs.rounds_match, base & head), key=metric_order)
    times = [name for name in names if pairs.head.samples[name].unit == "s"]
    last = spent is Spent.ALL or pairs.head.processes >= MAX_PAIRS
    error = look_level(settings, family, final=last) / max(1, len(times))
    findings: list[Finding | None] = []
    for name in names:
        if name in times:
            findings.append(_Look(name, pairs, settings, error, prior).judge(spent))
        else:
            # Memory is measured beyond the budget: a slow test has few pairs, and this judgement takes six.
            enough = pairs.head.processes >= MEMORY_PAIRS
            now = pairs.head.samples[name]
            metric = MetricComparison(name, record, now, pairs.head, settings, enough)
            findings.append(judge_memory(metric, MEMORY_PAIRS))
    findings += judge_limits(pairs.head, settings, final=spent > Spent.LITTLE)
    return combine(nodeid, findings, pairs.head, pairing)


def _as_record(pairs: Pairs) -> Record:
    """Return the base in the form of a baseline's record, with all digits."""
    base = pairs.base
    return Record("", pairs.revision, base.kernel, base.iterations, base.samples, base.conditions)


def spread_of(pairs: Pairs) -> tuple[float, int] | None:
    """Return (variance of the pairs' log ratios, degrees of freedom) of the test's time; None where it is not known."""
    name = next((name for name in sorted(pairs.head.samples, key=metric_order) if metric_kind(name) == "time"), None)
    if name is None or name not in pairs.base.samples or not pairs.rounds_match(name):
        return None
    ratios = pairs.log_ratios(name)
    return (statistics.variance(ratios), len(ratios) - 1) if len(ratios) > 1 else None


def look_level(settings: Settings, family: int, *, final: bool) -> float:
    """Return the one-sided significance level of one look at one test, for all its metrics together."""
    share = LAST_LOOK if final else (1 - LAST_LOOK) / (len(PAIR_LOOKS) - 1)
    return min(TEST_ALPHA, settings.alpha / max(1, family)) * share


def paired_threshold(settings: Settings, *, pinned: bool) -> float:
    """Return the smallest relative threshold that pairs can decide."""
    return settings.threshold if pinned else max(settings.threshold, UNPINNED_THRESHOLD)


@dataclass(frozen=True)
class _Look:
    """One look at one time metric. `error` is the significance level of this look."""

    name: str
    pairs: Pairs
    settings: Settings
    error: float
    prior: VarianceEstimate

    def judge(self, spent: Spent) -> Finding | None:
        """Return the finding, None while another pair may settle it."""
        if self._is_changed:
            return self._finding(Verdict.REGRESSION if self._mean > 0 else Verdict.IMPROVEMENT)
        if abs(self._mean) <= self._bound and self._mean + self._interval_margin < self._bound:
            return self._finding(Verdict.UNCHANGED)
        is_suspicious = bool(self._ratios) and abs(self._mean) > SUSPICIOUS and metric_kind(self.name) != "p95"
        if spent is Spent.LITTLE or (spent is Spent.BUDGET and is_suspicious):
            return None
        return self._finding(
            Verdict.INCONCLUSIVE, _why_open(self._ratios, self.pairs), max(self._decision_margin, self._bound)
        )

    @cached_property
    def _slices(self) -> list[list[float]]:
        return self.pairs.slices(self.name)

    @cached_property
    def _ratios(self) -> list[float]:
        return [trimmed_mean(pair) for pair in self._slices]

    @cached_property
    def _mean(self) -> float:
        return statistics.fmean(self._ratios) if self._ratios else 0.0

    @cached_property
    def _bound(self) -> float:
        return _smallest_relevant(self.name, self.pairs, self.settings)

    @property
    def _is_changed(self) -> bool:
        """True if the change exceeds both the bound and chance."""
        if abs(self._mean) <= self._bound or len(self._ratios) < PAIR_LOOKS[0]:
            return False
        beyond_chance = len(self._ratios) >= MIN_SPREAD_PAIRS and abs(self._mean) > self._decision_margin
        return beyond_chance or self._is_large

    @property
    def _is_large(self) -> bool:
        """True if more pairs show a large change in one direction than identical code would.

        A binomial test: a pair of identical code exceeds LARGE with a chance of at most LARGE_CHANCE, even if its
        distribution has heavy tails. If a larger share of the pairs exceeds LARGE in the other direction, that share is
        the chance.
        """
        side, large = math.copysign(1.0, self._mean), LARGE if self.pairs.pinned else UNPINNED_LARGE
        hits = sum(side * ratio > max(large, self._bound) for ratio in self._ratios)
        opposite = sum(-side * ratio > max(large, self._bound) for ratio in self._ratios)
        chance = max(LARGE_CHANCE, opposite / len(self._ratios))
        return self._signs_agree and binomial_tail(hits, len(self._ratios), chance) <= self.error

    @property
    def _signs_agree(self) -> bool:
        """True if the spread of the pairs alone, without a prior, excludes the other sign."""
        error = statistics.stdev(self._ratios) / math.sqrt(len(self._ratios))
        return abs(self._mean) > t_quantile(1 - SIGN_ERROR, len(self._ratios) - 1) * error

    @cached_property
    def _spread(self) -> VarianceEstimate:
        """Variance of a pair: moderated by the prior, never below that of the pairs or of their slices."""
        within = statistics.fmean(map(trimmed_error, self._slices))
        spread = moderated([self._ratios], VarianceEstimate(self.prior.variance + within, self.prior.freedom))
        own = statistics.variance(self._ratios) if len(self._ratios) > 1 else 0.0
        return VarianceEstimate(max(spread.variance, own), spread.freedom)

    def _margin(self, error: float) -> float:
        """Return the largest one-sided distance of the truth from the mean, with a chance of error of `error`."""
        if len(self._ratios) < 2:
            return math.inf
        return t_quantile(1 - error, self._spread.freedom) * math.sqrt(self._spread.variance / len(self._ratios))

    @cached_property
    def _decision_margin(self) -> float:
        return self._margin(self.error)

    @cached_property
    def _interval_margin(self) -> float:
        return self._margin((1 - CONFIDENCE) / 2)

    def _finding(self, verdict: Verdict, reason: str = "", smallest: float | None = None) -> Finding:
        base, head = self.pairs.base.samples[self.name], self.pairs.head.samples[self.name]
        before = statistics.median(base.medians)
        interval = (
            (math.exp(self._mean - self._interval_margin), math.exp(self._mean + self._interval_margin))
            if self._interval_margin < MAX_REPORTED_LOG_RATIO
            else None
        )
        return Finding(
            name=self.name,
            unit=base.unit,
            verdict=verdict,
            candidate=statistics.median(head.medians),
            baseline=before,
            interval=interval,
            limit=before * math.exp(self._bound) if math.isfinite(self._bound) else None,
            rounds=head.rounds,
            reason=reason,
            smallest=math.exp(smallest) if smallest is not None and smallest < MAX_REPORTED_LOG_RATIO else None,
            estimated_ratio=math.exp(self._mean) if self._ratios else None,
        )


def _smallest_relevant(name: str, pairs: Pairs, settings: Settings) -> float:
    """Return the logarithm of the smallest ratio that matters, from threshold and floor.

    CPU time matters in proportion to the test's wall time: 300 us of CPU time in a wait of 30 ms may grow by the
    threshold of the wait.
    """
    base = statistics.median(pairs.base.samples[name].medians)
    kind = metric_kind(name)
    wall = pairs.base.samples.get(same_place(name, "time")) if kind == "cpu" else None
    longest = max(base, statistics.median(wall.medians)) if wall else base
    if base <= 0:
        return math.inf
    threshold = paired_threshold(settings, pinned=pairs.pinned)
    if kind == "p95":
        threshold = max(threshold, TAIL_THRESHOLD)
    return math.log1p(max(threshold * longest, settings.floor.seconds) / base)


def _why_open(ratios: list[float], pairs: Pairs) -> str:
    if len(ratios) < pairs.head.processes:
        return "the clock is too coarse for so short a call"
    if len(ratios) < PAIR_LOOKS[0]:
        return (
            f"the budget was spent after {len(ratios)} of at least {PAIR_LOOKS[0]} pairs; raise it with --perf-budget"
        )
    low, high, mean = (math.exp(value) for value in (min(ratios), max(ratios), statistics.fmean(ratios)))
    return f"not decided: its {len(ratios)} pairs lie between {describe_range(low, high, mean)}"
