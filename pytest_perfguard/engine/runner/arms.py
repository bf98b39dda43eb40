"""The two arms of a comparison: how to start each, and the proof that each measures what it should."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from pytest_perfguard.core.errors import RevisionError
from pytest_perfguard.core.system_errors import explained
from pytest_perfguard.engine.runner.base_tests import BaseTests
from pytest_perfguard.engine.runner.generated_files import copy_generated
from pytest_perfguard.engine.runner.import_audit import ImportAudit, project_roots
from pytest_perfguard.engine.runner.interpreter_flags import for_another, without_bytecode_in_place
from pytest_perfguard.engine.runner.path_map import PathMap
from pytest_perfguard.engine.runner.process import Launch
from pytest_perfguard.engine.runner.revision import Revision
from pytest_perfguard.engine.runner.test_overlay import Tests, only_tests_differ, transplant
from pytest_perfguard.engine.runner.worktree import beside, checked_out

LOG_LINES: Final = 15


@dataclass(frozen=True)
class Suite:
    """What the base needs to know of the run."""

    rootdir: Path
    tests: Sequence[Path]
    """The files of the perf tests."""
    settings: Path | None
    """pytest's configuration file."""


@dataclass(frozen=True)
class Build:
    """How the base is made fit for import, where its tree does not do as it is."""

    command: str | None = None
    """With `{target}` and `{python}`."""
    python: str | None = None
    """The interpreter of an environment that holds the base; a path counts from the rootdir."""


@dataclass(frozen=True)
class Arms:
    """Ready to be measured."""

    base: Launch
    head: Launch
    proof: ImportAudit
    only_tests_differ: bool
    """Do both arms run the same library, as far as Python files go?"""
    tests: BaseTests
    """What tests the revision itself has."""
    copied: Sequence[str]
    """What the build of this tree has written and the base got a copy of, relative to the top."""

    def remarks(self, revision: Revision) -> list[str]:
        """Return what is to be known of the arms once they were measured."""
        used = [name for name in self.copied if self._is_used(revision.top / name)]
        remarks = []
        if used:
            remarks.append(
                f"copied from this tree to {revision.label}, as git ignores them and the build writes them: {', '.join(used)}"
            )
        if self.only_tests_differ:
            remarks.append(f"all Python files that differ from {revision.label} are tests, which both arms share")
        return remarks

    def _is_used(self, file: Path) -> bool:
        return file.suffix != ".py" or os.path.realpath(file) in self.proof.head_files


@contextlib.contextmanager
def two_arms(revision: Revision, head: Launch, suite: Suite, build: Build) -> Iterator[Arms]:
    """The revision beside this tree, inside the `with` block.

    Raises
    ------
    RevisionError
        where the revision cannot be checked out or built.
    """
    with checked_out(revision) as tree:
        try:
            arms = _prepared(revision, head, suite, build, tree)
        except OSError as error:
            raise RevisionError(f"cannot prepare {revision.label} in {tree}: {explained(error)}") from None
        yield arms


def _prepared(revision: Revision, head: Launch, suite: Suite, build: Build, tree: Path) -> Arms:
    top, places, extra = revision.top, PathMap(revision.top, tree), beside(tree)
    build = replace(build, python=_absolute(build.python, suite.rootdir))
    target = extra / "target" if build.command else None
    if target is not None:  # before the tests come, and with them the head's configuration of the build
        target.mkdir()
        _run(build, Path(places.moved(os.fspath(suite.rootdir))), target, head.environment)
    tests = Tests.around(_inside(top, suite.tests))
    transplant(top, tree, tests, suite.settings)
    copied = [] if build.command or build.python else copy_generated(top, tree)
    roots = project_roots(top, suite.rootdir)
    head = _without_bytecode_in_place(head, extra / "bytecode")
    base = _base(head, places, roots, build, target)
    proof = ImportAudit(places, roots, is_test=tests.cover, target=target, apart=build.python is not None)
    only_tests = only_tests_differ(top, revision.commit, tests)
    return Arms(base, replace(head, arm="head"), proof, only_tests, BaseTests(revision), copied)


def _inside(top: Path, files: Sequence[Path]) -> Iterator[PurePosixPath]:
    for file in files:
        for place in (file, Path(os.path.realpath(file))):
            if place.is_relative_to(top):
                yield PurePosixPath(place.relative_to(top).as_posix())
                break


def _absolute(python: str | None, rootdir: Path) -> str | None:
    """A path from the rootdir, links unresolved (an environment is where its link lies); a bare name is looked up."""
    return os.fspath(rootdir / python) if python and os.sep in python else python


def _base(head: Launch, places: PathMap, roots: Sequence[Path], build: Build, target: Path | None) -> Launch:
    environment = dict(head.environment)
    entries = [places.moved(entry) for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    path = None
    if build.python is None:
        built = [os.fspath(target)] if target else []
        path = [*built, *places.moved_path(head.path or (), roots)]
        # For programs that a test starts, which would else find what is installed: the head.
        entries = [*built, *entries, *(places.moved(os.fspath(root)) for root in roots)]
    if entries:
        environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(entries))
    return Launch(
        arguments=[places.moved_argument(argument, head.folder) for argument in head.arguments],
        folder=Path(places.moved(os.fspath(head.folder))),
        python=build.python or head.python,
        path=path,
        environment=environment,
        flags=for_another(head.flags) if build.python else head.flags,
        arm="base",
        place=places.moved,
        fingerprints=head.fingerprints,
    )


def _without_bytecode_in_place(head: Launch, folder: Path) -> Launch:
    """Where compiled files may not be written, both arms keep theirs elsewhere.

    Else the head might load files that were compiled before while the base compiles its own in every process, and the two
    would differ in how their code lies in memory.
    """
    environment = dict(head.environment)
    if not environment.pop("PYTHONDONTWRITEBYTECODE", "") and "-B" not in head.flags:
        return head
    environment.setdefault("PYTHONPYCACHEPREFIX", os.fspath(folder))  # for programs that a test starts
    return replace(head, environment=environment, flags=without_bytecode_in_place(head.flags, os.fspath(folder)))


def _run(build: Build, folder: Path, target: Path, environment: Mapping[str, str]) -> None:
    """The user's command that installs the base."""
    command = build.command or ""
    words = [
        word.replace("{target}", os.fspath(target)).replace("{python}", build.python or sys.executable)
        for word in shlex.split(command)
    ]
    try:
        done = subprocess.run(
            words, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", check=False,
        )  # fmt: skip
    except OSError as error:
        raise RevisionError(f"perf_base_command {command!r}: {error}") from None
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-LOG_LINES:])
        raise RevisionError(f"perf_base_command {command!r} exited with status {done.returncode}:\n{last}")
