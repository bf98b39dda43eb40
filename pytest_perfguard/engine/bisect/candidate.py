"""Prepare the tree of a candidate: the library of its commit, built if necessary, and the tests of bad."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from pytest_perfguard.core.errors import RevisionError
from pytest_perfguard.core.system_errors import explain_error
from pytest_perfguard.engine.runner.base_tree import BaseBuild, run_build
from pytest_perfguard.engine.runner.generated_files import copy_generated
from pytest_perfguard.engine.runner.import_audit import project_roots
from pytest_perfguard.engine.runner.path_map import PathMap
from pytest_perfguard.engine.runner.revision import Revision
from pytest_perfguard.engine.runner.test_overlay import TestFiles, copy_tests
from pytest_perfguard.engine.runner.worktree import check_out, extra_folder

#: Folder among the extra files of a tree, into which it is built.
TARGET: Final = "target"


@dataclass(frozen=True)
class Workplace:
    """The user's tree, and the tree of bad, which has the tests for all candidates."""

    top: Path
    """Top folder of the user's working tree, which is only read."""
    folder: PurePosixPath
    """Folder in which the command was started, relative to the top."""
    bad_tree: Path
    tests: TestFiles
    settings: PurePosixPath | None
    """pytest's configuration file in the tree of bad, relative to the top."""
    build: BaseBuild
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Candidate:
    """A tree that is ready for a test run."""

    tree: Path
    folder: Path
    """Where the run starts."""
    environment: Mapping[str, str]


@contextlib.contextmanager
def candidate_tree(commit: Revision, place: Workplace) -> Iterator[Candidate]:
    """Prepare the tree of a commit; it exists inside the `with` block.

    Raises
    ------
    RevisionError
        if it cannot be checked out or built.
    """
    with check_out(commit) as tree:
        try:
            candidate = _prepare(place, tree)
        except OSError as error:
            raise RevisionError(f"cannot prepare {commit.label} in {tree}: {explain_error(error)}") from None
        yield candidate


def _prepare(place: Workplace, tree: Path) -> Candidate:
    folder = tree / place.folder
    folder.mkdir(parents=True, exist_ok=True)
    target = extra_folder(tree) / TARGET if place.build.command else None
    if target is not None:  # before the tests are copied, which include the configuration of the build
        target.mkdir()
        run_build(place.build, folder, target, place.environment)
    settings = place.bad_tree / place.settings if place.settings is not None else None
    copy_tests(place.bad_tree, tree, place.tests, settings)
    if target is None:
        copy_generated(place.top, tree)
    return Candidate(tree, folder, _environment(place, tree, folder, target))


def _environment(place: Workplace, tree: Path, folder: Path, target: Path | None) -> dict[str, str]:
    """Return the environment in which the candidate's code comes before the installed one.

    Entries of the user's PYTHONPATH inside the user's tree become those of the candidate.
    """
    paths = PathMap(place.top, tree)
    given = place.environment.get("PYTHONPATH", "").split(os.pathsep)
    entries = [os.fspath(target)] if target is not None else []
    entries += [paths.to_base(os.fspath((place.top / place.folder / entry).absolute())) for entry in given if entry]
    entries += map(os.fspath, [*project_roots(tree, folder), folder])
    return {**place.environment, "PYTHONPATH": os.pathsep.join(dict.fromkeys(entries))}
