"""Which revision is being measured?"""

from __future__ import annotations

from pathlib import Path

from pytest_perfguard.baseline.schema import record_text
from pytest_perfguard.git import git_or_nothing
from pytest_perfguard.model import Record


def current_commit(folder: Path, besides: Path | None = None) -> str:
    """The revision checked out in `folder`, with `+` behind it if files differ from it; "" outside git.

    A change of the file `besides` does not count: recording a baseline changes the baseline.
    """
    head = git_or_nothing(folder, "rev-parse", "--short=12", "HEAD")
    if not head:
        return ""
    everything = ["--", ":/", *([f":(exclude){besides}"] if besides else [])]
    return head + "+" if git_or_nothing(folder, "status", "--porcelain", "--untracked-files=no", *everything) else head


def commit_of_record(file: Path, record: Record) -> str:
    """The commit that brought this record into the baseline file: code and baseline are often committed together.

    "" where it is not committed.
    """
    line = record_text(record)
    return git_or_nothing(file.parent, "log", "-1", "--format=%H", f"-S{line}", "--", str(file))
