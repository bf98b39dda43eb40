"""`perfguard demo`: record and compare a small project, and measure it side by side with a git revision."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Final, NamedTuple

from pytest_perfguard.cli.common import Verbs, add_verb, print_json, print_lines
from pytest_perfguard.cli.projects import commit_all, run_pytest
from pytest_perfguard.core.atomic_files import atomic_write
from pytest_perfguard.core.errors import CommandError


class DemoRun(NamedTuple):
    """One run of pytest."""

    title: str
    option: str
    slow: str
    """Value of the environment variable SLOWDOWN."""
    expected: int
    """Expected exit status."""


RUNS_WITH_BASELINE: Final = (
    DemoRun("record a baseline", "--perf-baseline", "", 0),
    DemoRun("compare the same code (passes)", "--perf-compare", "", 0),
    DemoRun("compare a slower copy (fails)", "--perf-compare", "1", 1),
)
RUN_AGAINST_REVISION: Final = DemoRun(
    "measure the changed tree against its last commit (fails)", "--perf-against=HEAD", "", 1
)


def add(verbs: Verbs) -> None:
    parser = add_verb(
        verbs, "demo", _run, "demonstrate perfguard with a small project",
        description="Copy a small project to a folder and run it: record a baseline, compare the same code (passes), compare a "
        "slower copy (fails), and measure a changed tree side by side with its last commit (fails). Takes about a minute.",
    )  # fmt: skip
    parser.add_argument("folder", nargs="?", help="folder for the project, which is kept (default: a temporary folder)")


def _run(options: argparse.Namespace) -> int:
    if options.folder:
        folder = Path(options.folder)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise CommandError(f"{folder} is not an empty folder; name a new folder")
        return _demonstrate(folder, as_json=options.json)
    with tempfile.TemporaryDirectory() as text:
        return _demonstrate(Path(text) / "demo", as_json=options.json)


def _demonstrate(folder: Path, *, as_json: bool) -> int:
    shutil.copytree(
        _project(), folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", ".*", "perf-*.json")
    )
    done = [_step(folder, step, quiet=as_json) for step in RUNS_WITH_BASELINE]
    if shutil.which("git"):
        commit_all(folder)
        library = folder / "prices.py"
        atomic_write(library, library.read_text(encoding="utf-8").replace("    if SLOW:", "    if True:"))
        done.append(_step(folder, RUN_AGAINST_REVISION, quiet=as_json))
    else:
        print_lines("##### git is not installed: the comparison with a revision is skipped", error=True)
    if as_json:
        print_json({"steps": done})
    return 0 if all(step["status"] == step["expected"] for step in done) else 1


def _step(folder: Path, step: DemoRun, *, quiet: bool) -> dict[str, object]:
    command = f"{'SLOWDOWN=1 ' * bool(step.slow)}pytest {step.option}"
    if not quiet:
        print(f"\n##### {step.title}: {command}", flush=True)
    status = run_pytest(folder, [step.option], quiet=quiet, more={"SLOWDOWN": step.slow}).returncode
    if not quiet:
        print(f"##### exit status {status}, expected {step.expected}", flush=True)
    return {"title": step.title, "command": command, "status": status, "expected": step.expected}


def _project() -> Path:
    """Return the folder of the project: in the installed package, or in a checkout."""
    here = Path(__file__).parent
    places = [here / "demo_project", here.parents[1] / "examples" / "slowdown"]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise CommandError(f"the demo's project is not installed (looked for {places[0]}); reinstall perfguard")
    return found
