"""The examples run as their README says."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(folder, *options):
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.every_plugin
@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir()))
def test_an_example_passes_and_can_be_measured(name, tmp_path):
    if name == "async_service":
        pytest.importorskip("anyio", reason="its tests are coroutine functions")
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    plain = run(folder)
    assert plain.returncode == 0, plain.stdout
    measured = run(folder, "--perf", "--perf-budget=400ms")
    assert measured.returncode == 0, measured.stdout
    # A leak check that a busy machine does not let end within this budget is inconclusive.
    assert any(f" {word} (" in measured.stdout for word in ("measured", "inconclusive")), measured.stdout


def test_the_demo_shows_green_and_red():
    if shutil.which("git") is None:
        pytest.skip("needs git")
    command = [sys.executable, "-m", "pytest_perfguard", "demo"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "##### compare a slower copy (fails)" in done.stdout
    told = done.stdout.partition("##### compare a slower copy (fails)")[2]
    for part in told.split("##### measure the changed tree against its last commit (fails)"):
        assert "FAILED test_prices.py::test_total - regression: time" in part, done.stdout
        assert "FAILED test_prices.py::test_discount" not in part, "the other test is not accused"
    assert done.returncode == 0
