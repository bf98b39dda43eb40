"""Save the comparisons of a search, so that an interrupted one goes on where it was."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pytest_perfguard.core.atomic_files import atomic_write
from pytest_perfguard.core.errors import CommandError
from pytest_perfguard.core.git import git
from pytest_perfguard.core.json_values import JsonObject, as_list, as_number, as_object
from pytest_perfguard.engine.bisect.search import Outcome, Purpose

#: In the git folder: no file of the working tree, and shared by all worktrees.
FOLDER: Final = "perfguard-bisect"
_FORMAT: Final = 1


@dataclass(frozen=True)
class Comparison:
    """One comparison that was made."""

    base: str
    head: str
    """Hashes of the commits."""
    purpose: Purpose
    outcome: Outcome
    seconds: float
    pairs: int = 0
    metric: str = ""
    """Name of the metric that counts."""
    text: str = ""
    """Its amounts on both sides, and the change with its interval."""
    lines: tuple[str, ...] = ()
    """The explanation, for a comparison that may name a commit."""

    def to_json(self) -> JsonObject:
        """Plain data."""
        return {
            "base": self.base,
            "head": self.head,
            "purpose": self.purpose.value,
            "outcome": self.outcome.to_json(),
            "seconds": round(self.seconds, 3),
            "pairs": self.pairs,
            "metric": self.metric,
            "text": self.text,
            "lines": list(self.lines),
        }

    @classmethod
    def from_json(cls, data: JsonObject) -> Comparison:
        """Read what `to_json` wrote.

        Raises
        ------
        KeyError, TypeError, ValueError
            for other data.
        """
        return cls(
            str(data["base"]), str(data["head"]), Purpose(data["purpose"]), Outcome.from_json(as_object(data["outcome"])),
            as_number(data["seconds"]), int(as_number(data["pairs"])), str(data["metric"]), str(data["text"]),
            tuple(map(str, as_list(data["lines"]))),
        )  # fmt: skip


@dataclass
class SavedSearch:
    """The comparisons of one search, in their order, in a file."""

    path: Path
    comparisons: list[Comparison] = field(default_factory=list)

    def add(self, comparison: Comparison) -> None:
        """Add a comparison and save all of them."""
        self.comparisons.append(comparison)
        data = {"format": _FORMAT, "comparisons": [each.to_json() for each in self.comparisons]}
        atomic_write(self.path, json.dumps(data, indent=1, allow_nan=False))

    def cut(self, count: int) -> None:
        """Forget the comparisons from number `count` on."""
        del self.comparisons[count:]


@contextlib.contextmanager
def saved_search(top: Path, identity: Mapping[str, object], *, restart: bool) -> Iterator[SavedSearch]:
    """Open the saved search of this identity: the test, the ends, and every option that influences an outcome.

    A file that cannot be read counts as none: it holds nothing but measurements that can be repeated.

    Raises
    ------
    CommandError
        if another process makes the same search.
    """
    from filelock import FileLock, Timeout

    text = json.dumps(identity, sort_keys=True)
    folder = (top / git(top, "rev-parse", "--git-common-dir")).resolve() / FOLDER
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"
    folder.mkdir(exist_ok=True)
    lock = FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise CommandError("this search runs already in another process; wait for it, or end it") from None
    try:
        yield SavedSearch(path, [] if restart else _read(path))
    finally:
        lock.release()


def _read(path: Path) -> list[Comparison]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return (
            [Comparison.from_json(each) for each in map(as_object, data["comparisons"])]
            if data["format"] == _FORMAT
            else []
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
