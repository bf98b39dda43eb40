"""How often an explanation names the guilty function: planted causes, profiled on both sides and explained.

python benchmarks/explanations.py [modules | packages] [unchanged] [words of case names ...]

Each case is a project with a module as it was and as it was edited: one of the standard library or of a small program
(benchmarks/explanation_cases.py), or of an installed package (benchmarks/explanation_packages.py). Both are timed,
then profiled as a run profiles a regression, and explained. The guilty function is the one whose code the edit changed;
it counts as named by a line that blames it, or blames a function and gives it as the caller that calls more often. The
second table compares: the amounts by the deterministic profile or by samples alone, and plain cProfile of the head,
sorted by own time. Unchanged pairs are two copies of one tree, with the difference that was measured and with one of 20 %;
`unchanged` makes only these.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from explanation_cases import CASES, Case
from explanation_packages import PACKAGE_CASES

from pytest_perfguard.core.explanation import MetricExplanation
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.engine.profile.explanation import explain_memory, explain_time
from pytest_perfguard.engine.profile.lines import blame_line
from pytest_perfguard.engine.profile.plan import ArmProfiles, PointPlan
from pytest_perfguard.engine.profile.profile_runner import Arm, profile_tests
from pytest_perfguard.engine.runner.process import Launch
from pytest_perfguard.engine.runner.scheduler import MeasuredTest
from pytest_perfguard.plugin.schedule import PYTEST_PROGRAM

TEST = """
import asyncio, random
import pytest
import lib

DATA = [float(n) for n in range(100)]
if lib.__file__ and hasattr(lib, "ConfigParser"):
    PARSER = lib.RawConfigParser()
    PARSER.read_string("[s]\\n" + "\\n".join("k%d = v" % n for n in range(60)))
if hasattr(lib, "ip_network"):
    NET = lib.ip_network("10.0.0.0/24")

@pytest.mark.perf
def test_case():
    {body}
"""
PACKAGE_TEST = """
import pytest

@pytest.mark.perf
def test_case():
    {body}
"""
PLUGINS: Final = ("-p", "no:cacheprovider", "-p", "pytest_perfguard.plugin", "-p", "pytest_asyncio.plugin")
ENVIRONMENT: Final = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
ASYNC_MARK: Final = "@pytest.mark.asyncio\nasync def test_case"
TIMER = """
import sys, time, asyncio, inspect
sys.path.insert(0, ".")
import test_lib
if inspect.iscoroutinefunction(test_lib.test_case):
    loop = asyncio.new_event_loop()
    call = lambda: loop.run_until_complete(test_lib.test_case())
else:
    call = test_lib.test_case
call()
best, end = 1e9, time.perf_counter() + 0.1
while time.perf_counter() < end:
    start = time.perf_counter()
    call(); call()
    best = min(best, (time.perf_counter() - start) / 2)
import tracemalloc
tracemalloc.start()
call()
tracemalloc.reset_peak()
before = tracemalloc.get_traced_memory()[0]
call()
print(best, tracemalloc.get_traced_memory()[1] - before)
"""


def main() -> None:
    """Explain every case and print what was named."""
    groups = {"modules": CASES, "packages": PACKAGE_CASES}
    wanted = [word for word in sys.argv[1:] if word not in (*groups, "unchanged")]
    chosen = [group for group in groups if group in sys.argv[1:]] or list(groups)
    for group in chosen:
        cases = [
            case for case in groups[group] if not wanted or any(word in f"{case.kind} {case.name}" for word in wanted)
        ]
        if not cases:
            continue
        print(f"\n{group}")
        if "unchanged" not in sys.argv[1:]:
            summarize(cases)
        unchanged(cases)


def summarize(cases: list[Case]) -> None:
    """Explain these cases and print how often the guilty function was named."""
    found = [row for case in cases for row in attempt(case)]
    print()
    print(
        f"{len(found)} causes of {len({case.kind for case in cases})} kinds, {sum(case.real for case in cases)} in real modules"
    )
    for name in ("explanation", "calls alone", "samples alone", "plain cProfile, own time"):
        ranks = [row[name] for row in found if name in row]
        first, third = sum(rank == 1 for rank in ranks), sum(0 < rank <= 3 for rank in ranks)
        print(
            f"{name:<26} first {first} of {len(ranks)} ({first / len(ranks):.0%}), first three {third} ({third / len(ranks):.0%})"
        )
    for name, meaning in (("seconds", "seconds"), ("cpu", "CPU seconds of both processes")):
        spent = sorted(row[name] for row in found)
        print(f"{meaning} per explanation: median {spent[len(spent) // 2]:.2f}, most {spent[-1]:.2f}")
    strict = sum(row["blamed itself"] == 1 for row in found)
    print(f"the guilty function itself is the one blamed first, not its callee: {strict} of {len(found)}")


def attempt(case: Case) -> Iterator[dict[str, float]]:
    """Explain one case; yields the ranks of the guilty function by each way."""
    with tempfile.TemporaryDirectory() as folder:
        base, head = project(Path(folder) / "base", case, case.source), project(Path(folder) / "head", case, case.head)
        (before, low), (now, high) = measured(base), measured(head)
        taken, seconds = profiled([base, head], (before, now), memory=case.memory)
    if case.memory:
        told = explain_memory(taken[0].allocations, taken[1].allocations, metric="memory", unit="B", loss=high - low)
        row = {"explanation": rank(told, case.guilty)}
    else:
        sides = taken[0].side(before), taken[1].side(now)
        told = explain_time(*sides, metric="time", loss=now - before)
        row = {
            "explanation": rank(told, case.guilty),
            "calls alone": rank(explain_time(*sides, metric="time", loss=now - before, use="calls"), case.guilty),
            "samples alone": rank(explain_time(*sides, metric="time", loss=now - before, use="samples"), case.guilty),
            "plain cProfile, own time": plain_rank(taken[1], case.guilty),
        }
    row["seconds"], row["cpu"] = seconds
    row["blamed itself"] = next((1 for blame in told.blames[:1] if blame.location.name == case.guilty), 0)
    change = f"{now / before:5.2f}x" if not case.memory else f"{high / max(low, 1):5.1f}x"
    line = blame_line(told.blames[0], told) if told.blames else "nothing blamed"
    print(f"{case.kind:<22} {case.name[:40]:<40} {change} rank {row['explanation']}  {line}")
    if row["explanation"] != 1:
        for blame in told.blames[1:]:
            print(" " * 70, blame_line(blame, told))
    yield row


def project(folder: Path, case: Case, source: str) -> Path:
    """Write one tree."""
    folder.mkdir()
    text = (PACKAGE_TEST if case.package else TEST).replace("{body}", case.test)
    if "await " in case.test:
        text = text.replace("def test_case", ASYNC_MARK)
    if case.package:
        package = folder / Path(case.package).name
        shutil.copytree(case.package, package, ignore=shutil.ignore_patterns("__pycache__"))
        (package / case.module).write_text(source, encoding="utf-8")
    else:
        (folder / "lib.py").write_text(source, encoding="utf-8")
    (folder / "test_lib.py").write_text(text, encoding="utf-8")
    (folder / "pytest.ini").write_text(
        "[pytest]\npythonpath = .\nasyncio_default_fixture_loop_scope = function\n", encoding="utf-8"
    )
    return folder


def measured(folder: Path) -> tuple[float, float]:
    """Least seconds and peak bytes of a call."""
    rounds = []
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", TIMER], cwd=folder, capture_output=True, text=True, check=True)
        seconds, size = done.stdout.split()
        rounds.append((float(seconds), float(size)))
    return min(seconds for seconds, _size in rounds), min(size for _seconds, size in rounds)


def profiled(
    folders: list[Path], seconds: tuple[float, float], *, memory: bool = False
) -> tuple[list[ArmProfiles], tuple[float, float]]:
    """Profile the trees as a run does."""
    start, before = time.perf_counter(), cpu_of_children()
    roots = tuple(map(os.fspath, folders))
    arms = [
        Arm(
            Launch(
                ["-q", *PLUGINS, "test_lib.py"],
                folder,
                PYTEST_PROGRAM,
                environment=ENVIRONMENT,
                arm=arm,
                map_path=lambda file, folder=folder: os.fspath(folder / Path(file).name),
            ),
            os.fspath(folder),
        )
        for folder, arm in zip(folders, ("base", "head"), strict=True)
    ]
    subject = MeasuredTest(
        "test_lib.py::test_case",
        os.fspath(folders[1] / "test_lib.py"),
        resolve(marker={}, command_line={}, ini={}),
        0.1,
    )
    plan = PointPlan(seconds, roots, times=not memory, memory=memory)
    _subject, outcome = next(iter(profile_tests(arms, [(subject, {"": plan})])))
    if isinstance(outcome, Exception):
        raise outcome
    return outcome[""], (time.perf_counter() - start, cpu_of_children() - before)


def cpu_of_children() -> float:
    """CPU seconds of the processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def rank(told: MetricExplanation, guilty: str) -> int:
    """The place of the first line that names the function; 0: none does."""
    for place, blame in enumerate(told.blames, start=1):
        if guilty in (blame.location.name, blame.caller.name if blame.caller is not None else ""):
            return place
    return 0


def plain_rank(head: ArmProfiles, guilty: str) -> int:
    """The place of the function in a plain profile of the head, sorted by own time."""
    costs = head.side(0.0).calls.costs
    ordered = sorted(costs, key=lambda function: -costs[function].own)
    return next((place for place, function in enumerate(ordered, start=1) if function.name == guilty), 0)


def unchanged(cases: list[Case]) -> None:
    """Pairs of equal trees: nothing may be blamed."""
    blamed = {"measured": 0, "of 20 %, made up": 0}
    pairs = 0
    for case in cases[::3]:
        with tempfile.TemporaryDirectory() as folder:
            base, head = (
                project(Path(folder) / "base", case, case.source),
                project(Path(folder) / "head", case, case.source),
            )
            (before, _low), (now, _high) = measured(base), measured(head)
            taken, _seconds = profiled([base, head], (before, before))
            pairs += 1
            for kind, loss in zip(blamed, (now - before, 0.2 * before), strict=True):
                told = explain_time(taken[0].side(before), taken[1].side(before + loss), metric="time", loss=loss)
                blamed[kind] += bool(told.blames)
                if told.blames:
                    print(f"unchanged {case.name}, {loss / before:.1%}: {blame_line(told.blames[0], told)}")
    for kind, count in blamed.items():
        print(f"unchanged pairs with a blamed function, loss {kind}: {count} of {pairs}")


if __name__ == "__main__":
    main()
