"""Which files are tests, and how they get into the base."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import pytest

from pytest_perfguard.abtest.revision import find_revision
from pytest_perfguard.abtest.transplant import is_test_file, test_folders, transplant
from pytest_perfguard.abtest.worktree import checked_out

PATTERNS = ["test_*.py", "*_test.py"]


@pytest.mark.parametrize(
    ("files", "folders"),
    [
        (["tests/test_a.py"], ["tests"]),
        (["tests/perf/deep/test_a.py", "tests/test_b.py"], ["tests"]),
        (["pkg/tests/test_a.py", "other/test/test_b.py"], ["other/test", "pkg/tests"]),
        (["benchmarks/test_a.py"], ["benchmarks"]),
        (["pkg/test_a.py"], []),
        (["test_a.py"], []),
        (["perf/tests/test_a.py"], ["perf/tests"]),
        (["Tests/test_a.py"], ["Tests"]),
        (["tests/a/test_a.py", "tests/a/tests/test_b.py"], ["tests"]),
    ],
)
def test_folders_of_tests_belong_to_the_tests_as_a_whole(files, folders):
    assert test_folders(map(PurePosixPath, files)) == list(map(PurePosixPath, folders))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("test_a.py", True), ("deep/b_test.py", True), ("conftest.py", True), ("a.py", False), ("test_a.txt", False)],
)
def test_files_are_told_by_their_names(name, expected):
    assert is_test_file(PurePosixPath(name), PATTERNS) is expected


def contents(tree: Path) -> dict[str, str]:
    return {
        str(path.relative_to(tree)): path.read_text()
        for path in sorted(tree.rglob("*"))
        if path.is_file() and path.name != ".git"
    }


def moved(repository, tests, settings=None):
    revision = find_revision(repository.path, "HEAD")
    with checked_out(revision) as base:
        files = [repository.path / test for test in tests]
        config = repository.path / settings if settings else None
        count = transplant(repository.path, base, files, PATTERNS, config)
        return count, contents(base)


def test_the_library_stays_and_the_tests_come(repository):
    repository.commit({"lib.py": "old", "tests/test_a.py": "old", "tests/helper.py": "old", "tests/gone.py": "old"})
    repository.write({"lib.py": "new", "tests/test_a.py": "new", "tests/helper.py": "new", "tests/data/x": "new"})
    (repository.path / "tests/gone.py").unlink()
    count, base = moved(repository, ["tests/test_a.py"])
    assert base == {"lib.py": "old", "tests/test_a.py": "new", "tests/helper.py": "new", "tests/data/x": "new"}
    assert count == 3


def test_tests_inside_the_package_leave_the_package_alone(repository):
    repository.commit({"pkg/core.py": "old", "pkg/tests/test_a.py": "old"})
    repository.write({"pkg/core.py": "new", "pkg/tests/test_a.py": "new", "pkg/tests/conftest.py": "new"})
    _count, base = moved(repository, ["pkg/tests/test_a.py"])
    assert base == {"pkg/core.py": "old", "pkg/tests/test_a.py": "new", "pkg/tests/conftest.py": "new"}


def test_tests_beside_the_code_come_alone(repository):
    repository.commit({"core.py": "old", "test_core.py": "old", "test_gone.py": "old"})
    repository.write({"core.py": "new", "test_core.py": "new", "conftest.py": "new", "test_new.py": "new"})
    (repository.path / "test_gone.py").unlink()
    _count, base = moved(repository, ["test_core.py"])
    assert base == {"core.py": "old", "test_core.py": "new", "conftest.py": "new", "test_new.py": "new"}


def test_pytests_configuration_comes_too(repository):
    repository.commit({"pytest.ini": "old", "a": "old"})
    repository.write({"pytest.ini": "new", "a": "new"})
    _count, base = moved(repository, ["test_a.py"][:0], "pytest.ini")
    assert base == {"pytest.ini": "new", "a": "old"}


def test_data_that_git_ignores_comes_and_caches_do_not(repository):
    repository.commit({"tests/test_a.py": "1", ".gitignore": "big\n__pycache__\n"})
    repository.write({"tests/big": "data"})
    cache = repository.path / "tests/__pycache__"
    cache.mkdir()
    (cache / "x.pyc").write_text("bytes")
    _count, base = moved(repository, ["tests/test_a.py"])
    assert set(base) == {".gitignore", "tests/test_a.py", "tests/big"}


def test_a_test_outside_the_tree_is_none_of_its_business(repository, tmp_path):
    repository.commit({"a": "1"})
    (tmp_path / "test_elsewhere.py").write_text("")
    revision = find_revision(repository.path, "HEAD")
    with checked_out(revision) as base:
        assert transplant(repository.path, base, [tmp_path / "test_elsewhere.py"], PATTERNS, None) == 0
