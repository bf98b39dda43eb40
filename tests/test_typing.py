"""The public names as type checkers see them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pytest_perfguard
from tests.docs.documents import PAGES, blocks

ROOT = Path(__file__).parents[1]
WRONG = """
from pytest_perfguard import PerfMonitor
from pytest_perfguard.compat import Benchmark
import pytest_perfguard

pytest_perfguard.no_such_pool
pytest_perfguard.__version__.upper()
"""
#: Lines of WRONG that a type checker has to reject.
WRONG_LINES = {2, 3, 6}


@pytest.fixture
def files(tmp_path):
    """The example of the page, and a file with wrong names."""
    (example,) = blocks(PAGES["typing.md"], "python")
    (tmp_path / "test_example.py").write_text(example)
    (tmp_path / "wrong.py").write_text(WRONG)
    return tmp_path


def check(command, folder):
    """Return the files and lines with errors."""
    environment = {"MYPYPATH": str(ROOT), "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return {
        (Path(file).name, int(line))
        for file, line in re.findall(r"^\s*(\S+\.py):(\d+).*error", done.stdout, re.MULTILINE)
    }, done.stdout + done.stderr


EXPECTED = {("wrong.py", line) for line in WRONG_LINES}


def test_mypy_knows_the_fixtures_and_rejects_wrong_names(files):
    pytest.importorskip("mypy", reason="needs mypy")
    options = ["--strict", "--follow-imports=silent", "--ignore-missing-imports", "--cache-dir", ROOT / ".mypy_cache"]
    command = [sys.executable, "-m", "mypy", *options, "test_example.py", "wrong.py"]
    found, output = check(command, files)
    assert found == EXPECTED, output


def test_pyright_knows_the_fixtures_and_rejects_wrong_names(files):
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    pyright = shutil.which("basedpyright", path=folders) or shutil.which("pyright", path=folders)
    if pyright is None:
        pytest.skip("needs pyright")
    (files / "pyrightconfig.json").write_text(f'{{"extraPaths": ["{ROOT}"], "typeCheckingMode": "standard"}}')
    found, output = check([pyright, "--pythonpath", sys.executable, "test_example.py", "wrong.py"], files)
    assert found == EXPECTED, output


def test_the_example_of_the_page_runs(pytester, plugins_of_runs):
    pytester.makepyfile(*blocks(PAGES["typing.md"], "python"))
    pytester.runpytest_subprocess("-W", "ignore").assert_outcomes(passed=7)


@pytest.mark.parametrize("module", ["pytest_perfguard", "pytest_perfguard.compat"])
def test_dir_lists_the_public_names_and_no_other(module):
    code = f"import {module} as module; print(*dir(module)); print(*module.__all__)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    listed, public = ({name for name in line.split() if not name.startswith("_")} for line in done.stdout.splitlines())
    assert listed == public


def test_every_fixture_of_the_plugin_has_a_public_type():
    """The page names it."""
    from pytest_perfguard import plugin

    fixtures = [name for name in plugin.__all__ if not name.startswith("pytest_")]
    rows = {
        fixture: row_type
        for names, row_type in re.findall(r"^\| (`.*`) \| `(\w+)` \|", PAGES["typing.md"], re.MULTILINE)
        for fixture in re.findall(r"`(\w+)`", names)
    }
    assert {*fixtures} <= {*rows}
    assert {*rows.values()} <= {*pytest_perfguard.__all__}
