"""Read the commits between two revisions, and leave out those that cannot change what a test measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from pytest_perfguard.core.errors import RevisionError
from pytest_perfguard.core.git import git, git_or_empty, is_shallow
from pytest_perfguard.engine.runner.revision import Revision, find_revision

_FIELDS: Final = "%H%x1f%P%x1f%an%x1f%aI%x1f%s"
_SHORT: Final = 12


@dataclass(frozen=True)
class Commit:
    """One commit."""

    hash: str
    parents: tuple[str, ...]
    author: str
    at: str
    """Date of the author, ISO 8601."""
    subject: str

    @property
    def short(self) -> str:
        return self.hash[:_SHORT]

    @property
    def is_merge(self) -> bool:
        return len(self.parents) > 1


def find_end(folder: Path, name: str, option: str) -> Revision:
    """Return the commit that `name` refers to; `option` is the source of the name, for errors.

    Raises
    ------
    RevisionError
        if there is none, with similar names.
    """
    try:
        return find_revision(folder, name)
    except RevisionError as error:
        raise RevisionError(f"{option}={name}: {error.problem}", error.remedy) from None


def read_commits(top: Path, good: Revision, bad: Revision) -> list[Commit]:
    """Return the commits from good to bad, both included, the oldest first.

    Of a merge only the side of its first parent is followed, as on the page of a main branch. If good is on a merged
    branch, the merge that brought it in comes right after it.

    Raises
    ------
    RevisionError
        if good is not an ancestor of bad, or both are one commit.
    """
    if good.commit == bad.commit:
        raise RevisionError(f"good and bad are the same commit, {good.label}", "name an older revision with --good")
    check_ancestor(top, good, bad)
    span = f"{good.commit}..{bad.commit}"
    above = set(git(top, "rev-list", "--ancestry-path", span).split())
    path = [commit for commit in _log(top, "--first-parent", "--reverse", span) if commit.hash in above]
    return [*_log(top, "-1", good.commit), *path]


def check_ancestor(top: Path, good: Revision, bad: Revision) -> None:
    """Check that the history of bad contains good.

    Raises
    ------
    RevisionError
        with the commit to name instead.
    """
    common = git_or_empty(top, "merge-base", good.commit, bad.commit)
    if common == good.commit:
        return
    problem = f"good ({good.label}) is not an ancestor of bad ({bad.label})"
    if common == bad.commit:
        raise RevisionError(problem, "it is the other way around: exchange --good and --bad")
    if common:
        raise RevisionError(problem, f"the branches parted at {common[:_SHORT]}: try --good={common[:_SHORT]}")
    shallow = "this is a shallow clone: fetch the history first (git fetch --unshallow)"
    raise RevisionError(problem, shallow if is_shallow(top) else "name a revision in the history of bad")


def relevant(top: Path, commits: list[Commit], is_irrelevant: Callable[[PurePosixPath], bool]) -> list[Commit]:
    """Return the commits without those between the ends that change irrelevant files only.

    Tests are irrelevant, since all arms have those of bad.
    """
    inner = commits[1:-1]
    if not inner:
        return commits
    changed = _changed_files(top, commits[0], commits[-1])
    kept = [commit for commit in inner if not all(map(is_irrelevant, changed.get(commit.hash, ())))]
    return [commits[0], *kept, commits[-1]]


def _log(top: Path, *arguments: str) -> Iterator[Commit]:
    for line in git(top, "log", f"--format={_FIELDS}", *arguments, "--").splitlines():
        commit, parents, author, at, subject = line.split("\x1f", 4)
        yield Commit(commit, tuple(parents.split()), author, at, subject)


def _changed_files(top: Path, first: Commit, last: Commit) -> dict[str, list[PurePosixPath]]:
    """Return the files that each commit changed against its first parent. A quoted name matches no test, and counts."""
    log = git(
        top, "log", "--first-parent", "-m", "--name-only", "--no-renames", "--no-ext-diff", "--format=%x1f%H",
        f"{first.hash}..{last.hash}", "--",
    )  # fmt: skip
    found = {}
    for part in log.split("\x1f")[1:]:
        commit, *names = filter(None, part.splitlines())
        found[commit] = list(map(PurePosixPath, names))
    return found
