"""Measure a large baseline file: its size, the time and memory of reading and writing it, and many writers at once.

    python benchmarks/baseline_size.py            # 100,000 tests, 20 writers
    python benchmarks/baseline_size.py 1000 20 --slow-disk
    python benchmarks/baseline_size.py 1000 0 --without-calls

Every step runs in a process of its own, whose peak of memory is reported. `--slow-disk` makes each sync take a second.
Each test has the numbers of calls of 12 functions, about as many as tests of small packages have; `--without-calls` has none.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tabulate import tabulate

from pytest_perfguard.core.errors import BaselineError
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Machine, Record
from pytest_perfguard.engine.baseline.schema import Baseline, MachineClass, from_text, to_text
from pytest_perfguard.engine.baseline.store import Store, with_records

MACHINE = Machine("linux-x86_64-made-up", {"cpu": "made up"})
PROCESSES = 10
FUNCTIONS = range(0 if "--without-calls" in sys.argv else 12)


def record(chance: random.Random) -> Record:
    """Return a record of ten processes."""

    def stats(unit: str, scale: float) -> MetricStats:
        minima = tuple(float(f"{scale * chance.uniform(1, 1.1):.6g}") for _ in range(PROCESSES))
        return MetricStats(unit, minima, tuple(float(f"{value * 1.05:.6g}") for value in minima), 40 * PROCESSES)

    metrics = {"time": stats("s", 1e-4), "cpu": stats("s", 1e-4), "memory": stats("B", 5e4)}
    paces = tuple(float(f"{chance.uniform(3e-4, 3.3e-4):.6g}") for _ in range(PROCESSES))
    conditions = {"collector": True, "parallel": False, "single": False}
    calls = {
        f"|src/shop/prices_{number}.py|Basket.total_{number}": float(chance.randrange(1, 100)) for number in FUNCTIONS
    }
    return Record("9f86d081884c7d65", "0123456789ab", 0.000312346, {"": 1000}, metrics, conditions, paces, (), calls)


def synthetic(tests: int) -> Baseline:
    chance = random.Random(7)
    names = (f"tests/unit/test_module_{number // 100}.py::test_case[{number}]" for number in range(tests))
    return Baseline(
        {MACHINE.name: MachineClass(MACHINE.facts, {"at": "now"}, {name: record(chance) for name in names})}
    )


def in_process(call: Callable[[], object]) -> tuple[float, ...]:
    """Return seconds, CPU seconds and peak memory in MiB of a call in a fresh process. The times exclude its start."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        begun, worked = time.perf_counter(), time.process_time()
        call()
        seconds, cpu = time.perf_counter() - begun, time.process_time() - worked
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        os.write(writer, f"{seconds} {cpu} {peak}".encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        figures = tuple(map(float, stream.read().split()))
    if os.waitpid(child, 0)[1]:
        sys.exit("a step failed")
    return figures


def put(path: Path, nodeid: str) -> None:
    new = {nodeid: record(random.Random(nodeid))}
    Store(path).update(lambda before: with_records(before, MACHINE, new, {"at": "later"}, None))


def writers(path: Path, count: int) -> tuple[float, int]:
    """Return the seconds until all writers are done, and how many of their tests are in the file."""
    begun = time.perf_counter()
    children = []
    for number in range(count):
        child = os.fork()
        if not child:
            try:
                put(path, f"new{number}")
            except BaselineError as error:
                print(error, flush=True)
                os._exit(1)
            os._exit(0)
        children.append(child)
    failed = sum(os.waitpid(child, 0)[1] != 0 for child in children)
    if failed:
        print(f"{failed} of {count} writers failed")
    seconds = time.perf_counter() - begun
    kept = Store(path).read().tests_of(MACHINE.name)
    return seconds, sum(f"new{number}" in kept for number in range(count))


def main() -> None:
    slow = "--slow-disk" in sys.argv
    numbers = [int(word) for word in sys.argv[1:] if word.isdigit()]
    tests, count = (*numbers, *(100_000, 20)[len(numbers) :])
    if slow:
        sync = os.fsync
        os.fsync = lambda descriptor: (time.sleep(1), sync(descriptor))[1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "perf-baseline.json")
        rows = [("create and write", *in_process(lambda: path.write_text(to_text(synthetic(tests)))))]
        rows.append(("json.loads alone", *in_process(lambda: json.loads(path.read_text()))))
        rows.append(("read and check", *in_process(lambda: from_text(path.read_text(), str(path)))))
        rows.append(("record one test: read, merge, write", *in_process(lambda: put(path, "one"))))
        print(f"{tests} tests, {path.stat().st_size / 2**20:.1f} MiB")
        print(tabulate(rows, ("step", "seconds", "CPU seconds", "peak MiB"), floatfmt=".2f"))
        for where, into in (("a new file", Path(folder, "new.json")), (f"the file of {tests} tests", path)):
            if not count:
                break
            seconds, kept = writers(into, count)
            print(f"{count} processes record at once into {where}: {seconds:.2f} s, {kept} of {count} kept")


if __name__ == "__main__":
    main()
