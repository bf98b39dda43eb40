"""Every git command that is run, in one way: no hooks, no prompts, and no environment of an outer git."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pytest_perfguard.core.errors import RevisionError

#: A large checkout on a slow disk; a file system that hangs must not hang the run for ever.
TIMEOUT_SECONDS: Final = 600.0
#: Set inside a git hook, where they would point every command at the outer repository's index.
_OUTER_VARIABLES: Final = ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY")
#: Lines of a long message of git that are kept at its beginning, and as many at its end: a full disk fails for each file.
MAX_MESSAGE_LINES: Final = 10
#: What git writes in a folder that lies in no repository. A repository that it refuses has other words.
_NO_REPOSITORY: Final = "not a git repository (or any"


def git(folder: Path, *arguments: str) -> str:
    """Return what the command wrote, without blanks at its ends.

    Raises
    ------
    RevisionError
        with git's whole message where it failed, or where there is no git.
    """
    done = _run(folder, arguments)
    if done.returncode:
        raise _failure(arguments, done)
    return done.stdout.strip()


def git_or_empty(folder: Path, *arguments: str) -> str:
    """Return what the command wrote; "" where it failed, for whatever reason."""
    try:
        return git(folder, *arguments)
    except RevisionError:
        return ""


def git_lookup(folder: Path, *arguments: str) -> str:
    """Return what the command wrote; "" where it failed without a message, as git does where there is nothing to find.

    Raises
    ------
    RevisionError
        with git's whole message where it gave one.
    """
    done = _run(folder, arguments)
    if done.returncode and done.stderr.strip():
        raise _failure(arguments, done)
    return "" if done.returncode else done.stdout.strip()


def is_installed() -> bool:
    """Is there a git to run?"""
    return shutil.which("git") is not None


def find_repository(folder: Path) -> Path | None:
    """Return the top folder of the tree that is checked out around this one; None outside of any repository.

    Raises
    ------
    RevisionError
        where there is a repository that git refuses (another owner, a broken configuration), or where there is no git.
    """
    arguments = ("rev-parse", "--show-toplevel")
    done = _run(folder, arguments)
    if not done.returncode:
        return Path(done.stdout.strip())
    if _NO_REPOSITORY in done.stderr:
        return None
    raise _failure(arguments, done)


def top_folder(folder: Path) -> Path:
    """Return the top folder of the tree that is checked out around this one.

    Raises
    ------
    RevisionError
        where there is none.
    """
    return Path(git(folder, "rev-parse", "--show-toplevel"))


def is_shallow(folder: Path) -> bool:
    """Does the clone lack the older commits?"""
    return git_or_empty(folder, "rev-parse", "--is-shallow-repository") == "true"


def _run(folder: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in _OUTER_VARIABLES}
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
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, timeout=TIMEOUT_SECONDS, check=False,
            text=True, encoding="utf-8", errors="surrogateescape", stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError:
        raise RevisionError(f"git cannot be run in {folder}", "install git") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RevisionError(f"git {arguments[0]}: {error}") from None


def _failure(arguments: Sequence[str], done: subprocess.CompletedProcess[str]) -> RevisionError:
    message = _shorten(done.stderr.strip()) or f"exit status {done.returncode}"
    return RevisionError(f"git {arguments[0]}: {message}")


def _shorten(message: str) -> str:
    lines = message.splitlines()
    left_out = len(lines) - 2 * MAX_MESSAGE_LINES
    if left_out <= 0:
        return message
    return "\n".join([*lines[:MAX_MESSAGE_LINES], f"... ({left_out} more lines)", *lines[-MAX_MESSAGE_LINES:]])
