"""Synthetic sequences of pairs, and the verdicts that a run reaches on them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Measurement, Verdict
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.core.stats.moderated import VarianceEstimate
from pytest_perfguard.engine.verdict.looks import PAIR_LOOKS, Spent
from pytest_perfguard.engine.verdict.paired import MAX_PAIRS, PAIR_PRIOR, Pairs, judge_paired

SETTINGS = resolve(marker={}, command_line={}, ini={}).for_pairs()
#: Seconds of the base; the head's are those times exp(log ratio).
BASE = 100e-6
#: (a source of chance, the spread) -> the log ratio of a pair of identical code.
Noise = Callable[[random.Random, float], float]


def normal(dice: random.Random, spread: float) -> float:
    return dice.gauss(0, spread)


def student(dice: random.Random, spread: float) -> float:
    """Student's t with three degrees of freedom, scaled to the spread: one pair in 200 is 3.3 times it off."""
    scale = math.sqrt(sum(dice.gauss(0, 1) ** 2 for _ in range(3)) / 3)
    return spread / math.sqrt(3) * dice.gauss(0, 1) / scale


def outliers(dice: random.Random, spread: float) -> float:
    """One pair in twenty differs five times as much as the others."""
    return dice.gauss(0, spread) * (5 if dice.random() < 0.05 else 1)


NOISES: dict[str, Noise] = {"normal": normal, "student": student, "outliers": outliers}


def verdict_of(changes: list[float], family: int, prior: VarianceEstimate = PAIR_PRIOR) -> tuple[Verdict, int]:
    """Return the verdict on a sequence of pairs in a run with enough time, and the number of pairs that it needed."""
    for count in PAIR_LOOKS:
        arms = [tuple((BASE * math.exp(change),) for change in side) for side in ([0.0] * count, changes[:count])]
        base, head = (
            Measurement({"time": MetricStats.from_rounds("s", arm)}, {"": 5}, processes=count) for arm in arms
        )
        spent = Spent.ALL if count == MAX_PAIRS else Spent.LITTLE
        told = judge_paired("t", Pairs("main", base, head, True), SETTINGS, family=family, spent=spent, prior=prior)
        if told is not None and told.verdict is not None:
            return told.verdict, count
    raise AssertionError("the last pair decides")


def drawn(dice: random.Random, noise: str, spread: float, change: float = 0.0) -> list[float]:
    return [change + NOISES[noise](dice, spread) for _ in range(MAX_PAIRS)]
