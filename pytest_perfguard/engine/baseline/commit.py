"""The git revision that is measured, and the commits of records."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_perfguard.core.errors import RevisionError
from pytest_perfguard.core.git import (
    find_repository,
    git,
    git_lookup,
    git_or_empty,
    is_installed,
)
from pytest_perfguard.core.model import Record
from pytest_perfguard.engine.baseline.schema import record_text


def current_commit(folder: Path, besides: Path | None = None) -> str | None:
    """Return the revision checked out in `folder`, with `+` appended if files differ from it; None outside git.

    Changes of the file `besides` do not count: recording a baseline changes the baseline file.

    Raises
    ------
    RevisionError
        if git refuses to use the repository.
    """
    if not is_installed():
        return None
    top = find_repository(folder)
    head = git_lookup(folder, "rev-parse", "--verify", "--quiet", "--short=12", "HEAD") if top is not None else None
    if top is None or head is None:  # no head: nothing was committed so far
        return None
    try:
        excluded = [f":(exclude){besides}"] if besides is not None and besides.is_relative_to(top) else []
        changed = git(folder, "status", "--porcelain", "--untracked-files=no", "--", ":/", *excluded)
    except RevisionError:  # an unknown state does not count as clean
        changed = "unknown"
    return f"{head}+" if changed else head


def is_commit(text: str) -> bool:
    """Return whether the text is the hash of a clean commit: no other text of a baseline file is passed to git."""
    return re.fullmatch(r"[0-9a-f]{7,64}", text) is not None


def commit_of_record(file: Path, record: Record) -> str | None:
    """Return the commit that added this record to the baseline file; None if it is not committed.

    Code and baseline are often committed together, so this commit likely holds the measured code.
    """
    line = record_text(record)
    commit = git_or_empty(file.parent, "log", "-1", "--format=%H", f"-S{line}", "--", str(file))
    # The oldest commit of a shallow clone seems to add everything.
    return commit if commit and commit not in _oldest_of_shallow(file.parent) else None


def _oldest_of_shallow(folder: Path) -> list[str]:
    name = git_or_empty(folder, "rev-parse", "--git-path", "shallow")
    try:
        return (folder / name).read_text(encoding="ascii").split() if name else []
    except OSError:  # no such file: the clone is not shallow
        return []
