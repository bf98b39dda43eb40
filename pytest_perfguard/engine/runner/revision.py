"""Find the git revision to measure against, and check whether it can serve as the base."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pytest_perfguard.core.errors import RevisionError
from pytest_perfguard.core.git import find_repository, git, git_lookup, git_or_empty, is_shallow

MERGE_BASE_PREFIX: Final = "merge-base:"
_FETCH_REMEDY: Final = (
    "this is a shallow clone: fetch the history first (git fetch --unshallow; in GitHub Actions: fetch-depth: 0)"
)


@dataclass(frozen=True)
class Revision:
    """A commit of the repository that holds the tests."""

    name: str
    """As the user wrote it."""
    commit: str
    """Full hash."""
    top: Path
    """Top folder of the working tree, which is the head."""

    @property
    def label(self) -> str:
        """`main (1a2b3c4d5e6f)`; only the hash if the user named the commit by it."""
        short = self.commit[:12]
        return short if self.commit.startswith(self.name) else f"{self.name} ({short})"


def find_revision(folder: Path, name: str) -> Revision:
    """Return the commit that `name` refers to in the repository around `folder`.

    `name` is any revision that git understands, or `merge-base:main` for the commit at which this branch left main.

    Raises
    ------
    RevisionError
        if there is no git, no repository or no such commit, or if git refuses the repository.
    """
    top = find_repository(folder)
    if top is None:
        raise RevisionError("--perf-against needs git, and this folder is not in a git repository", _NOT_GIT_REMEDY)
    wanted = name.removeprefix(MERGE_BASE_PREFIX)
    try:
        commit = _find_commit(top, wanted)
    except RevisionError as error:  # an ambiguous hash, no commit, beyond the log of references
        raise RevisionError(f"no revision {wanted!r}: {error.problem}") from None
    if commit is not None and name.startswith(MERGE_BASE_PREFIX):
        commit = git_lookup(top, "merge-base", "HEAD", commit)
        if commit is None:
            remedy = _FETCH_REMEDY if is_shallow(top) else "name a commit instead of a merge base"
            raise RevisionError(f"no merge base: HEAD and {wanted} have no common ancestor here", remedy)
    if commit is None:
        raise RevisionError(f"no revision {wanted!r}", _remedy(top, wanted))
    return Revision(name, commit, top)


def commits_behind(folder: Path, name: str) -> int:
    """Return the number of commits after a revision up to HEAD, along first parents; 0 if it is no ancestor of HEAD."""
    try:
        revision = find_revision(folder, name)
    except RevisionError:
        return 0
    if git_or_empty(revision.top, "merge-base", revision.commit, "HEAD") != revision.commit:
        return 0
    return int(git_or_empty(revision.top, "rev-list", "--count", "--first-parent", f"{revision.commit}..HEAD") or 0)


def check_usable(revision: Revision) -> None:
    """Check that a comparison with the revision is meaningful.

    Raises
    ------
    RevisionError
        if a submodule is not at its recorded commit, or the tree does not differ from the revision.
    """
    top = revision.top
    dirty = [line[1:].split()[1] for line in git_or_empty(top, "submodule", "status").splitlines() if line[0] in "+U"]
    status = git(top, "status", "--porcelain=v2", "--ignore-submodules=untracked", "--untracked-files=no")
    dirty += [
        line.split(" ", 8)[8] for line in status.splitlines() if line.startswith("1 ") and line.split()[2][0] == "S"
    ]
    if dirty:
        raise RevisionError(
            f"cannot measure against {revision.name}: submodule {dirty[0]} is dirty (it has changes of its own, or is at "
            "another commit than the one recorded)",
            f"commit it here, or reset it: git submodule update {dirty[0]}",
        )
    # A folder whose files are all ignored, such as .pytest_cache, is no change.
    excluded = [f"--exclude={pattern}" for pattern in _WRITTEN_BY_RUNS]
    untracked = git(top, "ls-files", "--others", "--exclude-standard", "--directory", "--no-empty-directory", *excluded)
    if not git(top, "diff", "--name-only", "--no-ext-diff", revision.commit, "--") and not untracked:
        raise RevisionError(
            f"nothing to compare: {revision.label} is equal to this tree",
            "name an older revision, such as HEAD~1",
        )


#: Files that test runs write, for a tree whose .gitignore does not list them.
_WRITTEN_BY_RUNS: Final = ("__pycache__/", "*.pyc", ".pytest_cache/", ".hypothesis/", "*.json.lock")
_NOT_GIT_REMEDY: Final = "without git: --perf-baseline, then --perf-compare"
#: Similarity from which on a name is suggested instead of an unknown one.
_SIMILAR: Final = 0.6


def _find_commit(top: Path, name: str) -> str | None:
    """Return the full hash of the commit that git knows by this name, or None."""
    if name.startswith("-"):  # git would read an option, and before 2.30 has no `--end-of-options` here
        return None
    # In two steps, because everything after `:/` belongs to the text to search for.
    found = git_lookup(top, "rev-parse", "--verify", "--quiet", name)
    if found is None or not found.isalnum():
        return None
    return git_lookup(top, "rev-parse", "--verify", "--quiet", f"{found}^{{commit}}")


def _remedy(top: Path, wanted: str) -> str:
    if is_shallow(top):
        return _FETCH_REMEDY
    if git_or_empty(top, "rev-parse", "--verify", "--quiet", f"origin/{wanted}^{{commit}}"):
        return f"did you mean 'origin/{wanted}'?"
    known = git_or_empty(top, "for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags", "refs/remotes")
    similar = difflib.get_close_matches(wanted, [*known.splitlines(), "HEAD"], n=1, cutoff=_SIMILAR)
    return f"did you mean {similar[0]!r}?" if similar else "git branch --all and git tag list what there is"
