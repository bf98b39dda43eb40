"""How often is a verdict wrong? False alarms and misses on a project with exact slowdowns.

Makes a small project (sample_projects.py), each test of which repeats one unit of work REPEAT times, so that a slowdown is
real extra work of a known amount: 20 -> 21 is 5 %, 20 -> 22 is 10 %. Compares unchanged code, then slower code; quiet, and
beside a noisy neighbour that this script starts and stops. Prints rates with 95 % (Wilson) limits and seconds per test.

    python benchmarks/verdicts.py --mode against     each comparison is `--perf-against=HEAD`
    python benchmarks/verdicts.py --mode compare     the baseline file alone: a project without git
    python benchmarks/verdicts.py --mode confirm     the baseline file, its suspects confirmed beside its commit
    python benchmarks/verdicts.py --project long     calls of 5 ms to a second, waiting calls, parallel ones
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import multiprocessing
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from sample_projects import PROJECTS

RED = {"regression"}


def neighbour(seed: int) -> None:
    """Bursts of work and of rest, 5 ms to 1 s, for ever."""
    dice = random.Random(seed)
    while True:
        end = time.monotonic() + dice.uniform(0.005, 1.0)
        while time.monotonic() < end:
            sum(range(5_000))
        time.sleep(dice.uniform(0.005, 1.0))


@contextlib.contextmanager
def condition(name: str) -> Iterator[None]:
    """The neighbour, for the condition `noisy`: one process per two CPUs."""
    count = max(1, (os.cpu_count() or 2) // 2) if name == "noisy" else 0
    processes = [multiprocessing.Process(target=neighbour, args=(seed,), daemon=True) for seed in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def make_project(folder: Path, kind: str, *, copies: int, versioned: bool) -> None:
    """The project; in a git repository with one commit if `versioned`."""
    library, tests = PROJECTS[kind]
    (folder / "library.py").write_text(library)
    (folder / "test_work.py").write_text(tests.replace("COPIES", str(copies)))
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    (folder / ".gitignore").write_text("__pycache__\nreport.json\n.*.lock\n")
    if versioned:
        for command in ("init -q", "add -A", "-c user.name=x -c user.email=x@example.org commit -qm first"):
            subprocess.run(["git", *command.split()], cwd=folder, check=True)


def run(folder: Path, *options: str, repeat: int) -> tuple[Counter[str], float, int, list[str]]:
    """One pytest run -> (verdicts, seconds, tests, descriptions of the ones that are wrong)."""
    library = (folder / "library.py").read_text()
    (folder / "library.py").write_text(re.sub("REPEAT = [0-9]+", f"REPEAT = {repeat}", library))
    (folder / "note").write_text("a tree that is equal to its commit is refused")
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--perf-report=report.json", *options],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    seconds = time.monotonic() - start
    if done.returncode not in (0, 1):
        raise SystemExit(f"pytest exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    tests = json.loads((folder / "report.json").read_text())["tests"]
    expected = "unchanged" if repeat == 20 else "regression"
    told = [f"{test['nodeid']} {test['verdict']} {_numbers(test)}" for test in tests if test["verdict"] != expected]
    return Counter(test["verdict"] or "measured" for test in tests), seconds, len(tests), told


def _numbers(test: dict) -> str:
    return ", ".join(f"{m['name']} x{m['ratio']:.3f} {m['verdict']}" for m in test["metrics"] if m["ratio"] is not None)


def wilson(hits: int, count: int) -> str:
    """`2.1 % (0.4 to 6.0 %) of 95`."""
    if not count:
        return "none"
    z, share = 1.96, hits / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return f"{100 * share:5.1f} % ({100 * max(0, centre - half):.1f} to {100 * min(1, centre + half):.1f} %) of {count}"


def trial(name: str, options: argparse.Namespace) -> None:
    """All cycles under one condition, and their figures."""
    found: dict[int, Counter[str]] = {repeat: Counter() for repeat in (20, *options.slowdowns)}
    spent: dict[str, list[float]] = {"baseline": [], "unchanged": []}
    with tempfile.TemporaryDirectory() as text, condition(name):
        folder = Path(text)
        make_project(folder, options.project, copies=options.copies, versioned=options.mode != "compare")
        comparison = "--perf-against=HEAD" if options.mode == "against" else "--perf-compare"
        for cycle in range(options.cycles):
            if options.mode != "against":
                _verdicts, seconds, tests, _told = run(folder, "--perf-baseline", repeat=20)
                spent["baseline"].append(seconds / tests)
            for repeat in (*[20] * options.compares, *options.slowdowns):
                verdicts, seconds, tests, told = run(folder, comparison, repeat=repeat)
                found[repeat] += verdicts
                if repeat == 20:
                    spent["unchanged"].append(seconds / tests)
                print(f"  {name} cycle {cycle + 1}: {repeat}/20: {dict(verdicts)}, {seconds:.1f} s", flush=True)
                for line in told if options.details else []:
                    print(f"      {line}", flush=True)
    for repeat, verdicts in found.items():
        count = verdicts.total()
        red, open_ = sum(verdicts[word] for word in RED), verdicts["inconclusive"]
        label = "unchanged code: false alarms" if repeat == 20 else f"{(repeat - 20) * 5} % slower: found"
        print(f"{name:6} {label:30} {wilson(red, count)};  inconclusive {wilson(open_, count)}")
    for kind, seconds in spent.items():
        if seconds:
            print(f"{name:6} seconds per test, {kind:12} {sum(seconds) / len(seconds):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", choices=("against", "compare", "confirm"), default="against")
    parser.add_argument("--project", choices=sorted(PROJECTS), default="short")
    parser.add_argument("--cycles", type=int, default=3)
    parser.add_argument("--compares", type=int, default=3, help="comparisons of unchanged code per cycle")
    parser.add_argument("--copies", type=int, default=3, help="tests of each kind")
    parser.add_argument("--conditions", default="quiet,noisy")
    parser.add_argument("--slowdowns", default="21,22", help="units of work of the slower code; 20 is the baseline's")
    parser.add_argument(
        "--details", action="store_true", help="print every test that got another verdict than it should"
    )
    options = parser.parse_args()
    options.slowdowns = [int(text) for text in options.slowdowns.split(",") if text]
    for name in options.conditions.split(","):
        trial(name, options)


if __name__ == "__main__":
    main()
