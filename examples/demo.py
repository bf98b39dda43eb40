"""The main job in one go, on a copy of examples/slowdown: first with a baseline file, then against a git revision.

python examples/demo.py
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

#: (title, options, SLOWDOWN, expected exit status)
WITH_A_FILE = (
    ("record a baseline", ["--perf-baseline"], "", 0),
    ("compare the same code: green", ["--perf-compare"], "", 0),
    ("compare a slowed copy: red", ["--perf-compare"], "1", 1),
)
AGAINST_A_REVISION = (("the changed tree against its last commit: red", ["--perf-against=HEAD"], "", 1),)


def pytest(folder: Path, title: str, options: list[str], slow: str, expected: int) -> bool:
    """Run one step; did it end as it should?"""
    print(f"\n##### {title}: {'SLOWDOWN=1 ' * bool(slow)}pytest {' '.join(options)}", flush=True)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    status = subprocess.run(command, cwd=folder, env={**os.environ, "SLOWDOWN": slow}, check=False).returncode
    print(f"##### exit status {status}, expected {expected}", flush=True)
    return status == expected


def commit_and_change(folder: Path) -> None:
    """A git repository with one commit, and a tree that is slower than it."""
    for command in ("init -q", "add -A", "-c user.name=demo -c user.email=demo@example.org commit -qm first"):
        subprocess.run(["git", *command.split()], cwd=folder, check=True)
    library = folder / "prices.py"
    library.write_text(library.read_text().replace("    if SLOW:", "    if True:"))


def main() -> int:
    """Run the steps; 0 if each ended as it should."""
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text) / "slowdown"
        ignored = shutil.ignore_patterns("__pycache__", ".*", "perf-baseline.json")
        shutil.copytree(Path(__file__).parent / "slowdown", folder, ignore=ignored)
        ended_well = [pytest(folder, *step) for step in WITH_A_FILE]
        if shutil.which("git"):
            commit_and_change(folder)
            ended_well += [pytest(folder, *step) for step in AGAINST_A_REVISION]
        else:
            print("\n##### no git here: the part against a revision is left out")
    return 0 if all(ended_well) else 1


if __name__ == "__main__":
    sys.exit(main())
