"""Runs of pytest on the sample projects, under a condition of the machine: what verdicts.py measures with."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import random
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sample_projects import PROJECTS
from true_ratios import true_ratios

MODES = ("against", "confirm", "file")
CONDITIONS = ("quiet", "noisy", "load8", "shifted")
#: Longer runs are counted as broken.
TIMEOUT_SECONDS = 4 * 3600


@dataclass(frozen=True)
class Judged:
    """One verdict on one test, or the recording of one test; a broken run is one of these without a test."""

    goal: str
    """`unchanged`, `slower`, `faster`, `frames`, `recording`, or `broken run`."""
    mode: str
    condition: str
    project: str
    base: int
    """The base's units of work (its frames, of the project `frames`), and the head's."""
    head: int
    nodeid: str
    true: float
    """The true ratio of head and base."""
    verdict: str
    time_verdict: str
    """Of the metric below."""
    metric: str
    """`time`, or the first metric of time or CPU time that failed."""
    ratio: float | None
    interval: list[float] | None
    baseline: float | None
    red_for: list[str]
    """The metrics that are a regression."""
    seconds: float | None
    """Measuring time of the test."""
    wall: float
    """Seconds of the whole run, divided by its tests."""
    processes: int | None
    pairs: int | None
    pinned: bool | None
    reason: str


class Setup(NamedTuple):
    """What is run: the same for all comparisons of a trial."""

    mode: str
    condition: str
    project: str
    copies: int
    options: tuple[str, ...] = ()
    """Further options of pytest."""


# The machine --------------------------------------------------------------------------------------------------------


def _burst(seed: int) -> None:
    """Alternate work and rest, each of 5 ms to 1 s, for ever."""
    dice = random.Random(seed)
    while True:
        end = time.monotonic() + dice.uniform(0.005, 1.0)
        while time.monotonic() < end:
            sum(range(5_000))
        time.sleep(dice.uniform(0.005, 1.0))


def _work(_seed: int) -> None:
    while True:
        sum(range(5_000))


@contextlib.contextmanager
def neighbours(kind: str) -> Iterator[None]:
    """Other work on the machine: none (`quiet`), bursts in a process per two CPUs (`noisy`), eight busy processes (`load8`)."""
    count = {"quiet": 0, "noisy": max(1, (os.cpu_count() or 2) // 2), "load8": 8}[kind]
    target = _burst if kind == "noisy" else _work
    processes = [multiprocessing.Process(target=target, args=(seed,), daemon=True) for seed in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def neighbours_of(condition: str, *, recording: bool) -> str:
    """`shifted`: recorded while it is quiet, compared beside the noisy neighbour."""
    if condition != "shifted":
        return condition
    return "quiet" if recording else "noisy"


# The project --------------------------------------------------------------------------------------------------------


def git(folder: Path, *arguments: str) -> None:
    """Run git with an author of its own."""
    author = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True, stdout=subprocess.DEVNULL)


def make_project(folder: Path, setup: Setup, base: int) -> None:
    """Write the project; unless the baseline file is to stand alone, in a git repository of one commit with `base` units."""
    project = PROJECTS[setup.project]
    (folder / "library.py").write_text(project.library)
    (folder / "test_work.py").write_text(project.tests.replace("COPIES", str(setup.copies)))
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    (folder / ".gitignore").write_text("__pycache__\nreport.json\nperf-baseline.json\n.*.lock\n")
    set_units(folder, setup, base)
    if setup.mode != "file":
        git(folder, "init", "-q")
        git(folder, "add", "-A")
        git(folder, "commit", "-qm", f"{base} units")


def set_units(folder: Path, setup: Setup, units: int) -> None:
    """Set the constant that says how much work the library does."""
    constant = PROJECTS[setup.project].constant
    library = (folder / "library.py").read_text()
    (folder / "library.py").write_text(re.sub(f"^{constant} = [0-9]+", f"{constant} = {units}", library, flags=re.M))


def truth(project: str, base: int, heads: Iterable[int]) -> dict[tuple[str, int], float]:
    """(test function, head's units) -> true ratio; the function "" stands for all that are not named."""
    heads = sorted(set(heads))
    if PROJECTS[project].constant == "FRAMES":
        return {("", head): 1.0 for head in heads}
    found = {("", head): head / base for head in heads}
    if PROJECTS[project].measured_truth and any(head != base for head in heads):
        for test, ratios in true_ratios(project, [base, *(head for head in heads if head != base)]).items():
            found |= {(test, head): ratios[head] for head in heads}
    return found


# The run ------------------------------------------------------------------------------------------------------------


class Run(NamedTuple):
    """One run of pytest."""

    report: dict[str, Any]
    """The JSON report; empty where the run broke."""
    seconds: float
    status: int
    error: str = ""
    """The output, where the run broke."""


def run_pytest(folder: Path, *options: str, more: Mapping[str, str] | None = None) -> Run:
    """Run pytest in the folder, with `more` in its environment; without options it measures nothing and has no report."""
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    (folder / "note").write_text("so that the tree differs from its commit: an equal one is refused")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "GITHUB_"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    command += ["--perf-report=report.json"] if options else []
    start = time.monotonic()
    try:
        done = subprocess.run(
            command, cwd=folder, env={**environment, **(more or {})}, capture_output=True, text=True, check=False,
            timeout=TIMEOUT_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Run({}, time.monotonic() - start, -1, f"more than {TIMEOUT_SECONDS} seconds")
    seconds = time.monotonic() - start
    if done.returncode not in (0, 1) or (options and not report.exists()):
        output = f"pytest exited with {done.returncode}:\n{done.stdout}{done.stderr}"
        return Run({}, seconds, done.returncode, output)
    return Run(json.loads(report.read_text()) if options else {}, seconds, done.returncode)


def judge(
    folder: Path, setup: Setup, base: int, head: int, true: dict[tuple[str, int], float], *, recording: bool = False
) -> list[Judged]:
    """Record the base, or compare the head with it; one entry per test."""
    set_units(folder, setup, base if recording else head)
    comparison = "--perf-against=HEAD" if setup.mode == "against" else "--perf-compare"
    run = run_pytest(folder, "--perf-baseline" if recording else comparison, *setup.options)
    tests = run.report.get("tests", [])
    if not tests:
        print(run.error, flush=True)
        return [_broken_run(setup, base, head, run.seconds, run.error or "no test was measured")]
    goal = "recording" if recording else goal_of(setup.project, base, head)
    return [_judged(setup, goal, base, head, test, true, run.seconds / len(tests)) for test in tests]


def goal_of(project: str, base: int, head: int) -> str:
    if PROJECTS[project].constant == "FRAMES":
        return "frames"
    if head == base:
        return "unchanged"
    return "slower" if head > base else "faster"


def _judged(
    setup: Setup, goal: str, base: int, head: int, test: dict[str, Any], true: dict[tuple[str, int], float], wall: float
) -> Judged:
    metrics = test["metrics"]
    metric: dict[str, Any] = leading(metrics)
    function = re.sub(r"\[.*", "", test["nodeid"].rpartition("::")[2])
    paired = test.get("paired") or {}
    return Judged(
        goal=goal, mode=setup.mode, condition=setup.condition, project=setup.project, base=base, head=head,
        nodeid=test["nodeid"], true=true.get((function, head), true["", head]),
        verdict="broken" if test.get("broken") else test["verdict"] or "measured",
        time_verdict=metric.get("verdict") or "", metric=metric.get("name", ""), ratio=metric.get("ratio"),
        interval=metric.get("interval"), baseline=metric.get("baseline"), red_for=red_metrics(metrics),
        seconds=test.get("seconds"), wall=wall, processes=test.get("processes"), pairs=paired.get("pairs"),
        pinned=paired.get("pinned"), reason=test.get("reason") or "",
    )  # fmt: skip


def _broken_run(setup: Setup, base: int, head: int, seconds: float, error: str) -> Judged:
    return Judged(
        goal="broken run", mode=setup.mode, condition=setup.condition, project=setup.project, base=base, head=head,
        nodeid="", true=1.0, verdict="broken", time_verdict="", metric="", ratio=None, interval=None, baseline=None,
        red_for=[], seconds=None, wall=seconds, processes=None, pairs=None, pinned=None, reason=error[-2000:],
    )  # fmt: skip


def is_duration(name: str) -> bool:
    """Is it wall or CPU time, of the test or of a measurement point (`time:parse`)?"""
    return name.partition(":")[0] in ("time", "cpu")


def red_metrics(metrics: Sequence[dict[str, Any]]) -> list[str]:
    """The names of the metrics that are a regression."""
    return [metric["name"] for metric in metrics if metric["verdict"] == "regression"]


def leading(metrics: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The first metric of time or CPU time that is a regression, wall time before CPU time; else the first of wall time."""
    durations = sorted(
        (metric for metric in metrics if is_duration(metric["name"])),
        key=lambda metric: (metric["verdict"] != "regression", not metric["name"].startswith("time")),
    )
    return durations[0] if durations else {}
