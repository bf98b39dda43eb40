"""`perfguard doctor`: facts with advice, and nothing is measured."""

from __future__ import annotations

import pytest

from pytest_perfguard.cli import doctor
from pytest_perfguard.core.errors import RevisionError
from tests.repository import Repository


def test_it_names_each_check_once(command):
    status, data = command.json("doctor")
    names = [check["name"] for check in data["checks"]]
    assert status == 0
    assert len(names) == len(set(names))
    assert {"CPUs", "pinning", "hardware", "versions", "git", "valgrind", "extras"} <= set(names)


def test_a_line_has_mark_name_text_and_advice(command, monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda _program: None)
    _status, out, _err = command.run("doctor")
    (line,) = [line for line in out.splitlines() if " git " in line]
    assert line.startswith("note git")
    assert line.endswith("not installed: --perf-against needs it, and a stored baseline confirms suspects with it")
    assert out.splitlines()[-1] == "To measure what this machine can detect: perfguard noise"


def git_check(command):
    return next(check for check in command.json("doctor")[1]["checks"] if check["name"] == "git")


def test_a_folder_in_no_repository_cannot_be_compared_with_a_revision(command):
    assert git_check(command)["text"] == "this folder is in no repository"


def test_a_repository_is_fit(command):
    Repository(command.path).commit()
    assert git_check(command)["fit"] is True


def test_a_repository_without_a_commit_has_nothing_to_compare_with(command):
    Repository(command.path)
    assert git_check(command)["text"] == "a repository without a commit"


def test_a_shallow_clone_lacks_its_history(command, monkeypatch):
    Repository(command.path)
    monkeypatch.setattr(doctor, "is_shallow", lambda _folder: True)
    assert git_check(command)["advice"].endswith("git fetch --unshallow")


def test_a_repository_that_git_refuses_is_reported_with_its_reason(command, monkeypatch):
    def refuse(_folder):
        raise RevisionError("dubious ownership")

    monkeypatch.setattr(doctor, "find_repository", refuse)
    assert git_check(command)["advice"] == "dubious ownership"


def test_the_version_is_that_of_the_package(command):
    status, out, _err = command.run("--version")
    assert (status, out.startswith("perfguard ")) == (0, True)


@pytest.mark.parametrize("extra", doctor.EXTRAS)
def test_each_extra_is_named(command, extra):
    assert extra in command.run("doctor")[1]
