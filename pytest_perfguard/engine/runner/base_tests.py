"""Which tests the revision itself has, before this tree's are copied over them."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path
from typing import Final

from pytest_perfguard.core.git import git_or_empty
from pytest_perfguard.engine.runner.import_audit import BUILD_REMEDY
from pytest_perfguard.engine.runner.revision import Revision

#: What to do about a base that lacks what a build writes.
BUILD_HINT: Final = f"if the base has to be built before it can be imported, {BUILD_REMEDY}"
#: How the failures begin that such a base ends in.
UNBUILT_ERRORS: Final = (
    "ModuleNotFoundError",
    "ImportError",
    "FileNotFoundError",
    "importlib.metadata.PackageNotFoundError",
)


class BaseTests:
    """The tests of a revision, by its own files."""

    def __init__(self, revision: Revision) -> None:
        self._revision = revision
        self._texts = functools.lru_cache(maxsize=None)(self._read)

    def has(self, nodeid: str, path: str) -> bool:
        """Has the revision a test of this id in this file of this tree? It may be there and fail to run.

        Each part of the id that stands in this tree's file has to stand in the revision's; a name that does not is inherited,
        or made by a loop.
        """
        head, base = self._texts(path)
        names = re.sub(r"\[.*", "", nodeid.partition("::")[2], flags=re.DOTALL).split("::")
        return bool(base) and all(_contains_word(name, base) for name in names if _contains_word(name, head))

    def _read(self, path: str) -> tuple[str, str]:
        top = self._revision.top
        file = next((Path(place) for place in (path, os.path.realpath(path)) if Path(place).is_relative_to(top)), None)
        if file is None:  # beside the repository: both arms run the same file
            return "", "outside"
        try:
            head = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            head = ""
        return head, git_or_empty(top, "show", f"{self._revision.commit}:{file.relative_to(top).as_posix()}")


def _contains_word(name: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", text) is not None
