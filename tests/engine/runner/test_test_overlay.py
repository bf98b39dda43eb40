"""Which files are tests, and how they get into the base."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path, PurePosixPath

import pytest

from pytest_perfguard.core.errors import RevisionError
from pytest_perfguard.engine.runner.revision import find_revision
from pytest_perfguard.engine.runner.test_overlay import TestFiles, copy_tests, only_tests_differ
from pytest_perfguard.engine.runner.worktree import check_out


def around(*files):
    return TestFiles.from_perf_tests(map(PurePosixPath, files))


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
    assert around("tests/test_a.py", "pkg/test_a.py").contains(PurePosixPath(name)) is expected


def contents(tree: Path) -> dict[str, str]:
    return {
        str(path.relative_to(tree)): path.read_text()
        for path in sorted(tree.rglob("*"))
        if path.is_file() and path.name != ".git"
    }


def moved(repository, tests, settings=None):
    """What the base holds afterwards."""
    revision = find_revision(repository.path, "HEAD")
    with check_out(revision) as base:
        config = repository.path / settings if settings else None
        copy_tests(repository.path, base, around(*tests), config)
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
def test_pipes_and_sockets_are_left_out_as_git_leaves_them_out(repository, monkeypatch):
    """What a service puts beside the tests: git knows no such things."""
    repository.commit({"tests/test_a.py": "1"})
    repository.write({"tests/deep/data": "x"})
    os.mkfifo(repository.path / "tests/deep/pipe")
    monkeypatch.chdir(repository.path / "tests")  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        base = moved(repository, ["tests/test_a.py"])
    assert base == {"tests/test_a.py": "1", "tests/deep/data": "x"}


def lock(monkeypatch, *names):
    """Make the files and folders of these names unreadable, for root as well."""
    access, scandir, copy = os.access, os.scandir, shutil.copy2

    def refused(path):
        if not isinstance(path, int) and Path(path).name in names:
            raise PermissionError(13, "Permission denied", str(path))

    def scan(path):
        refused(path)
        return scandir(path)

    def copied(source, target, **keywords):
        refused(source)
        return copy(source, target, **keywords)

    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name not in names and access(path, mode))
    monkeypatch.setattr(os, "scandir", scan)
    monkeypatch.setattr(shutil, "copy2", copied)


@pytest.mark.parametrize("ignored", ["tests/data/pg/", "tests/data/", "pg"])
def test_what_git_ignores_and_may_not_be_read_is_left_out(repository, monkeypatch, ignored):
    """The data of a database in a container belong to another user."""
    repository.commit({"tests/test_a.py": "1", ".gitignore": f"{ignored}\nsecret\n"})
    repository.write({"tests/data/pg/x": "1", "tests/data/ours": "2", "tests/secret": "3"})
    lock(monkeypatch, "pg", "secret")
    base = moved(repository, ["tests/test_a.py"])
    assert base == {".gitignore": f"{ignored}\nsecret\n", "tests/test_a.py": "1", "tests/data/ours": "2"}


@pytest.mark.parametrize("name", ["helper.py", "deep"])
def test_what_cannot_be_copied_is_named_with_a_remedy(repository, monkeypatch, name):
    """A file or a folder that git does not ignore; no raw list of Python's."""
    repository.commit({"tests/test_a.py": "1", "tests/helper.py": "1", "tests/deep/x": "1"})
    lock(monkeypatch, name)
    with pytest.raises(RevisionError) as caught:
        moved(repository, ["tests/test_a.py"])
    text = str(caught.value)
    assert text.startswith(f"cannot copy this tree's tests to the base: {repository.path}/tests/{name}: ")
    assert "Permission denied" in text
    assert "let git ignore it" in text
    assert "[(" not in text


def test_a_file_that_vanishes_meanwhile_is_no_problem(repository, monkeypatch):
    """Journals and locks of services come and go."""
    repository.commit({"tests/test_a.py": "1"})
    repository.write({"tests/db-journal": "x"})
    copy = shutil.copy2

    def copied(source, target, **keywords):
        Path(source).unlink() if Path(source).name == "db-journal" else None
        return copy(source, target, **keywords)

    monkeypatch.setattr(shutil, "copy2", copied)
    assert moved(repository, ["tests/test_a.py"]) == {"tests/test_a.py": "1"}


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
