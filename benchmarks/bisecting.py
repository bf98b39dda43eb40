"""Does `perfguard bisect` name the planted commits? Real histories, and simulated ones by the thousand.

    python benchmarks/bisecting.py --histories=0,1,2,3           # git repositories of 64 commits, really measured
    python benchmarks/bisecting.py --simulate=1000               # only the measuring is simulated

A simulated comparison draws pairs of processes from the deviations that benchmarks/bisecting_noise.json holds (of identical
code, in four kinds of work), multiplied by --noise, and judges them as a run does, look by look. A history is right if the
commits that were named are the planted ones: a step that the threshold of 3 % leaves out does not occur.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bisecting_histories import SIZES, History, Repository, make_history

from pytest_perfguard.cli.bisect_run import outcome_of
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Comparison, Measurement
from pytest_perfguard.core.option_specs import PAIRED_THRESHOLD
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.engine.bisect.search import Outcome, Query, SearchResult, find_steps
from pytest_perfguard.engine.verdict.looks import PAIR_LOOKS, Spent
from pytest_perfguard.engine.verdict.paired import MAX_PAIRS, Pairs, judge_paired

SETTINGS = resolve(marker={}, command_line={}, ini={}, defaults={"threshold": PAIRED_THRESHOLD})
NOISE = Path(__file__).with_name("bisecting_noise.json")
BASE_SECONDS = 100e-6
#: Seconds of one pair beyond its calls, and of one comparison, for the estimate of a simulated search.
OVERHEAD = (1.0, 3.0)


class Simulated:
    """Comparisons of a history with drawn pairs."""

    def __init__(self, history: History, deviations: Sequence[Sequence[float]], factor: float) -> None:
        self._history = history
        self._dice = random.Random(history.seed)
        self._deviations = self._dice.choice(deviations)
        self._factor = factor
        self.pairs = 0
        self.comparisons = 0

    def compare(self, query: Query) -> Outcome:
        """Judge pairs until a verdict falls."""
        self.comparisons += 1
        if query.head in self._history.broken:
            return Outcome(skipped="broken")
        change = math.log(self._history.level(query.head) / self._history.level(query.base))
        drawn = [change + self._factor * self._dice.choice(self._deviations) for _ in range(MAX_PAIRS)]
        for count in PAIR_LOOKS:
            told = _judged(drawn[:count])
            if told is not None:
                break
        self.pairs += count
        finding = told.findings[0] if told is not None else None
        return outcome_of(finding) if finding is not None else Outcome(skipped="no verdict")


def _judged(changes: Sequence[float]) -> Comparison | None:
    count = len(changes)
    base, head = (
        Measurement(
            {"time": MetricStats.from_rounds("s", [(BASE_SECONDS * math.exp(change),) for change in side])}, {"": 5},
            processes=count,
        )
        for side in ([0.0] * count, changes)
    )  # fmt: skip
    spent = Spent.ALL if count == MAX_PAIRS else Spent.LITTLE
    return judge_paired("t", Pairs("main", base, head, True), SETTINGS, family=1, spent=spent)


def simulate(history: History, deviations: Sequence[Sequence[float]], factor: float) -> tuple[SearchResult, Simulated]:
    """Run the search with simulated comparisons."""
    measured = Simulated(history, deviations, factor)
    search = find_steps(history.length - 1)
    query = next(search)
    while True:
        try:
            query = search.send(measured.compare(query))
        except StopIteration as end:
            return end.value, measured


def run_simulations(count: int, factor: float, sizes: tuple[float, ...]) -> None:
    """Print how many of the simulated histories are right, by the smallest planted step."""
    deviations = json.loads(NOISE.read_text())["deviations"]
    right: Counter[tuple[float, int]] = Counter()
    total: Counter[tuple[float, int]] = Counter()
    pairs: list[int] = []
    comparisons: Counter[int] = Counter()
    for seed in range(count):
        history = make_history(seed, sizes=sizes)
        found, measured = simulate(history, deviations, factor)
        named = {step.commit for step in found.steps if step.commit - step.before == 1}
        key = min(history.steps.values()), len(history.steps)
        total[key] += 1
        right[key] += named == {*history.steps}
        pairs.append(measured.pairs)
        comparisons[len(history.steps)] += measured.comparisons
        if named != {*history.steps}:
            print(f"history {seed}: planted {history.steps}, named {sorted(named)}, broken {sorted(history.broken)}")
    print(f"{'smallest step':>13} {'steps':>5} {'histories':>9} {'right':>7}")
    for key in sorted(total):
        print(f"{key[0] - 1:>13.0%} {key[1]:>5} {total[key]:>9} {right[key] / total[key]:>7.1%}")
    print(f"pairs per search: {sum(pairs) / count:.0f} on average, {max(pairs)} at most; comparisons by number of steps: "
          + ", ".join(f"{steps}: {comparisons[steps] / sum(n for key, n in total.items() if key[1] == steps):.1f}"
                      for steps in sorted(comparisons)))  # fmt: skip


def run_history(number: int, sizes: tuple[float, ...], options: Sequence[str]) -> bool:
    """Search one real history; print what was planted, what was named, and the costs."""
    history = make_history(number, sizes=sizes)
    with tempfile.TemporaryDirectory() as text:
        repository = Repository(Path(text) / "project", history)
        begin = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "pytest_perfguard", "bisect", f"{repository.test}::test_total",
             f"--good={repository.commits[0]}", "--json", *options],
            cwd=repository.folder, stdout=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
        seconds = time.monotonic() - begin
        found = json.loads(done.stdout) if done.stdout else {"steps": [], "pairs": 0, "comparisons": 0}
        places = {commit: place for place, commit in enumerate(repository.commits)}
        named = [[places[commit["commit"]] for commit in step["commits"]] for step in found["steps"]]
    right = [only[0] for only in named if len(only) == 1] == sorted(history.steps) and len(named) == len(history.steps)
    shares = ", ".join(f"{step['ratio']:.3f}" for step in found["steps"])
    print(f"history {number}: {'right' if right else 'WRONG'}; planted {history.steps}, named {named} ({shares}); "
          f"{found['comparisons']} comparisons, {found['pairs']} pairs, {seconds:.0f} s; broken {len(history.broken)}, "
          f"merges {len(history.merges)}, renamed {history.renamed}", flush=True)  # fmt: skip
    return right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", help="numbers of real histories, such as 0,1,2 (default: 0 to 19)")
    parser.add_argument("--simulate", type=int, help="number of histories with simulated measurements")
    parser.add_argument("--noise", type=float, default=1.0, help="factor of the recorded deviations")
    parser.add_argument("--sizes", help="factors of the steps, such as 1.05,1.1")
    parser.add_argument("--budget", help="--budget of perfguard bisect")
    options = parser.parse_args()
    sizes = tuple(map(float, options.sizes.split(","))) if options.sizes else SIZES
    if options.simulate:
        run_simulations(options.simulate, options.noise, sizes)
        return
    numbers = list(map(int, options.histories.split(","))) if options.histories else list(range(20))
    given = [f"--budget={options.budget}"] if options.budget else []
    right = sum(run_history(number, sizes, given) for number in numbers)
    print(f"{right} of {len(numbers)} histories right")


if __name__ == "__main__":
    main()
