"""Where a search starts: its ends, the test's file at bad, pytest's configuration there."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from pytest_perfguard.cli.common import read_text
from pytest_perfguard.core.errors import CommandError, RevisionError, SettingError
from pytest_perfguard.core.git import git_or_empty
from pytest_perfguard.core.metric_names import metric_kind
from pytest_perfguard.core.parsers import METRICS
from pytest_perfguard.core.stats.change_points import MIN_LEVEL_LENGTH
from pytest_perfguard.core.text import did_you_mean, plural
from pytest_perfguard.core.units import format_change
from pytest_perfguard.engine.baseline.commit import is_commit
from pytest_perfguard.engine.history.snapshots import from_git
from pytest_perfguard.engine.history.trends import HistoryPoint, HistoryQuery, find_trends

#: The metric whose verdict needs no other revision.
LEAKS: Final = "leaks"
#: Files in which pytest looks for its settings, in its order, and a line that shows that they are for pytest.
_SETTINGS: Final = (
    ("pytest.toml", ""),
    (".pytest.toml", ""),
    ("pytest.ini", ""),
    (".pytest.ini", ""),
    ("pyproject.toml", r"^\[tool\.pytest\b"),
    ("tox.ini", r"^\[pytest\]"),
    ("setup.cfg", r"^\[tool:pytest\]"),
)
#: In each of their forms; a command of several lines has to be given as an option.
_BASE_COMMAND: Final = re.compile(r"""^perf_base_command\s*=\s*(["']?)(?P<command>.+)\1\s*$""", re.MULTILINE)


class Ends(NamedTuple):
    """Names of the two revisions."""

    good: str
    bad: str
    remark: str = ""
    """Where they come from."""


def check_metric(metric: str) -> str:
    """Return the name of a metric if there is such a kind.

    Raises
    ------
    SettingError
    """
    if metric_kind(metric) not in (*METRICS, LEAKS):
        raise SettingError(f"unknown metric {metric!r} (valid: {', '.join((*METRICS, LEAKS))})", "--metric")
    return metric


def ends_from_history(file: Path, test: str, metric: str, threshold: float) -> Ends:
    """Return the revisions around the largest step up of a test in the history of the baseline file.

    Raises
    ------
    CommandError
        if there is none, or the file has no history.
    """
    names = (test, _beside(file, test))
    try:
        snapshots, _remarks = from_git(file, wanted=lambda _machine, nodeid: nodeid in names)
    except RevisionError as error:
        raise CommandError(f"{error.problem}; name revisions with --good and --bad") from None
    trends = find_trends(snapshots, HistoryQuery(threshold, [metric]))
    steps = [(trend, step) for trend in trends for step in trend.steps if step.ratio > 1]
    if not steps:
        known = _without_step(len(trends[0].points)) if trends else "no recordings"
        raise CommandError(
            f"{test}: {known} of {metric} in the history of {file}; name revisions with --good and --bad"
        )
    trend, step = max(steps, key=lambda item: item[1].ratio)
    before, after = trend.points[step.index - 1], trend.points[step.index]
    others = f", the largest of {len(steps)}" if len(steps) > 1 else ""
    return Ends(
        _commit_of(file, before), _commit_of(file, after),
        f"step {format_change(step.ratio)} at {after.label} in the history of {file.name}{others}",
    )  # fmt: skip


def _beside(file: Path, test: str) -> str:
    """Return the node id of the test as seen from the folder of the baseline file, which may be above the current one."""
    name, colons, rest = test.partition("::")
    return f"{Path(os.path.relpath(name, file.resolve().parent)).as_posix()}{colons}{rest}"


def _without_step(recordings: int) -> str:
    few = f" (it takes {2 * MIN_LEVEL_LENGTH} to see one)" if recordings < 2 * MIN_LEVEL_LENGTH else ""
    return f"no step up in {plural(recordings, 'recording')}{few}"


def test_file(bad_tree: Path, folder: PurePosixPath, test: str, bad: str) -> PurePosixPath:
    """Return the path of the test's file in the tree of bad, relative to its top.

    Raises
    ------
    CommandError
        if bad has no such file.
    """
    name = test.partition("::")[0]
    path = Path(bad_tree, folder, name).resolve()
    if not path.is_relative_to(bad_tree.resolve()):
        raise CommandError(f"{name} is outside of the repository")
    if not path.is_file():
        files = git_or_empty(bad_tree / folder, "ls-files", "--", "*.py").splitlines()
        remedy = "commit it" if Path(name).is_file() else did_you_mean(name, files, 3) or "name a file of that revision"
        raise CommandError(f"there is no file {name} at bad, {bad}; {remedy}")
    return PurePosixPath(path.relative_to(bad_tree.resolve()).as_posix())


def similar_tests(bad_tree: Path, folder: PurePosixPath, test: str) -> str:
    """Return the remedy that names tests of the same file with similar names, or lists the parameters; or an empty string."""
    file, _colons, names = test.partition("::")
    name = re.sub(r"\[.*", "", names, flags=re.DOTALL).rpartition("::")[2]
    known = re.findall(r"\bdef (test\w*)", read_text(bad_tree / folder / file, missing=""))
    if name in known and "[" in names:
        return f"; list its parameters with: pytest --collect-only -q {shlex.quote(file)}"
    similar = did_you_mean(name, [other for other in known if other != name], 3)
    return f"; {similar}" if similar else ""


def pytest_settings(tree: Path, file: PurePosixPath) -> PurePosixPath | None:
    """Return pytest's configuration file for a test file, relative to the top of the tree; None if there is none."""
    for folder in file.parents:
        for name, section in _SETTINGS:
            path = tree / folder / name
            if path.is_file() and re.search(section, read_text(path), re.MULTILINE):
                return folder / name
    return None


def base_command(tree: Path, settings: PurePosixPath | None) -> str | None:
    """Return the setting `perf_base_command`, which builds a commit; None if it is not set."""
    found = _BASE_COMMAND.search(read_text(tree / settings)) if settings is not None else None
    return found["command"].strip() if found is not None else None


def _commit_of(file: Path, point: HistoryPoint) -> str:
    """Return the commit that was measured, if it is known and still there; otherwise the one that recorded it."""
    measured = (
        is_commit(point.commit) and git_or_empty(file.resolve().parent, "cat-file", "-t", point.commit) == "commit"
    )
    if measured:
        return point.commit
    return point.label if is_commit(point.label) else "HEAD"
