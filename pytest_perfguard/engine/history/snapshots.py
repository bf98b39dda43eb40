"""States of the baseline file at different times, from its history in git."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pytest_perfguard.core.errors import BaselineMissing, BaselineUnreadable, RevisionError
from pytest_perfguard.core.git import git, git_or_empty, has_commit, is_shallow, top_folder
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Record
from pytest_perfguard.engine.baseline.schema import Baseline, from_text
from pytest_perfguard.engine.baseline.store import Store

#: Default number of states: two years of weekly baselines.
MAX_STATES: Final = 100
_OTHER_SOURCE: Final = "give a folder of JSON reports: --reports=FOLDER"


@dataclass(frozen=True)
class Snapshot:
    """All records at one point in time."""

    label: str
    """A short commit, the name of a file, or "working tree"."""
    at: str
    """Time in ISO 8601; empty where it is not known."""
    classes: Mapping[str, Mapping[str, Record]] = field(default_factory=dict)
    """Records by node id, by machine class."""


#: (machine class, node id) -> whether this test is wanted.
Wanted = Callable[[str, str], bool]


def every_test(_machine: str, _nodeid: str) -> bool:
    """Accept every test."""
    return True


def of_baseline(baseline: Baseline, label: str, at: str = "", wanted: Wanted = every_test) -> Snapshot:
    """Return one state of the file, reduced to the data that a history needs: a hundred of them are held at once."""
    classes = {
        name: {nodeid: _brief(record) for nodeid, record in part.tests.items() if wanted(name, nodeid)}
        for name, part in baseline.classes.items()
    }
    return Snapshot(label, at, {name: tests for name, tests in classes.items() if tests})


def _brief(record: Record) -> Record:
    """Return the record with one value per metric, its estimate."""
    metrics = {
        name: MetricStats(stats.unit, (stats.estimate,), (stats.estimate,), stats.rounds)
        for name, stats in record.metrics.items()
    }
    return Record(record.source, record.commit, record.kernel, {}, metrics)


def from_git(path: Path, max_states: int = MAX_STATES, wanted: Wanted = every_test) -> tuple[list[Snapshot], list[str]]:
    """Return the last states of the `wanted` tests in git and in the working tree, the oldest first, and remarks.

    A state that cannot be read (a committed merge conflict) is left out with a remark.

    Raises
    ------
    RevisionError
        if the file is in no git repository, or was never committed.
    """
    file = path.resolve()
    try:
        root, prefix = top_folder(file.parent), git(file.parent, "rev-parse", "--show-prefix")
    except RevisionError as error:
        raise RevisionError(f"{path} has no history: {error}", _OTHER_SOURCE) from None
    states = _commits(root, prefix + file.name, max_states) if has_commit(root) else []
    if not states:
        raise RevisionError(f"{path} was never committed", f"commit it, or {_OTHER_SOURCE}")
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
        remarks.append("the clone is shallow, so older states are unknown; fetch them with: git fetch --unshallow")
    return [*snapshots, *_uncommitted(path, snapshots, wanted)], remarks


def _commits(root: Path, name: str, max_states: int, start: str = "HEAD") -> list[tuple[str, str, str]]:
    """Return commit, time and path of the last states of the file up to `start`, the newest first.

    Beyond the commit that moved the file, the history continues under the former path. `git log --follow` does not work
    here: it takes any similar file for the origin, and one baseline is similar to another.
    """
    log = git(root, "log", "--first-parent", f"-{max_states}", "--format=%h%x09%cI", start, "--", name)
    states = [(commit, at, name) for commit, at in (line.split("\t") for line in log.splitlines())]
    if not states or len(states) == max_states:
        return states
    oldest = states[-1][0]
    before = _name_before(root, oldest, name)
    return [*states, *_commits(root, before, max_states - len(states), f"{oldest}^")] if before else states


def _name_before(root: Path, commit: str, name: str) -> str | None:
    """Return the path from which the commit moved the file; None if it did not move it."""
    moves = git_or_empty(root, "diff-tree", "-r", "-M", "-z", "--name-status", "--diff-filter=R", f"{commit}^", commit)
    fields = moves.split("\0")  # R, the similarity; the old name; the new one; and so on
    return dict(zip(fields[2::3], fields[1::3], strict=False)).get(name)


def at_revision(path: Path, revision: str) -> Snapshot:
    """Return the state of the baseline file at a git revision.

    Raises
    ------
    RevisionError, BaselineUnreadable
    """
    folder = path.resolve().parent
    if revision.startswith("-"):
        raise RevisionError(f"{revision!r} is not a git revision")
    try:
        text = git(folder, "show", f"{revision}:./{path.name}")
    except RevisionError as error:
        problem = f"{revision!r} is neither a file nor a git revision with {path.name} ({error})"
        raise RevisionError(problem, "name a commit, branch or tag that has it") from None
    at = git_or_empty(folder, "log", "-1", "--format=%cI", revision)
    return of_baseline(from_text(text, f"{revision}:{path.name}"), revision, at)


def _uncommitted(path: Path, committed: Sequence[Snapshot], wanted: Wanted) -> list[Snapshot]:
    try:
        baseline = Store(path).read()
    except BaselineMissing:
        return []
    snapshot = of_baseline(baseline, "working tree", "", wanted)
    return [] if committed and committed[-1].classes == snapshot.classes else [snapshot]
