"""States of a baseline at different times, from git's history of its file. What is read is checked as ever."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_perfguard.baseline.schema import Baseline, from_text
from pytest_perfguard.baseline.store import Store
from pytest_perfguard.errors import BaselineMissing, BaselineUnreadable, RevisionError
from pytest_perfguard.git import git, git_or_nothing
from pytest_perfguard.model import Record, Recorded

#: The states that are read where nobody says how many: a weekly baseline for two years.
MOST: int = 100


@dataclass(frozen=True)
class Snapshot:
    """All records at one time."""

    label: str
    """A short commit, the name of a file, or "working tree"."""
    at: str
    """When, ISO 8601; "" where it is not known."""
    classes: Mapping[str, Mapping[str, Record]] = field(default_factory=dict)
    """Records by node id, by machine class."""


#: Is this test of this machine class (class, node id) asked for?
Wanted = Callable[[str, str], bool]


def everything(_machine: str, _nodeid: str) -> bool:
    """Whatever there is."""
    return True


def of_baseline(baseline: Baseline, label: str, at: str = "", wanted: Wanted = everything) -> Snapshot:
    """One state of the file, of which no more is kept than a history needs: a hundred of them are held at once."""
    classes = {
        name: {nodeid: _brief(record) for nodeid, record in part.tests.items() if wanted(name, nodeid)}
        for name, part in baseline.classes.items()
    }
    return Snapshot(label, at, {name: tests for name, tests in classes.items() if tests})


def _brief(record: Record) -> Record:
    """With the estimates alone."""
    metrics = {
        name: Recorded(kept.unit, (kept.estimate,), (kept.estimate,), kept.rounds)
        for name, kept in record.metrics.items()
    }
    return Record(record.source, record.commit, record.kernel, {}, metrics)


def from_git(path: Path, most: int = MOST, wanted: Wanted = everything) -> tuple[list[Snapshot], list[str]]:
    """Of the `wanted` tests the last `most` states of the baseline file in git and the one in the tree, the oldest first, and remarks.

    A state that cannot be read (a conflict that was committed) is left out with a remark.

    Raises
    ------
    RevisionError
        where the file is in no git repository, or was never committed.
    """
    folder = path.resolve().parent
    log = git(folder, "log", "--first-parent", f"-{most}", "--format=%h%x09%cI", "--", path.name)
    commits = [line.split("\t") for line in reversed(log.splitlines())]
    if not commits:
        raise RevisionError(f"{path} was never committed", "commit it, or name a folder of JSON reports")
    snapshots, remarks = [], []
    for label, at in commits:
        text = git_or_nothing(folder, "show", f"{label}:./{path.name}")
        if not text:  # this commit removed the file
            continue
        try:
            snapshots.append(of_baseline(from_text(text, f"{label}:{path.name}"), label, at, wanted))
        except BaselineUnreadable as error:
            remarks.append(f"left out: {error}")
    if git_or_nothing(folder, "rev-parse", "--is-shallow-repository") == "true":
        remarks.append("the clone is shallow, so that older states are unknown; fetch them with: git fetch --unshallow")
    return [*snapshots, *_uncommitted(path, snapshots, wanted)], remarks


def at_revision(path: Path, revision: str) -> Snapshot:
    """The state of the baseline file at a git revision.

    Raises
    ------
    RevisionError, BaselineUnreadable
    """
    folder = path.resolve().parent
    if revision.startswith("-"):
        raise RevisionError(f"{revision!r} is no revision")
    text = git(folder, "show", f"{revision}:./{path.name}")
    at = git_or_nothing(folder, "log", "-1", "--format=%cI", revision)
    return of_baseline(from_text(text, f"{revision}:{path.name}"), revision, at)


def _uncommitted(path: Path, committed: Sequence[Snapshot], wanted: Wanted) -> list[Snapshot]:
    try:
        baseline = Store(path).read()
    except BaselineMissing:
        return []
    snapshot = of_baseline(baseline, "working tree", "", wanted)
    return [] if committed and committed[-1].classes == snapshot.classes else [snapshot]
