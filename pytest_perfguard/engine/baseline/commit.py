"""Which revision is being measured?"""

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


def current_commit(folder: Path, besides: Path | None = None) -> str:
    """Return the revision checked out in `folder`, with `+` behind it if files differ from it; "" outside git.

    A change of the file `besides` does not count: recording a baseline changes the baseline.

    Raises
    ------
    RevisionError
        where there is a repository that git refuses.
    """
    if not is_installed():
        return ""
    top = find_repository(folder)
    head = git_lookup(folder, "rev-parse", "--verify", "--quiet", "--short=12", "HEAD") if top is not None else ""
    if top is None or not head:  # or nothing was committed so far
        return ""
    try:
        excluded = [f":(exclude){besides}"] if besides is not None and besides.is_relative_to(top) else []
        changed = git(folder, "status", "--porcelain", "--untracked-files=no", "--", ":/", *excluded)
    except RevisionError:  # nobody knows: that is no clean tree
        changed = "unknown"
    return f"{head}+" if changed else head


def is_commit(text: str) -> bool:
    """Is it the hash of a clean commit, as `current_commit` writes it? Nothing else that a baseline file says is handed to git."""
    return re.fullmatch(r"[0-9a-f]{7,64}", text) is not None


def commit_of_record(file: Path, record: Record) -> str:
    """The commit that brought this record into the baseline file: code and baseline are often committed together.

    "" where it is not committed.
    """
    line = record_text(record)
    commit = git_or_empty(file.parent, "log", "-1", "--format=%H", f"-S{line}", "--", str(file))
    # The oldest commit of a shallow clone seems to bring everything.
    return "" if commit and commit in _oldest_of_shallow(file.parent) else commit


def _oldest_of_shallow(folder: Path) -> list[str]:
    name = git_or_empty(folder, "rev-parse", "--git-path", "shallow")
    try:
        return (folder / name).read_text(encoding="ascii").split() if name else []
    except OSError:  # it is not shallow
        return []
