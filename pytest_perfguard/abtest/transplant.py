"""The base: the library of the revision with the tests of the working tree.

A benchmark must not change between the arms. Which files are tests is told by where they lie and what they are called:
the whole outermost folder called `test` or `tests` around a perf test, or else the outermost one called `benchmarks`, `perf`
and the like; and everywhere the files that pytest takes for tests, and every conftest.py.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from pytest_perfguard.git import git

_TEST_FOLDERS: Final = ({"test", "tests"}, {"bench", "benchmark", "benchmarks", "perf", "performance"})
_NOT_COPIED: Final = shutil.ignore_patterns("__pycache__", ".pytest_cache", ".git", "*.pyc")
CONFTEST: Final = "conftest.py"


def transplant(head: Path, base: Path, tests: Iterable[Path], patterns: Sequence[str], settings: Path | None) -> int:
    """Copy the tests of `head` over those of `base`; returns the number of files.

    `tests` are the files of the perf tests, `patterns` pytest's for test files, `settings` its configuration file.
    """
    inside = [file.relative_to(head) for file in tests if file.is_relative_to(head)]
    folders = test_folders(PurePosixPath(file.as_posix()) for file in inside)
    files = [file for file in map(PurePosixPath, _known_files(head)) if is_test_file(file, patterns)]
    files += map(PurePosixPath, map(Path.as_posix, inside))
    if settings is not None and settings.is_relative_to(head):
        files.append(PurePosixPath(settings.relative_to(head).as_posix()))
    for outdated in _test_files_of(base, patterns):
        outdated.unlink()  # the head may have done away with it
    for folder in folders:
        shutil.rmtree(base / folder, ignore_errors=True)
        shutil.copytree(head / folder, base / folder, symlinks=True, ignore=_NOT_COPIED)
    loose = {file for file in files if not any(file.is_relative_to(folder) for folder in folders)}
    for file in loose:
        (base / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(head / file, base / file, follow_symlinks=False)
    return len(loose) + sum(len(names) for folder in folders for _path, _folders, names in os.walk(base / folder))


def test_folders(files: Iterable[PurePosixPath]) -> list[PurePosixPath]:
    """The folders that belong to these test files as a whole, relative as they are."""
    found = set()
    for file in files:
        above = list(file.parents)[-2::-1]  # the outermost first, without "."
        for names in _TEST_FOLDERS:
            matching = [folder for folder in above if folder.name.lower() in names]
            if matching:
                found.add(matching[0])
                break
    return sorted(
        folder for folder in found if not any(folder != other and folder.is_relative_to(other) for other in found)
    )


test_folders.__test__ = False  # type: ignore[attr-defined]  # pytest would take it for a test where it is imported


def is_test_file(file: PurePosixPath, patterns: Sequence[str]) -> bool:
    """Does pytest take this file for a test, or for a part of its configuration?"""
    return file.name == CONFTEST or (
        file.suffix == ".py" and any(fnmatch.fnmatch(file.name, pattern) for pattern in patterns)
    )


def _known_files(top: Path) -> Iterator[str]:
    """All files but those that git ignores; deleted ones are left out."""
    listed = git(top, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    return (name for name in dict.fromkeys(listed) if name and (top / name).is_file())


def _test_files_of(base: Path, patterns: Sequence[str]) -> list[Path]:
    names = git(base, "ls-files", "-z", "--cached").split("\0")
    return [
        base / name for name in names if name and is_test_file(PurePosixPath(name), patterns) and (base / name).exists()
    ]
