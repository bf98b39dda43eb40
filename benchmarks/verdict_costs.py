"""Seconds of a large suite, of a small budget, and of the demonstration: what verdicts.py measures besides verdicts."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sample_projects_slow import BUDGET_TESTS, LARGE_CONFTEST, LARGE_MARKED, LARGE_TESTS
from verdict_runs import git, is_duration, red_metrics, run_pytest

MARKED = 10
FILES = 30
EXAMPLE = Path(__file__).resolve().parents[1] / "examples" / "slowdown"
#: (step, option, the environment variable that switches the slowdown on, exit status)
DEMO_STEPS = (
    ("record a baseline", "--perf-baseline", "", 0),
    ("compare the same code", "--perf-compare", "", 0),
    ("compare a slowed copy", "--perf-compare", "1", 1),
    ("a slowed tree against its commit", "--perf-against=HEAD", "", 1),
)
Cost = dict[str, Any]
Keep = Callable[[Cost], None]


def large(keep: Keep, *, cycles: int, collected: int, import_seconds: float) -> None:
    """Every mode on a suite of many tests, ten of them marked, whose conftest computes for some seconds."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (folder / "conftest.py").write_text(LARGE_CONFTEST.replace("SECONDS", str(import_seconds)))
        (folder / "pytest.ini").write_text("[pytest]\n")
        for number in range(FILES):
            marked = number < MARKED
            count = (collected * (number + 1)) // FILES - (collected * number) // FILES - marked
            tests = LARGE_TESTS.replace("COUNT", str(count)) + LARGE_MARKED * marked
            (folder / f"test_{number:02}.py").write_text(tests)
        commit_all(folder)
        for _ in range(cycles):
            for step, options in (
                ("ordinary run, nothing measured", ()), ("--perf", ("--perf",)), ("record", ("--perf-baseline",)),
                ("compare", ("--perf-compare",)), ("against", ("--perf-against=HEAD",)),
            ):  # fmt: skip
                keep(cost(folder, "large", step, MARKED, *options))


def budget(keep: Keep, *, cycles: int, count: int) -> None:
    """Many trivial tests with a budget of 10 ms each."""
    few = ("--perf-budget=10ms", "--perf-metrics=time")
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        (folder / "test_trivial.py").write_text(BUDGET_TESTS.replace("COUNT", str(count)))
        (folder / "pytest.ini").write_text("[pytest]\n")
        commit_all(folder)
        for _ in range(cycles):
            keep(cost(folder, "budget", "ordinary run, nothing measured", count))
            keep(cost(folder, "budget", "--perf", count, "--perf", *few))
            keep(cost(folder, "budget", "against", count, "--perf-against=HEAD", *few))


def cost(folder: Path, goal: str, step: str, tests: int, *options: str) -> Cost:
    """One run of pytest, in seconds."""
    run = run_pytest(folder, *options)
    if run.error:
        raise SystemExit(run.error)
    found = run.report.get("tests", [])
    verdicts = Counter(test["verdict"] or ("broken" if test["broken"] else "measured") for test in found)
    return {"goal": goal, "step": step, "tests": tests, "seconds": run.seconds, "verdicts": dict(verdicts)}


def demo(keep: Keep, *, times: int) -> None:
    """The steps of `perfguard demo` on its project, with a report of each: was it red, and red for time?"""
    for _ in range(times):
        with tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            for name in ("prices.py", "test_prices.py", "pytest.ini"):
                shutil.copy(EXAMPLE / name, folder)
            for step, option, slow, status in DEMO_STEPS:
                if "against" in option:
                    commit_all(folder)
                    library = folder / "prices.py"
                    library.write_text(library.read_text().replace("    if SLOW:", "    if True:"))
                keep(_demo_step(folder, step, option, slow, status))


def _demo_step(folder: Path, step: str, option: str, slow: str, expected: int) -> Cost:
    run = run_pytest(folder, option, more={"SLOWDOWN": slow})
    print(run.error, end="", flush=True)
    tests = run.report.get("tests", [])
    red = {test["nodeid"]: red_metrics(test["metrics"]) for test in tests if test["verdict"] == "regression"}
    return {
        "goal": "demo", "step": step, "tests": 2, "seconds": run.seconds, "status": run.status,
        "expected": run.status == expected,
        "red": all(any(map(is_duration, names)) for names in red.values()) and bool(red) if expected else None,
        "red_for": red,
    }  # fmt: skip


def commit_all(folder: Path) -> None:
    """Make the folder a git repository with one commit."""
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "first")
