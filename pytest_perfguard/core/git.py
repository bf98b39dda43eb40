"""Run git commands, without hooks, prompts, or the environment of an outer git command."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pytest_perfguard.core.errors import RevisionError
from pytest_perfguard.core.text import plural

#: Allows for a large checkout on a slow disk, and ends a run whose file system hangs.
TIMEOUT_SECONDS: Final = 600.0
#: Set inside a git hook, where they would direct every command to the outer repository's index.
_OUTER_VARIABLES: Final = ("GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY")
#: Lines kept at each end of a long message of git: a full disk fails for each file.
MAX_MESSAGE_LINES: Final = 10
#: Git's message for a folder outside of any repository. For a repository that it refuses, the message differs.
_NO_REPOSITORY: Final = "not a git repository (or any"


def git(folder: Path, *arguments: str) -> str:
    """Return the output of the command, stripped.

    Raises
    ------
    RevisionError
        if the command fails (with git's message), or if git is not installed.
    """
    done = _run(folder, arguments)
    if done.returncode:
        raise _failure(arguments, done)
    return done.stdout.strip()


def git_or_empty(folder: Path, *arguments: str) -> str:
    """Return the output of the command, stripped; "" if it fails for any reason."""
    try:
        return git(folder, *arguments)
    except RevisionError:
        return ""


def git_lookup(folder: Path, *arguments: str) -> str | None:
    """Return the output of the command, stripped; None if it fails without a message: then there is nothing to find.

    Raises
    ------
    RevisionError
        if it fails with a message.
    """
    done = _run(folder, arguments)
    if done.returncode and done.stderr.strip():
        raise _failure(arguments, done)
    return None if done.returncode else done.stdout.strip()


def is_installed() -> bool:
    """Return whether git is installed."""
    return shutil.which("git") is not None


def find_repository(folder: Path) -> Path | None:
    """Return the top folder of the working tree around this folder; None outside of any repository.

    Raises
    ------
    RevisionError
        if git refuses the repository (another owner, a broken configuration), or is not installed.
    """
    arguments = ("rev-parse", "--show-toplevel")
    done = _run(folder, arguments)
    if not done.returncode:
        return Path(done.stdout.strip())
    if _NO_REPOSITORY in done.stderr:
        return None
    raise _failure(arguments, done)


def top_folder(folder: Path) -> Path:
    """Return the top folder of the working tree around this folder.

    Raises
    ------
    RevisionError
        if there is none.
    """
    return Path(git(folder, "rev-parse", "--show-toplevel"))


def has_commit(folder: Path) -> bool:
    """Return whether the repository has a commit to compare with: a new one has none."""
    return bool(git_or_empty(folder, "rev-parse", "--verify", "--quiet", "HEAD"))


def is_shallow(folder: Path) -> bool:
    """Return whether the clone lacks older commits."""
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
    return "\n".join(
        [*lines[:MAX_MESSAGE_LINES], f"... ({plural(left_out, 'more line')})", *lines[-MAX_MESSAGE_LINES:]]
    )
