"""Errors of git commands: the message is kept, and a repository that git refuses is not treated as missing."""

from __future__ import annotations

import shutil

import pytest

from pytest_perfguard.core.errors import RevisionError
from pytest_perfguard.core.git import MAX_MESSAGE_LINES, find_repository, git, git_lookup
from pytest_perfguard.engine.baseline.commit import current_commit
from pytest_perfguard.engine.runner.revision import check_usable, find_revision
from tests.repository import Repository

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def dubious(repository, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    return r"(?s)detected dubious ownership in repository at .*git config --global --add safe\.directory"


def misconfigured(repository, _monkeypatch):
    (repository.path / ".git" / "config").write_text("[core\n")
    return r"bad config line 1 in file .*config"


def of_the_future(repository, _monkeypatch):
    repository.git("config", "core.repositoryformatversion", "99")
    return "Expected git repo version <= 1, found 99"


def moved_away(repository, _monkeypatch):
    """A worktree whose repository is gone."""
    shutil.rmtree(repository.path / ".git")
    (repository.path / ".git").write_text("gitdir: /nowhere/.git/worktrees/x\n")
    return "not a git repository: /nowhere"


@pytest.fixture
def repository(tmp_path):
    repository = Repository(tmp_path / "project")
    repository.commit({"a": "1", "deep/b": "1"})
    return repository


@pytest.fixture(params=[dubious, misconfigured, of_the_future, moved_away])
def refused(request, repository, monkeypatch):
    """The folder of a repository that git refuses, and git's message."""
    return repository.path, request.param(repository, monkeypatch)


def test_a_repository_that_git_refuses_is_an_error_with_the_whole_reason(refused):
    folder, reason = refused
    for read in (find_repository, current_commit, lambda folder: find_revision(folder, "main")):
        with pytest.raises(RevisionError, match=reason) as error:
            read(folder / "deep")
        assert "run pytest inside" not in str(error.value)


def test_outside_of_any_repository_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert find_repository(tmp_path) is None
    (tmp_path / ".git").mkdir()  # an empty folder of that name is none either
    assert find_repository(tmp_path) is None


def test_before_the_first_commit_there_is_no_revision(tmp_path):
    repository = Repository(tmp_path / "empty")
    assert find_repository(repository.path) == repository.path
    assert current_commit(repository.path) is None


def test_a_message_is_kept_whole_up_to_a_length(repository):
    with pytest.raises(RevisionError) as error:
        git(repository.path, "checkout", "nothing", "nowhere")
    assert len(str(error.value).splitlines()) == 2
    many = [f"nothing{number}" for number in range(5 * MAX_MESSAGE_LINES)]
    with pytest.raises(RevisionError) as error:
        git(repository.path, "checkout", "--", *many)
    lines = str(error.value).splitlines()
    assert len(lines) == 2 * MAX_MESSAGE_LINES + 1
    assert "nothing0'" in lines[0]
    assert lines[MAX_MESSAGE_LINES] == "... (30 more lines)"


def test_what_is_not_there_is_told_from_what_cannot_be_read(repository):
    assert git_lookup(repository.path, "rev-parse", "--verify", "--quiet", "nothing") is None
    with pytest.raises(RevisionError, match="ambiguous argument"):
        git_lookup(repository.path, "rev-parse", "nothing")


def test_what_git_has_to_say_of_a_revision_that_is_none_is_told(repository):
    with pytest.raises(RevisionError, match="no revision .*expected commit type, but the object dereferences"):
        find_revision(repository.path, "HEAD^{tree}")


LEFT_BY_RUNS = {
    "a folder that git ignores from inside": {".pytest_cache/.gitignore": "*\n", ".pytest_cache/v/x": ""},
    "the same further down": {"deep/.ruff_cache/.gitignore": "*\n", "deep/.ruff_cache/x": ""},
    "compiled files": {"__pycache__/a.pyc": "", "deep/__pycache__/b.pyc": "", "deep/old.pyc": ""},
    "caches without a list of ignored names": {".pytest_cache/v/x": "", ".hypothesis/x": ""},
    "a folder of ignored files": {".git/info/exclude": "*.log\n", "logs/a.log": ""},
}


@pytest.mark.parametrize("left", LEFT_BY_RUNS)
def test_what_runs_leave_is_no_change(repository, left):
    repository.write(LEFT_BY_RUNS[left])
    (repository.path / "empty" / "folder").mkdir(parents=True)
    with pytest.raises(RevisionError, match="is equal to this tree"):
        check_usable(find_revision(repository.path, "main"))
    repository.write({"new/file": ""})
    check_usable(find_revision(repository.path, "main"))
