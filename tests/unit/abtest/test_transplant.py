"""Which files are tests, and how they get into the base."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from pytest_perfguard.abtest.revision import find_revision
from pytest_perfguard.abtest.transplant import Tests, only_tests_differ, transplant
from pytest_perfguard.abtest.worktree import checked_out
from pytest_perfguard.errors import RevisionError


def around(*files):
    return Tests.around(map(PurePosixPath, files))


@pytest.mark.parametrize(
    ("files", "folders"),
    [
        (["tests/test_a.py"], ["tests"]),
        (["tests/perf/deep/test_a.py", "tests/test_b.py"], ["tests"]),
        (["pkg/tests/test_a.py", "other/test/test_b.py"], ["other/test", "pkg/tests"]),
        (["benchmarks/deep/test_a.py"], ["benchmarks"]),
        (["pkg/test_a.py"], []),
        (["test_a.py"], []),
        (["perf/tests/test_a.py"], ["perf/tests"]),
        (["Tests/test_a.py"], ["Tests"]),
        (["tests/projects/foo/tests/test_a.py"], ["tests/projects/foo/tests"]),
        (["tests/test_a.py", "tests/a/tests/test_b.py"], ["tests"]),
    ],
)
def test_folders_of_tests_belong_to_the_tests_as_a_whole(files, folders):
    assert around(*files).folders == tuple(map(PurePosixPath, folders))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tests/helper.py", True),
        ("tests/data/x.json", True),
        ("deep/conftest.py", True),
        ("pkg/test_a.py", True),
        ("pkg/test_other.py", True),
        ("pkg/ab_test.py", False),
        ("pkg/core.py", False),
        ("else/test_b.py", False),
        ("tests2/helper.py", False),
    ],
)
def test_what_belongs_to_the_tests(name, expected):
    assert around("tests/test_a.py", "pkg/test_a.py").cover(PurePosixPath(name)) is expected


def contents(tree: Path) -> dict[str, str]:
    return {
        str(path.relative_to(tree)): path.read_text()
        for path in sorted(tree.rglob("*"))
        if path.is_file() and path.name != ".git"
    }


def moved(repository, tests, settings=None):
    """What the base holds afterwards."""
    revision = find_revision(repository.path, "HEAD")
    with checked_out(revision) as base:
        config = repository.path / settings if settings else None
        transplant(repository.path, base, around(*tests), config)
        return contents(base)


def test_the_library_stays_and_the_tests_come(repository):
    repository.commit({"lib.py": "old", "tests/test_a.py": "old", "tests/helper.py": "old", "tests/gone.py": "old"})
    repository.write({"lib.py": "new", "tests/test_a.py": "new", "tests/helper.py": "new", "tests/data/x": "new"})
    (repository.path / "tests/gone.py").unlink()
    base = moved(repository, ["tests/test_a.py"])
    assert base == {"lib.py": "old", "tests/test_a.py": "new", "tests/helper.py": "new", "tests/data/x": "new"}


def test_tests_inside_the_package_leave_the_package_alone(repository):
    repository.commit({"pkg/core.py": "old", "pkg/tests/test_a.py": "old"})
    repository.write({"pkg/core.py": "new", "pkg/tests/test_a.py": "new", "pkg/tests/conftest.py": "new"})
    base = moved(repository, ["pkg/tests/test_a.py"])
    assert base == {"pkg/core.py": "old", "pkg/tests/test_a.py": "new", "pkg/tests/conftest.py": "new"}


def test_tests_beside_the_code_come_alone(repository):
    repository.commit({"core.py": "old", "test_core.py": "old", "test_gone.py": "old"})
    repository.write({"core.py": "new", "test_core.py": "new", "conftest.py": "new", "test_new.py": "new"})
    (repository.path / "test_gone.py").unlink()
    base = moved(repository, ["test_core.py"])
    assert base == {"core.py": "old", "test_core.py": "new", "conftest.py": "new", "test_new.py": "new"}


def test_pytests_configuration_comes_too(repository):
    repository.commit({"pytest.ini": "old", "a": "old"})
    repository.write({"pytest.ini": "new", "a": "new"})
    base = moved(repository, [], "pytest.ini")
    assert base == {"pytest.ini": "new", "a": "old"}


def test_data_that_git_ignores_comes_and_caches_do_not(repository):
    repository.commit({"tests/test_a.py": "1", ".gitignore": "big\n__pycache__\n"})
    repository.write({"tests/big": "data"})
    cache = repository.path / "tests/__pycache__"
    cache.mkdir()
    (cache / "x.pyc").write_text("bytes")
    base = moved(repository, ["tests/test_a.py"])
    assert set(base) == {".gitignore", "tests/test_a.py", "tests/big"}


def test_a_folder_that_is_a_link_stays_one(repository):
    repository.commit({"real/test_a.py": "old", "lib.py": "old"})
    (repository.path / "tests").symlink_to("real")
    repository.commit()
    repository.write({"real/test_a.py": "new"})
    assert moved(repository, ["tests/test_a.py"])["tests/test_a.py"] == "new"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_what_cannot_be_copied_is_told(repository):
    repository.commit({"tests/test_a.py": "1"})
    os.mkfifo(repository.path / "tests/pipe")
    with pytest.raises(RevisionError, match=r"cannot copy this tree's tests to the base.*named pipe"):
        moved(repository, ["tests/test_a.py"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"tests/test_a.py": "2"}, True),
        ({"tests/new.py": "2"}, True),
        ({"tests/test_a.py": "2", "lib.py": "2"}, False),
        ({"new.py": "2"}, False),
        ({"note": "2"}, False),
    ],
)
def test_a_change_of_tests_alone_is_seen(repository, change, expected):
    commit = repository.commit({"tests/test_a.py": "1", "lib.py": "1"})
    repository.write(change)
    assert only_tests_differ(repository.path, commit, around("tests/test_a.py")) is expected
