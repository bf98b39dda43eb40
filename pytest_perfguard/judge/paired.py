"""Two trees side by side: a sequential test on pairs of processes (procedure B of docs/verdict.md).

Both arms run in turn on one CPU, so that whatever the machine does, it does to both. What differs between two fresh pairs
(memory layout, hash seed) is left to chance, and the pair is the unit of inference, never the round.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pytest_perfguard.judge.case import Case
from pytest_perfguard.judge.comparable import other_conditions, other_points
from pytest_perfguard.judge.conclusion import concluded
from pytest_perfguard.judge.limits import over_budget
from pytest_perfguard.judge.looks import LOOKS, TAIL_THRESHOLD, TEST_ALPHA
from pytest_perfguard.judge.memory import MEMORY_PAIRS, judge_memory
from pytest_perfguard.judge.recording import to_record
from pytest_perfguard.metrics import metric_kind, metric_order
from pytest_perfguard.model import Comparison, Finding, Measurement, Pairing, Verdict
from pytest_perfguard.settings import Settings
from pytest_perfguard.stats.robust import CONFIDENCE
from pytest_perfguard.stats.sequential import log_ratio, margin
from pytest_perfguard.units import describe_range

MOST_PAIRS: Final = LOOKS[-1]
#: The part of the last look, where most is known; the others share the rest evenly.
LAST_LOOK: Final = 0.5
#: Chance to call a test unchanged that is slower by just the threshold.
BETA: Final = 0.05
#: Off one common CPU the arms meet different speeds of the machine: identical code differs by up to 41 % in single pairs.
UNPINNED_THRESHOLD: Final = 0.10
#: Logarithm of a slowdown (half as slow again) that no budget may leave open.
PLAIN: Final = math.log(1.5)
#: Logarithm of a ratio (a thousand) from which on an interval says nothing: two pairs may yield one of any size.
UNTOLD: Final = math.log(1000)


@dataclass(frozen=True)
class Pairs:
    """The two sides of one test, pair by pair: the i-th process of the one ran beside the i-th of the other."""

    revision: str
    base: Measurement
    head: Measurement
    pinned: bool
    why: str = ""

    def pairing(self) -> Pairing:
        """What a verdict says of the other side."""
        return Pairing(self.revision, self.base, self.why, self.pinned)

    def in_step(self, name: str) -> bool:
        """Has this time as many rounds on both sides? One that a timer recorded may not."""
        sides = self.base.samples[name].processes, self.head.samples[name].processes
        return self.head.samples[name].unit != "s" or [len(rounds) for rounds in sides[0]] == [
            len(rounds) for rounds in sides[1]
        ]

    def log_ratios(self, name: str) -> list[float]:
        """For each pair the logarithm of head / base; pairs that the clock could not read are left out."""
        sides = zip(self.base.samples[name].processes, self.head.samples[name].processes, strict=True)
        ratios = [log_ratio(base, head) for base, head in sides]
        return [ratio for ratio in ratios if ratio is not None]


def judge_paired(nodeid: str, pairs: Pairs, settings: Settings, *, family: int, final: bool) -> Comparison | None:
    """The verdict on one test, or None while a further pair may settle it.

    `family` is the number of tests that share the run's chance of a false alarm; `final`: there will be no other pair.
    """
    pairing = pairs.pairing()
    base, head = set(pairs.base.samples), set(pairs.head.samples)
    record = to_record(pairs.base, source="", commit=pairs.revision)
    reason = other_points(base, head, {*pairs.base.iterations, *pairs.head.iterations}) or other_conditions(
        record, pairs.head
    )
    if not base | head and pairs.head.contests:  # all that the test does is to claim something
        return concluded(nodeid, over_budget(pairs.head, settings, final=final), pairs.head, pairing)
    if not base & head:
        reason = reason or f"none of the metrics wanted could be taken: {', '.join(settings.metrics)}"
    if reason:
        return Comparison(nodeid, Verdict.INCOMPARABLE, (), pairs.head, reason, pairing)
    if not final and pairs.head.processes not in LOOKS:
        return None
    names = sorted(filter(pairs.in_step, base & head), key=metric_order)
    times = [name for name in names if pairs.head.samples[name].unit == "s"]
    if pairs.head.processes < LOOKS[0] and any(
        _is_plain(pairs.log_ratios(name)) for name in times if metric_kind(name) != "p95"
    ):
        return None
    error = look_level(settings, family, final=final) / max(1, len(times))
    findings: list[Finding | None] = []
    for name in names:
        if name in times:
            findings.append(_judge_time(name, pairs, settings, error, final=final))
        else:
            # Looked into further whatever the budget says: a slow test has few pairs, and this takes six.
            enough = pairs.head.processes >= MEMORY_PAIRS
            findings.append(judge_memory(Case.of(name, record, pairs.head, settings, final=enough), MEMORY_PAIRS))
    findings += over_budget(pairs.head, settings, final=final)
    return concluded(nodeid, findings, pairs.head, pairing)


def look_level(settings: Settings, family: int, *, final: bool) -> float:
    """The significance level of one look at one test, one-sided, for all its metrics together."""
    share = LAST_LOOK if final else (1 - LAST_LOOK) / (len(LOOKS) - 1)
    return min(TEST_ALPHA, settings.alpha / max(1, family)) * share


def paired_threshold(settings: Settings, *, pinned: bool) -> float:
    """The relative threshold that pairs can hold."""
    return settings.threshold if pinned else max(settings.threshold, UNPINNED_THRESHOLD)


def _judge_time(name: str, pairs: Pairs, settings: Settings, error: float, *, final: bool) -> Finding | None:
    """The procedure's look at one metric; `error` is its significance level, the looks paid for."""
    ratios = pairs.log_ratios(name)
    bound = _bound(name, pairs, settings)
    mean = statistics.fmean(ratios) if ratios else 0.0
    strict, lenient = margin(ratios, error), margin(ratios, BETA)
    verdict, reason = Verdict.INCONCLUSIVE, ""
    if abs(mean) > max(strict, bound) and len(ratios) >= LOOKS[0]:
        verdict = Verdict.REGRESSION if mean > 0 else Verdict.IMPROVEMENT
    elif mean + lenient < bound and (mean > -bound or final):
        verdict = Verdict.UNCHANGED
    elif not final:
        return None
    else:
        reason = _why_open(ratios, pairs)
    return _finding(name, pairs, verdict, ratios, bound, reason, max(strict, bound) if reason else None)


def _is_plain(ratios: Sequence[float]) -> bool:
    """Is it so much slower that it gets its first look whatever the budget? A slow head eats its own budget up."""
    return bool(ratios) and statistics.fmean(ratios) > PLAIN


def _bound(name: str, pairs: Pairs, settings: Settings) -> float:
    """The logarithm of the smallest ratio that matters: threshold, and floor.

    CPU time matters in proportion to the time that the test takes: 300 us of CPU in a wait of 30 ms are held to the
    threshold of the wait.
    """
    base = statistics.median(pairs.base.samples[name].medians)
    kind = metric_kind(name)
    wall = pairs.base.samples.get("time" + name.removeprefix(kind)) if kind == "cpu" else None
    longest = max(base, statistics.median(wall.medians)) if wall else base
    if base <= 0:
        return math.inf
    threshold = paired_threshold(settings, pinned=pairs.pinned)
    if kind == "p95":
        threshold = max(threshold, TAIL_THRESHOLD)
    return math.log1p(max(threshold * longest, settings.floor.seconds) / base)


def _why_open(ratios: list[float], pairs: Pairs) -> str:
    if len(ratios) < pairs.head.processes:
        return "the clock is too coarse for it"
    if len(ratios) < LOOKS[0]:
        return f"the budget was spent after {len(ratios)} of at least {LOOKS[0]} pairs; give it more with --perf-budget"
    low, high, mean = (math.exp(value) for value in (min(ratios), max(ratios), statistics.fmean(ratios)))
    return f"could not tell: its {len(ratios)} pairs lie between {describe_range(low, high, mean)}"


def _finding(
    name: str,
    pairs: Pairs,
    verdict: Verdict,
    ratios: list[float],
    bound: float,
    reason: str,
    smallest: float | None,
) -> Finding:
    base, head = pairs.base.samples[name], pairs.head.samples[name]
    mean, half = (statistics.fmean(ratios), margin(ratios, (1 - CONFIDENCE) / 2)) if ratios else (0.0, math.inf)
    was = statistics.median(base.medians)
    return Finding(
        name=name,
        unit=base.unit,
        verdict=verdict,
        candidate=statistics.median(head.medians),
        baseline=was,
        interval=(math.exp(mean - half), math.exp(mean + half)) if half < UNTOLD else None,
        limit=was * math.exp(bound) if math.isfinite(bound) else None,
        rounds=head.rounds,
        reason=reason,
        smallest=math.exp(smallest) if smallest is not None and smallest < UNTOLD else None,
        paired_ratio=math.exp(mean) if ratios else None,
    )
