"""The messages of the commits between a base and the head."""

from __future__ import annotations

from typing import Final

from pytest_perfguard.core.git import git
from pytest_perfguard.engine.runner.revision import Revision
from pytest_perfguard.engine.verdict.acceptance import Message

#: Author, short hash and message; control characters, which git removes from no field but which no name contains.
_FORMAT: Final = "%an%x1f%h%x1f%B%x1e"


def messages_since(revision: Revision) -> list[Message]:
    """Return the messages of the commits that HEAD has and the revision has not, the newest first.

    Raises
    ------
    RevisionError
        if git cannot list them.
    """
    listed = git(revision.top, "log", f"--format={_FORMAT}", f"{revision.commit}..HEAD")
    fields = [entry.strip("\n").split("\x1f", 2) for entry in listed.split("\x1e")]
    return [Message(*entry) for entry in fields if len(entry) == 3]
