"""Check that each arm of `--perf-against` runs its own code, for all layouts and kinds of installation of a project.

Creates one small library in four layouts (src and flat layout, tests outside and inside) and installs it in three ways (not
at all, editable, plain) with pip, each in a virtual environment of its own. The head is 30 % slower than the base, in the
library only: if an arm ran the other one's code, no difference would be found. Also compares a tree with the same library.
Needs git, and pip with a network.

    python benchmarks/layouts.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

PROJECT = """
[build-system]
requires = ["setuptools>=68"]
build-backend = "setuptools.build_meta"

[project]
name = "sample-library"
version = "1"

[tool.setuptools.packages.find]
{find}

[tool.pytest.ini_options]
{pytest}
perf_metrics = "time"
"""
LIBRARY = "def work():\n    return sum(range(2_000))\n"
SLOWER = "def work():\n    return sum(range(2_600))\n"
TEST = "import pytest\nfrom sample.core import work\n\n@pytest.mark.perf\ndef test_work():\n    work()\n"
#: name -> (folder of the package, file of the test, setuptools' setting, pytest's setting if nothing is installed)
LAYOUTS = {
    "src, tests outside": ("src/sample", "tests/test_core.py", 'where = ["src"]', 'pythonpath = ["src"]'),
    "flat, tests outside": ("sample", "tests/test_core.py", 'include = ["sample*"]', 'pythonpath = ["."]'),
    "flat, tests inside": ("sample", "sample/tests/test_core.py", 'include = ["sample*"]', 'pythonpath = ["."]'),
    "src, tests inside": ("src/sample", "src/sample/tests/test_core.py", 'where = ["src"]', 'pythonpath = ["src"]'),
}
INSTALLS = {"not installed": None, "editable": ["-e", "."], "installed": ["."]}


def make(folder: Path, layout: str, *, installed: bool) -> Path:
    """Create the project in a git repository with one commit; return the file of the library."""
    package, test, find, path = LAYOUTS[layout]
    files = {
        f"{package}/__init__.py": "",
        f"{package}/core.py": LIBRARY,
        test: TEST,
        "pyproject.toml": PROJECT.format(find=find, pytest="" if installed else path),
        ".gitignore": "__pycache__\nbuild\n*.egg-info\nreport.json\n.pytest_cache\n",
    }
    if "inside" in layout:
        files[f"{package}/tests/__init__.py"] = ""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    for command in ("init -q", "add -A", "-c user.name=x -c user.email=x@example.org commit -qm first"):
        subprocess.run(["git", *command.split()], cwd=folder, check=True)
    return folder / package / "core.py"


def environment(folder: Path) -> Path:
    """Create a virtual environment that can import this one's packages; return its interpreter."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    command = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    Path(site, "outer.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def verdict(folder: Path, python: Path) -> str:
    """Return the verdict on the one test, with its ratio."""
    command = [
        python,
        "-m",
        "pytest",
        "-q",
        "--perf-against=HEAD",
        "--perf-report=report.json",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run([*map(os.fspath, command)], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        return f"exit status {done.returncode}: {done.stderr.strip()[-300:]}"
    (test,) = json.loads((folder / "report.json").read_text())["tests"]
    return f"{test['verdict']} x{test['metrics'][0]['ratio']:.3f}"


def main() -> int:
    surprises = 0
    for layout in LAYOUTS:
        for install, arguments in INSTALLS.items():
            with tempfile.TemporaryDirectory() as text:
                python = environment(Path(text, "venv"))
                folder = Path(text, "project")
                library = make(folder, layout, installed=arguments is not None)
                told = {}
                for name, content in (("slower", SLOWER), ("the same", LIBRARY + "# a remark\n")):
                    library.write_text(content)
                    if arguments:
                        subprocess.run([python, "-m", "pip", "install", "-q", *arguments], cwd=folder, check=True)
                    told[name] = verdict(folder, python)
            # Only a wrong verdict or an error indicates the wrong code; an inconclusive verdict does not.
            right = told["slower"].startswith("regression") and told["the same"].startswith(
                ("unchanged", "inconclusive")
            )
            surprises += not right
            print(f"{layout:20} {install:14} slower: {told['slower']:20} the same: {told['the same']}", flush=True)
    print("every arm ran its own code" if not surprises else f"{surprises} of them wrong")
    return 1 if surprises else 0


if __name__ == "__main__":
    sys.exit(main())
