"""States of a baseline at different times, from git's history of its file. What is read is checked as ever."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_perfguard.core.errors import BaselineMissing, BaselineUnreadable, RevisionError
from pytest_perfguard.core.git import git, git_or_empty, is_shallow, top_folder
from pytest_perfguard.core.model import Record, Recorded
from pytest_perfguard.engine.baseline.schema import Baseline, from_text
from pytest_perfguard.engine.baseline.store import Store

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
    file = path.resolve()
    root, prefix = top_folder(file.parent), git(file.parent, "rev-parse", "--show-prefix")
    states = _commits(root, prefix + file.name, most)
    if not states:
        raise RevisionError(f"{path} was never committed", "commit it, or name a folder of JSON reports")
    snapshots, remarks = [], []
    for label, at, name in reversed(states):
        text = git_or_empty(root, "show", f"{label}:{name}")
        if not text:  # this commit removed the file
            continue
        try:
            snapshots.append(of_baseline(from_text(text, f"{label}:{name}"), label, at, wanted))
        except BaselineUnreadable as error:
            remarks.append(f"left out: {error}")
    if is_shallow(root):
        remarks.append("the clone is shallow, so that older states are unknown; fetch them with: git fetch --unshallow")
    return [*snapshots, *_uncommitted(path, snapshots, wanted)], remarks


def _commits(root: Path, name: str, most: int, start: str = "HEAD") -> list[tuple[str, str, str]]:
    """Commit, time and name of the last states of the file up to `start`, the newest first; names are seen from the top.

    A name ends with the commit that gave it by moving the file, and the history goes on under the one before. `git log
    --follow` would also take a file for the origin of one that merely resembles it, as one baseline does another.
    """
    log = git(root, "log", "--first-parent", f"-{most}", "--format=%h%x09%cI", start, "--", name)
    states = [(commit, at, name) for commit, at in (line.split("\t") for line in log.splitlines())]
    if not states or len(states) == most:
        return states
    oldest = states[-1][0]
    before = _name_before(root, oldest, name)
    return [*states, *_commits(root, before, most - len(states), f"{oldest}^")] if before else states


def _name_before(root: Path, commit: str, name: str) -> str:
    """From which the commit moved the file here; "" where it did not."""
    moves = git_or_empty(root, "diff-tree", "-r", "-M", "-z", "--name-status", "--diff-filter=R", f"{commit}^", commit)
    fields = moves.split("\0")  # R, the similarity; the old name; the new one; and so on
    return dict(zip(fields[2::3], fields[1::3], strict=False)).get(name, "")


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
    at = git_or_empty(folder, "log", "-1", "--format=%cI", revision)
    return of_baseline(from_text(text, f"{revision}:{path.name}"), revision, at)


def _uncommitted(path: Path, committed: Sequence[Snapshot], wanted: Wanted) -> list[Snapshot]:
    try:
        baseline = Store(path).read()
    except BaselineMissing:
        return []
    snapshot = of_baseline(baseline, "working tree", "", wanted)
    return [] if committed and committed[-1].classes == snapshot.classes else [snapshot]
