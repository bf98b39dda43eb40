"""Prepare the base of a comparison beside this tree: check it out, build it, overlay the tests, and derive its launch."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from pytest_perfguard.core.errors import RevisionError
from pytest_perfguard.core.git import git_or_empty
from pytest_perfguard.core.system_errors import explain_error
from pytest_perfguard.engine.runner.generated_files import copy_generated
from pytest_perfguard.engine.runner.import_audit import BUILD_REMEDY, ImportAudit, project_roots
from pytest_perfguard.engine.runner.interpreter_flags import portable_flags, with_bytecode_folder
from pytest_perfguard.engine.runner.path_map import PathMap
from pytest_perfguard.engine.runner.process import Launch
from pytest_perfguard.engine.runner.revision import Revision
from pytest_perfguard.engine.runner.test_overlay import TestFiles, copy_tests, only_tests_differ
from pytest_perfguard.engine.runner.worktree import check_out, extra_folder

#: Last lines of the output of a failed build command that the error message shows.
MAX_LOG_LINES: Final = 15


#: Advice for a base that lacks files which a build writes.
BUILD_HINT: Final = f"if the base has to be built before it can be imported, {BUILD_REMEDY}"
#: Beginnings of the failures that such a base causes.
UNBUILT_ERRORS: Final = (
    "ModuleNotFoundError",
    "ImportError",
    "FileNotFoundError",
    "importlib.metadata.PackageNotFoundError",
)


@dataclass(frozen=True)
class RunPaths:
    """Paths of the run that the base needs."""

    rootdir: Path
    tests: Sequence[Path]
    """Files of the perf tests."""
    settings: Path | None
    """Configuration file of the test runner."""


@dataclass(frozen=True)
class BaseBuild:
    """Settings that make the base importable, if its tree is not importable as checked out."""

    command: str | None = None
    """Build command with the placeholders `{target}` and `{python}`."""
    python: str | None = None
    """Interpreter of an environment that contains the base; a relative path starts at the rootdir."""


@dataclass(frozen=True)
class Arms:
    """The two launches of a comparison, ready to be measured."""

    base: Launch
    head: Launch
    audit: ImportAudit
    only_tests_differ: bool
    """True if both arms run the same library, judged by Python files."""
    base_tests: BaseTests
    """The tests that the revision itself has."""
    copied: Sequence[str]
    """Files written by the build of this tree that were copied to the base, relative to the top folder."""

    def remarks(self, revision: Revision) -> list[str]:
        """Return remarks on the arms, once they were measured."""
        used = [name for name in self.copied if self._is_used(revision.top / name)]
        remarks = []
        if used:
            remarks.append(
                f"copied from this tree to {revision.label}, because git ignores them and the build writes them: {', '.join(used)}"
            )
        if self.only_tests_differ:
            remarks.append(f"all Python files that differ from {revision.label} are tests, which both arms share")
        return remarks

    def _is_used(self, file: Path) -> bool:
        return file.suffix != ".py" or os.path.realpath(file) in self.audit.head_files


@contextlib.contextmanager
def prepare_arms(revision: Revision, head: Launch, run_paths: RunPaths, build: BaseBuild) -> Iterator[Arms]:
    """Prepare both arms; the base exists inside the `with` block.

    Raises
    ------
    RevisionError
        if the revision cannot be checked out or built.
    """
    with check_out(revision) as tree:
        try:
            arms = _prepare(revision, head, run_paths, build, tree)
        except OSError as error:
            raise RevisionError(f"cannot prepare {revision.label} in {tree}: {explain_error(error)}") from None
        yield arms


def _prepare(revision: Revision, head: Launch, run_paths: RunPaths, build: BaseBuild, tree: Path) -> Arms:
    top, paths, extra = revision.top, PathMap(revision.top, tree), extra_folder(tree)
    build = replace(build, python=_absolute_python(build.python, run_paths.rootdir))
    target = extra / "target" if build.command else None
    if target is not None:  # before the tests are copied, which include the head's build configuration
        target.mkdir()
        run_build(build, Path(paths.to_base(os.fspath(run_paths.rootdir))), target, head.environment)
    tests = TestFiles.from_perf_tests(_relative_to(top, run_paths.tests))
    copy_tests(top, tree, tests, run_paths.settings)
    copied = [] if build.command or build.python else copy_generated(top, tree)
    roots = project_roots(top, run_paths.rootdir)
    head = _with_own_bytecode_folder(head, extra / "bytecode")
    base = _base_launch(head, paths, roots, build, target)
    audit = ImportAudit(paths, roots, is_test=tests.contains, target=target, own_environment=build.python is not None)
    only_tests = only_tests_differ(top, revision.commit, tests)
    return Arms(base, replace(head, arm="head"), audit, only_tests, BaseTests(revision), copied)


def _relative_to(top: Path, files: Sequence[Path]) -> Iterator[PurePosixPath]:
    for file in files:
        for place in (file, Path(os.path.realpath(file))):
            if place.is_relative_to(top):
                yield PurePosixPath(place.relative_to(top).as_posix())
                break


def _absolute_python(python: str | None, rootdir: Path) -> str | None:
    """Return the absolute path of the interpreter; a bare name is looked up in PATH. Links stay, because an environment
    is where its link is."""
    return os.fspath(rootdir / python) if python and os.sep in python else python


def _base_launch(head: Launch, paths: PathMap, roots: Sequence[Path], build: BaseBuild, target: Path | None) -> Launch:
    environment = dict(head.environment)
    entries = [paths.to_base(entry) for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    path = None
    if build.python is None:
        built = [os.fspath(target)] if target else []
        path = [*built, *paths.import_path_to_base(head.path or (), roots)]
        # For programs that a test starts, which would otherwise import the installed package: the head.
        entries = [*built, *entries, *(paths.to_base(os.fspath(root)) for root in roots)]
    if entries:
        environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(entries))
    return Launch(
        arguments=[paths.argument_to_base(argument, head.folder) for argument in head.arguments],
        folder=Path(paths.to_base(os.fspath(head.folder))),
        program=head.program,
        python=build.python or head.python,
        path=path,
        environment=environment,
        flags=portable_flags(head.flags) if build.python else head.flags,
        arm="base",
        map_path=paths.to_base,
        fingerprints=head.fingerprints,
    )


def _with_own_bytecode_folder(head: Launch, folder: Path) -> Launch:
    """Redirect compiled files of both arms to another folder, if they may not be written beside the source.

    Otherwise the head could load existing compiled files while the base compiles its own in every process, and the two
    would differ in the memory layout of their code.
    """
    environment = dict(head.environment)
    if not environment.pop("PYTHONDONTWRITEBYTECODE", "") and "-B" not in head.flags:
        return head
    environment.setdefault("PYTHONPYCACHEPREFIX", os.fspath(folder))  # for programs that a test starts
    return replace(head, environment=environment, flags=with_bytecode_folder(head.flags, os.fspath(folder)))


def run_build(build: BaseBuild, folder: Path, target: Path, environment: Mapping[str, str]) -> None:
    """Run the user's command that installs the base."""
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
        last = "\n".join(done.stdout.splitlines()[-MAX_LOG_LINES:])
        raise RevisionError(f"perf_base_command {command!r} exited with status {done.returncode}:\n{last}")


class BaseTests:
    """The tests of a revision, found in its own files."""

    def __init__(self, revision: Revision) -> None:
        self._revision = revision
        self._texts = functools.lru_cache(maxsize=None)(self._read)

    def has(self, nodeid: str, path: str) -> bool:
        """Return whether the revision has a test of this id in this file of this tree, even if the test cannot run
        there.

        Every part of the id that occurs in this tree's file must occur in the revision's file. A name that occurs in
        neither is inherited, or generated in a loop.
        """
        head, base = self._texts(path)
        names = re.sub(r"\[.*", "", nodeid.partition("::")[2], flags=re.DOTALL).split("::")
        return bool(base) and all(_contains_word(name, base) for name in names if _contains_word(name, head))

    def _read(self, path: str) -> tuple[str, str]:
        top = self._revision.top
        file = next((Path(place) for place in (path, os.path.realpath(path)) if Path(place).is_relative_to(top)), None)
        if file is None:  # outside of the repository: both arms run the same file
            return "", "outside"
        try:
            head = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            head = ""
        return head, git_or_empty(top, "show", f"{self._revision.commit}:{file.relative_to(top).as_posix()}")


def _contains_word(name: str, text: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", text) is not None
