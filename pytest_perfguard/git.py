"""Every git command that is run, in one way: no hooks, no prompts, and no environment of an outer git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

from pytest_perfguard.errors import RevisionError

#: A large checkout on a slow disk; a file system that hangs must not hang the run for ever.
LIMIT: Final = 600.0
#: Set inside a git hook, where they would point every command at the outer repository's index.
_OUTER: Final = ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY")


def git(folder: Path, *arguments: str) -> str:
    """What the command wrote, without blanks at its ends.

    Raises
    ------
    RevisionError
        with git's own words where it failed, or where there is no git.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _OUTER}
    environment |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    command = [
        "git",
        "-c",
        "core.hooksPath=/dev/null",
        "-c",
        "advice.detachedHead=false",
        "-c",
        "log.showSignature=false",
    ]
    command += ["--literal-pathspecs", *arguments] if arguments[0] == "log" else arguments
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, timeout=LIMIT, check=False,
            text=True, encoding="utf-8", errors="surrogateescape", stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError:
        raise RevisionError(f"git cannot be run in {folder}", "install git") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RevisionError(f"git {arguments[0]}: {error}") from None
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise RevisionError(f"git {arguments[0]}: {last[0]}")
    return done.stdout.strip()


def git_or_nothing(folder: Path, *arguments: str) -> str:
    """What the command wrote; "" where it failed."""
    try:
        return git(folder, *arguments)
    except RevisionError:
        return ""


def top_of(folder: Path) -> Path:
    """The top folder of the tree that is checked out around this one.

    Raises
    ------
    RevisionError
        where there is none.
    """
    return Path(git(folder, "rev-parse", "--show-toplevel"))


def is_shallow(folder: Path) -> bool:
    """Does the clone lack the older commits?"""
    return git_or_nothing(folder, "rev-parse", "--is-shallow-repository") == "true"
