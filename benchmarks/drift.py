"""Measure how often changes of level and drift are found in simulated recordings with and without a real change.

python benchmarks/drift.py [series] [seed]

Each series is a time that is constant, steps or creeps, with three kinds of noise. The function that `perfguard history`
calls judges them. Real recordings differ by 0.4 to 1.9 % (docs/verdict.md).
"""

from __future__ import annotations

import math
import random
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from pytest_perfguard.engine.history.trends import HistoryPoint, HistoryQuery, Trend, judge_trend

SERIES: Final = 100
THRESHOLD: Final = 0.05
LENGTHS: Final = (6, 10, 20, 50)
STEPS: Final = (0.05, 0.07, 0.10, 0.20)
CREEPS: Final = (0.005, 0.01)
#: Largest acceptable error of the place of a step, in recordings.
MAX_PLACE_ERROR: Final = 1

Noise = Callable[[random.Random, int], list[float]]


def normal(rnd: random.Random, n: int) -> list[float]:
    """Independent recordings with a standard deviation of 1.5 %."""
    return [rnd.gauss(0, 0.015) for _ in range(n)]


def spiky(rnd: random.Random, n: int) -> list[float]:
    """Normal noise, and one recording in twenty is 5 to 20 % too slow."""
    return [noise + (rnd.uniform(0.05, 0.2) if rnd.random() < 0.05 else 0.0) for noise in normal(rnd, n)]


def correlated(rnd: random.Random, n: int) -> list[float]:
    """Half of each deviation remains in the next recording, as on a machine whose state lasts for days; 1.7 % in all."""
    values = [rnd.gauss(0, 0.0173)]
    while len(values) < n:
        values.append(0.5 * values[-1] + rnd.gauss(0, 0.015))
    return values


NOISES: Final[dict[str, Noise]] = {"normal": normal, "spiky": spiky, "autocorrelated": correlated}


def trend(logs: Sequence[float]) -> Trend:
    """Return the judged series of a test that takes 100 us."""
    points = tuple(HistoryPoint(str(index), "", 1e-4 * math.exp(value)) for index, value in enumerate(logs))
    return judge_trend("test", "machine", "time", "s", points, HistoryQuery(THRESHOLD), None)


def stepped(logs: Sequence[float], step: float, place: int) -> list[float]:
    """Return the series, slower by `step` from `place`."""
    return [value + math.log1p(step) * (index >= place) for index, value in enumerate(logs)]


def creeping(logs: Sequence[float], creep: float) -> list[float]:
    """Return the series, slower by `creep` with each recording."""
    return [value + math.log1p(creep) * index for index, value in enumerate(logs)]


def print_false_alarms(count: int, rnd: random.Random) -> None:
    """Print the findings in series in which nothing changes."""
    print(f"nothing changes: series of {count} that show a step, and a drift")
    for name, noise in NOISES.items():
        for n in LENGTHS:
            found = [trend(noise(rnd, n)) for _ in range(count)]
            drifts = sum(one.drift is not None and one.drift.drifted for one in found)
            print(f"  {name:15} n={n:<3} steps {sum(bool(one.steps) for one in found):4}  drifts {drifts:4}")


def print_found_steps(count: int, rnd: random.Random) -> None:
    """Print how many steps in the middle are found."""
    print(
        f"one step in the middle, normal noise: found of {count}, and of these at the right place "
        f"(within {MAX_PLACE_ERROR})"
    )
    for step in STEPS:
        for n in LENGTHS[1:]:
            found = [trend(stepped(normal(rnd, n), step, n // 2)).steps for _ in range(count)]
            near = sum(any(abs(one.index - n // 2) <= MAX_PLACE_ERROR for one in steps) for steps in found)
            print(f"  {step:+5.1%}  n={n:<3} found {sum(map(bool, found)):4}  right place {near:4}")


def print_found_drifts(count: int, rnd: random.Random) -> None:
    """Print how many drifts are found."""
    print(f"slow creep, normal noise: found of {count} as drift")
    for creep in CREEPS:
        for n in LENGTHS[1:]:
            found = [trend(creeping(normal(rnd, n), creep)).drift for _ in range(count)]
            print(f"  {creep:+5.1%} per recording  n={n:<3} {sum(one is not None and one.drifted for one in found):4}")


def main(count: int = SERIES, seed: int = 1) -> None:
    """Print the tables."""
    rnd, begin = random.Random(seed), time.perf_counter()
    for table in (print_false_alarms, print_found_steps, print_found_drifts):
        table(count, rnd)
    print(f"{time.perf_counter() - begin:.1f} s")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
