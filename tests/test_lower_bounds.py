"""The lower bounds of what perfguard needs are versions that are tested."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def pins():
    """What `.ci/oldest.py` prints."""
    done = subprocess.run([sys.executable, str(ROOT / ".ci" / "oldest.py")], capture_output=True, text=True, check=True)
    return [line.partition(";")[0] for line in done.stdout.splitlines()]


def _tox():
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "tox.ini")
    return config


def test_every_dependency_has_a_lower_bound(pins):
    """`name>=version`, which is the form that can be pinned."""
    text = (ROOT / "pyproject.toml").read_text()
    needed = re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)[1]
    assert len(pins) == len(re.findall(r'^ *"', needed, re.MULTILINE)) == 5


def test_the_oldest_environment_has_exactly_the_lower_bounds(pins):
    """A bound that is raised in one place is raised in the other."""
    assert set(pins) <= set(_tox()["testenv:py310-oldest"]["deps"].split())


def test_every_python_is_tested_with_and_without_extras():
    """From the oldest that is supported on."""
    environments = _tox()["tox"]["env_list"].split()
    versions = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text())
    factors = ",".join(version.replace(".", "") for version in versions)
    assert {f"py{{{factors}}}", f"py{{{factors}}}-bare", f"py{factors[:3]}-oldest"} <= set(environments)
