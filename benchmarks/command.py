"""Measure `perfguard compare` on a large baseline: seconds to load, judge and save, and peak memory.

python benchmarks/command.py [tests] [processes]
"""

from __future__ import annotations

import gc
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from pytest_perfguard.cli.common import Loaded
from pytest_perfguard.cli.compare import compare_class
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Record
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.engine.baseline.schema import Baseline, MachineClass
from pytest_perfguard.engine.baseline.store import Store

T = TypeVar("T")
CLASS = "linux-x86_64-synthetic"


def synthetic(tests: int, processes: int, seed: int) -> Baseline:
    """Return records of `tests` tests with four metrics each, whose times differ by 1 % between processes."""
    rnd = random.Random(seed)
    records = {}
    for index in range(tests):
        base = 1e-6 * (1 + index % 1000)
        minima = tuple(float(f"{base * (1 + abs(rnd.gauss(0, 0.01))):.6g}") for _ in range(processes))
        medians = tuple(float(f"{value * 1.05:.6g}") for value in minima)
        times = MetricStats("s", minima, medians, 40 * processes)
        sizes = MetricStats("B", (1000.0 + index,) * 3, (1000.0 + index,) * 3, 15)
        blocks = MetricStats("blocks", (0.0,) * 3, (0.0,) * 3, 9)
        metrics = {"time": times, "cpu": times, "memory": sizes, "blocks": blocks}
        nodeid = f"tests/test_module_{index // 50}.py::test_number_{index}"
        records[nodeid] = Record("0123456789ab", "0123456789ab", 3e-4, {"": 10}, metrics, {}, (3e-4,) * processes)
    return Baseline({CLASS: MachineClass({"cpu": "synthetic"}, {"at": "2026-01-01T00:00:00Z"}, records)})


def slowed(baseline: Baseline, share: int) -> Baseline:
    """Return the baseline with the time of every `share`-th test doubled."""
    part = baseline.classes[CLASS]
    tests = dict(part.tests)
    for nodeid in list(tests)[::share]:
        time_metric = tests[nodeid].metrics["time"]
        twice = replace(
            time_metric,
            minima=tuple(2 * value for value in time_metric.minima),
            medians=tuple(2 * value for value in time_metric.medians),
        )
        tests[nodeid] = replace(tests[nodeid], metrics={**tests[nodeid].metrics, "time": twice})
    return Baseline({CLASS: replace(part, tests=tests)})


def timed(name: str, call: Callable[[], T]) -> T:
    """Call, and print the duration."""
    begin = time.perf_counter()
    result = call()
    print(f"{name:40} {time.perf_counter() - begin:7.2f} s")
    return result


def main(tests: int = 10_000, processes: int = 20) -> None:
    """Print the figures."""
    gc.disable()  # as the command does
    settings = resolve(marker={}, command_line={}, ini={})
    with tempfile.TemporaryDirectory() as folder:
        before, after = Store(Path(folder) / "before.json"), Store(Path(folder) / "after.json")
        timed("save the first file", lambda: before.update(lambda _: synthetic(tests, processes, 1)))
        after.update(lambda _: slowed(synthetic(tests, processes, 2), 100))
        print(f"{'size of a file':40} {before.path.stat().st_size / 1e6:7.1f} MB")
        old = timed("load the first file", before.read)
        new = timed("load the second file", after.read)
        sides = Loaded(before.path, old), Loaded(after.path, new)
        report = timed("compare", lambda: compare_class(*sides, CLASS, str, settings, detailed=False))
        print(f"{'verdicts':40} {report.summary}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'peak resident memory':40} {peak:7.0f} MiB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
