"""The commit of a revision, and the revisions that are refused with an error."""

from __future__ import annotations

import re

import pytest

from pytest_perfguard.core.errors import RevisionError
from pytest_perfguard.engine.runner.revision import check_usable, commits_behind, find_revision
from tests.repository import Repository


def test_whatever_git_understands_is_a_revision(repository):
    first = repository.commit({"a": "1"})
    repository.git("tag", "v1")
    second = repository.commit({"a": "2"})
    for name in ("v1", "HEAD~1", first, first[:8], "main~1", "main^"):
        assert find_revision(repository.path, name).commit == first
    assert find_revision(repository.path, "main").commit == second
    (repository.path / "deep").mkdir()
    assert find_revision(repository.path / "deep", "main").top == repository.path


def test_a_merge_base_is_where_the_branch_left(repository):
    fork = repository.commit({"a": "1"})
    repository.git("checkout", "-q", "-b", "feature")
    repository.commit({"b": "1"})
    repository.git("checkout", "-q", "main")
    repository.commit({"c": "1"})
    repository.git("checkout", "-q", "feature")
    assert find_revision(repository.path, "merge-base:main").commit == fork


def test_commits_behind_are_counted_along_first_parents(repository):
    first = repository.commit({"a": "1"})
    repository.git("checkout", "-q", "-b", "side")
    side = repository.commit({"b": "1"})
    repository.commit({"b": "2"})
    repository.git("checkout", "-q", "main")
    repository.git("merge", "-q", "--no-ff", "-m", "merge", "side")
    repository.git("branch", "elsewhere", first)
    repository.git("checkout", "-q", "elsewhere")
    elsewhere = repository.commit({"c": "1"})
    repository.git("checkout", "-q", "main")
    numbers = {name: commits_behind(repository.path, name) for name in ("HEAD", first, side, elsewhere, "nothing")}
    assert numbers == {"HEAD": 0, first: 1, side: 1, elsewhere: 0, "nothing": 0}


def test_a_revision_is_labelled_by_its_name_and_hash(repository):
    commit = repository.commit({"a": "1"})
    assert find_revision(repository.path, "main").label == f"main ({commit[:12]})"
    assert find_revision(repository.path, commit[:9]).label == commit[:12]


@pytest.mark.parametrize("name", ["nothing", "--help", "merge-base:nothing", "-1", "HEAD:a"])
def test_an_unknown_revision_is_named(repository, name):
    repository.commit({"a": "1"})
    with pytest.raises(RevisionError, match=f"no revision '{re.escape(name.removeprefix('merge-base:'))}'"):
        find_revision(repository.path, name)


def test_a_branch_of_the_remote_is_suggested(repository, tmp_path):
    repository.commit({"a": "1"})
    clone = Repository(tmp_path / "clone")
    clone.git("remote", "add", "origin", str(repository.path))
    clone.git("fetch", "-q", "origin")
    with pytest.raises(RevisionError, match="did you mean 'origin/main'"):
        find_revision(clone.path, "main")


def test_a_similar_name_is_suggested(repository):
    repository.commit({"a": "1"})
    repository.git("branch", "master")
    with pytest.raises(RevisionError) as caught:
        find_revision(repository.path, "mastr")
    assert str(caught.value) == "no revision 'mastr'; did you mean 'master'?"


@pytest.mark.parametrize("name", ["HEAD~2", "merge-base:other"])
def test_a_shallow_clone_is_told_what_to_fetch(repository, tmp_path, name):
    repository.commit({"a": "1"})
    repository.git("branch", "other")
    repository.commit({"a": "2"})
    repository.commit({"a": "3"})
    clone = Repository(tmp_path / "clone")
    clone.git("fetch", "-q", "--depth=1", f"file://{repository.path}", "main", "other:other")
    clone.git("reset", "-q", "--hard", "FETCH_HEAD")
    with pytest.raises(RevisionError, match=r"shallow clone.*fetch-depth: 0"):
        find_revision(clone.path, name)


def test_outside_a_repository_there_is_no_revision(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(
        RevisionError, match="not in a git repository; without git: --perf-baseline, then --perf-compare"
    ):
        find_revision(tmp_path, "main")


def test_without_git_there_is_no_revision(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RevisionError, match=r"git cannot be run.*; install git"):
        find_revision(tmp_path, "main")


def test_an_equal_tree_has_nothing_to_compare(repository):
    repository.commit({"a": "1"})
    revision = find_revision(repository.path, "main")
    with pytest.raises(RevisionError, match=r"main \(\w+\) is equal to this tree; name an older revision"):
        check_usable(revision)
    repository.write({"a": "2"})
    check_usable(revision)


def test_a_new_file_makes_a_difference(repository):
    repository.commit({"a": "1"})
    repository.write({"b": "1"})
    check_usable(find_revision(repository.path, "main"))


def test_a_revert_is_equal_whatever_the_history(repository):
    repository.commit({"a": "1"})
    repository.commit({"a": "2"})
    repository.commit({"a": "1"})
    with pytest.raises(RevisionError, match="equal to this tree"):
        check_usable(find_revision(repository.path, "HEAD~2"))


@pytest.mark.parametrize("how", ["changed", "moved"])
def test_a_dirty_submodule_is_refused(repository, tmp_path, how):
    library = Repository(tmp_path / "library")
    library.commit({"code": "1"})
    repository.commit({"a": "1"})
    repository.git("submodule", "add", "-q", str(library.path), "vendor")
    repository.commit()
    repository.write({"a": "2"})
    revision = find_revision(repository.path, "main")
    check_usable(revision)
    if how == "changed":
        repository.write({"vendor/code": "2"})
    else:
        inner = Repository(repository.path / "vendor")
        inner.commit({"code": "3"})
    with pytest.raises(RevisionError, match="submodule vendor is dirty"):
        check_usable(revision)


def test_a_commit_is_found_by_its_message(repository):
    """`:/text` is the youngest commit whose message has it, `^{/text}` one that can be reached."""
    repository.write({"a": "1"})
    repository.git("add", "-A")
    repository.git("commit", "-qm", "the first {one}")
    first = repository.git("rev-parse", "HEAD").strip()
    repository.commit({"a": "2"})
    for name in (":/first", ":/the first", "HEAD^{/first}", "merge-base::/first"):
        assert find_revision(repository.path, name).commit == first


@pytest.mark.parametrize("name", [":a", "HEAD:a", "main..HEAD", "^main", "--all", "-x", ":/never written"])
def test_what_is_no_commit_is_none(repository, name):
    """A file, a range, the opposite of a revision, an option."""
    repository.commit({"a": "1"})
    with pytest.raises(RevisionError, match="no revision '"):
        find_revision(repository.path, name)
