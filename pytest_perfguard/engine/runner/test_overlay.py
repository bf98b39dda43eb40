"""Overlay the tests of the working tree on the library of the revision, so that both arms run the same benchmark.

These files count as tests: the whole folder `test` or `tests` closest around a perf test, or otherwise the outermost
one named `benchmarks`, `perf` or similar; the test files next to a perf test outside of such a folder; and every
conftest.py. Files that git ignores and that cannot be copied are left out: named pipes, sockets and devices, and
unreadable files and folders, such as the data of a database in a container.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from pytest_perfguard.core.errors import RevisionError
from pytest_perfguard.core.git import git, git_or_empty
from pytest_perfguard.core.system_errors import explain_error

_TEST_FOLDERS: Final = {"test", "tests"}
_BENCHMARK_FOLDERS: Final = {"bench", "benchmark", "benchmarks", "perf", "performance"}
_IGNORED: Final = shutil.ignore_patterns("__pycache__", ".pytest_cache", ".git", "*.pyc")


@dataclass(frozen=True)
class TestFiles:
    """The files that belong to the tests, relative to the top of the tree."""

    __test__ = False

    folders: tuple[PurePosixPath, ...]
    """Folders that belong to the tests as a whole."""
    shared_folders: tuple[PurePosixPath, ...]
    """Folders in which only files named like tests belong to the tests."""
    files: frozenset[PurePosixPath]
    """Single files."""

    @classmethod
    def from_perf_tests(cls, files: Iterable[PurePosixPath]) -> TestFiles:
        """Return the files that belong to these files of perf tests."""
        files = frozenset(files)
        folders = {folder for file in files if (folder := _test_folder_of(file)) is not None}
        outer = [
            folder
            for folder in folders
            if not any(folder != other and folder.is_relative_to(other) for other in folders)
        ]
        beside = {file.parent for file in files if _test_folder_of(file) is None}
        return cls(tuple(sorted(outer)), tuple(sorted(beside)), files)

    def contains(self, file: PurePosixPath) -> bool:
        """Return whether this file belongs to the tests."""
        if file.name == "conftest.py" or file in self.files or self.in_test_folder(file):
            return True
        return file.parent in self.shared_folders and file.match("test_*.py")

    def in_test_folder(self, file: PurePosixPath) -> bool:
        """Return whether this file is in a folder that belongs to the tests as a whole."""
        return any(file.is_relative_to(folder) for folder in self.folders)


def copy_tests(head: Path, base: Path, tests: TestFiles, settings: Path | None) -> None:
    """Copy the tests of `head` over those of `base`, and the test runner's configuration file `settings`.

    Raises
    ------
    RevisionError
        if a file cannot be copied.
    """
    try:
        for outdated in filter(tests.contains, _list_files(base, "--cached")):
            (base / outdated).unlink(missing_ok=True)  # the head may have deleted it
        for folder in tests.folders:
            _copy_folder(head, folder, base)
        loose = [
            file for file in _list_files(head, "--cached", "--others", "--exclude-standard") if tests.contains(file)
        ]
        loose += tests.files
        if settings is not None and settings.is_relative_to(head):
            loose.append(PurePosixPath(settings.relative_to(head).as_posix()))
        for file in set(loose):
            if not tests.in_test_folder(file) and os.path.isfile(head / file):  # noqa: PTH113 - False for a file without access
                _copy_file(head / file, base / file)
    except OSError as error:
        raise RevisionError(
            f"cannot copy this tree's tests to the base: {_first_problem(error)}",
            "make it readable, or let git ignore it, which leaves unreadable files out; check the free space of the disk",
        ) from None


def only_tests_differ(head: Path, commit: str, tests: TestFiles) -> bool:
    """Return whether all Python files that differ from the commit are tests, which both arms share."""
    changed = git(head, "diff", "--name-only", "-z", "--no-ext-diff", commit, "--", "*.py").split("\0")
    changed += git(head, "ls-files", "-z", "--others", "--exclude-standard", "--", "*.py").split("\0")
    files = [PurePosixPath(name) for name in changed if name]
    return bool(files) and all(map(tests.contains, files))


def _test_folder_of(file: PurePosixPath) -> PurePosixPath | None:
    above = list(file.parents)[:-1]  # the closest first, without "."
    closest = [folder for folder in above if folder.name.lower() in _TEST_FOLDERS]
    outermost = [folder for folder in above[::-1] if folder.name.lower() in _BENCHMARK_FOLDERS]
    return next(iter(closest + outermost), None)


def _list_files(tree: Path, *options: str) -> list[PurePosixPath]:
    names = git(tree, "ls-files", "-z", *options).split("\0")
    return [PurePosixPath(name) for name in dict.fromkeys(names) if name]


def _copy_folder(head: Path, folder: PurePosixPath, base: Path) -> None:
    def left_out(place: str, names: list[str]) -> set[str]:
        paths = [Path(place, name) for name in names]
        return _IGNORED(place, names) | {path.name for path in paths if _is_uncopyable(head, path)}

    source, target = head / folder, base / folder
    if target.is_symlink():
        target.unlink()
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, symlinks=True, ignore=left_out, copy_function=_copy_unless_gone)


def _is_uncopyable(head: Path, path: Path) -> bool:
    """Return whether git leaves this out and it cannot be copied."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:  # it was deleted in the meantime
        return True
    except OSError:  # the copy fails as well, and reports the reason
        return False
    if stat.S_ISLNK(mode):
        return False
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):  # pipes, sockets, devices
        return True
    needed = os.R_OK | os.X_OK if stat.S_ISDIR(mode) else os.R_OK
    return not os.access(path, needed) and bool(git_or_empty(head, "check-ignore", "--", os.fspath(path)))


def _copy_unless_gone(source: str, target: str) -> None:
    try:
        shutil.copy2(source, target)
    except FileNotFoundError:
        if os.path.lexists(source):
            raise
        # For example a lock file or a journal that a service has removed in the meantime.


def _first_problem(error: OSError) -> str:
    """Return the first of the problems that `shutil.copytree` collects, and the number of the others."""
    if not isinstance(error, shutil.Error) or not isinstance(error.args[0], list):
        return explain_error(error)
    source, _target, why = error.args[0][0]
    others = len(error.args[0]) - 1
    return f"{source}: {why}" + (f", and {others} more" if others else "")


def _copy_file(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(target):
        target.unlink()
    shutil.copy2(source, target, follow_symlinks=False)
