"""The base's folder: there during the block, gone afterwards whatever happens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_perfguard.core.errors import RevisionError
from pytest_perfguard.engine.runner.revision import find_revision
from pytest_perfguard.engine.runner.worktree import check_out, clear_leftovers, worktrees_folder
from tests.repository import Repository


def leftovers(repository):
    """What is left of worktrees: folders, locks, git's own entries."""
    listed = repository.git("worktree", "list", "--porcelain").count("worktree ")
    return [path.name for path in worktrees_folder(repository.path).glob("*")], listed


@pytest.fixture
def revision(repository):
    repository.commit({"a": "old", "gone": "old"})
    (repository.path / "gone").unlink()
    repository.commit({"a": "new"})
    return find_revision(repository.path, "HEAD~1")


def test_the_revision_is_there_and_then_gone(repository, revision):
    with check_out(revision) as tree:
        assert (tree / "a").read_text() == "old"
        assert (tree / "gone").exists()
        (tree / "made").write_text("by a test")
    assert not tree.exists()
    assert leftovers(repository) == ([], 1)
    assert repository.git("status", "--porcelain") == ""


def test_an_interrupt_leaves_nothing(repository, revision):
    with pytest.raises(KeyboardInterrupt), check_out(revision):
        raise KeyboardInterrupt
    assert leftovers(repository) == ([], 1)


def test_an_error_of_the_block_is_the_callers_own(revision):
    with pytest.raises(OSError, match="mine"), check_out(revision):
        raise OSError("mine")


def test_a_killed_run_is_cleared_by_the_next(repository, revision):
    program = f"""
import os, signal
from pathlib import Path
from pytest_perfguard.engine.runner.revision import find_revision
from pytest_perfguard.engine.runner.worktree import check_out, extra_folder
with check_out(find_revision(Path({str(repository.path)!r}), "HEAD~1")) as tree:
    (extra_folder(tree) / "built").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", program], cwd=root, check=False)
    names, listed = leftovers(repository)
    assert (len(names), listed) == (3, 2)
    with check_out(revision):
        assert len(leftovers(repository)[0]) == 2, "its own folder and lock"
    assert leftovers(repository) == ([], 1)


def test_a_run_that_is_alive_is_left_alone(repository, revision):
    with check_out(revision) as first, check_out(revision) as second:
        assert clear_leftovers(repository.path) == 0
        assert first != second
        assert (first / "a").exists()


def test_submodules_are_checked_out_as_recorded(repository, tmp_path):
    library = Repository(tmp_path / "library")
    library.commit({"code": "one"})
    repository.commit({"a": "1"})
    repository.git("submodule", "add", "-q", str(library.path), "deep/vendor")
    repository.commit({"a": "2"})
    library.commit({"code": "two"})
    Repository(repository.path / "deep/vendor").git("pull", "-q", str(library.path), "main")
    repository.commit({"a": "3"})
    with check_out(find_revision(repository.path, "HEAD~1")) as tree:
        assert (tree / "deep/vendor/code").read_text() == "one"
    assert leftovers(repository) == ([], 1)
    inner = Repository(repository.path / "deep/vendor")
    assert inner.git("worktree", "list", "--porcelain").count("worktree ") == 1


def test_a_submodule_commit_that_is_not_here_is_told(repository, tmp_path):
    library = Repository(tmp_path / "library")
    library.commit({"code": "one"})
    repository.commit({"a": "1"})
    repository.git("submodule", "add", "-q", str(library.path), "vendor")
    repository.git("update-index", "--cacheinfo", f"160000,{'1' * 40},vendor")
    repository.git("commit", "-qm", "broken")
    with pytest.raises(RevisionError, match="git worktree"), check_out(find_revision(repository.path, "HEAD")):
        pytest.fail("it was checked out")
    assert leftovers(repository) == ([], 1)


def test_hooks_do_not_run(repository, revision):
    hook = repository.path / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    with check_out(revision) as tree:
        assert tree.exists()


def test_a_folder_that_cannot_be_made_is_told(repository, revision):
    worktrees_folder(repository.path).write_text("in the way")
    with pytest.raises(RevisionError, match="cannot check out"), check_out(revision):
        pytest.fail("it was checked out")


def test_what_lies_there_without_a_run_is_cleared(repository, revision):
    """A child process that briefly outlived its killed run may have created its folder again."""
    home = worktrees_folder(repository.path)
    with check_out(revision):
        (home / "0123456789ab.extra" / "bytecode").mkdir(parents=True)
        assert clear_leftovers(repository.path) == 1
    assert leftovers(repository) == ([], 1)


def test_a_link_under_the_name_of_a_lock_leads_nowhere(repository, revision, tmp_path):
    """What lies in the folder of worktrees is cleared, and a link is not followed."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    worktrees_folder(repository.path).mkdir()
    (worktrees_folder(repository.path) / "planted.lock").symlink_to(victim)
    with check_out(revision):
        assert victim.read_text() == "precious"
    assert victim.read_text() == "precious"
