"""Create small projects and run pytest in them, for the verbs `noise` and `demo`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pytest_perfguard.core.errors import CommandError
from pytest_perfguard.core.git import git

_AUTHOR: Final = ("-c", "user.name=perfguard", "-c", "user.email=perfguard@localhost", "-c", "commit.gpgsign=false")


def commit_all(folder: Path) -> None:
    """Make the folder a git repository with one commit that contains all files.

    Raises
    ------
    CommandError
        if git is not installed.
    """
    if shutil.which("git") is None:
        raise CommandError("this needs git, which is not installed")
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, *_AUTHOR, "commit", "--quiet", "--message=first")


def pytest_command(options: Sequence[str]) -> list[str]:
    """Return the command of pytest with this interpreter, without a cache between runs."""
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]


def run_pytest(
    folder: Path, options: Sequence[str], *, quiet: bool, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run pytest in the folder, without the options that the user's environment adds to every run."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("PYTEST_ADDOPTS", "GITHUB_ACTIONS")
    }
    output = subprocess.PIPE if quiet else None
    return subprocess.run(
        pytest_command(options), cwd=folder, env={**environment, **(more or {})}, check=False, text=True,
        stdout=output, stderr=subprocess.STDOUT if quiet else None,
    )  # fmt: skip
