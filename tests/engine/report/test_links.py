"""Addresses of repositories, commits, lines and CI runs."""

from __future__ import annotations

import pytest

from pytest_perfguard.engine.report.links import (
    Origin,
    ci_run,
    commit_address,
    find_origin,
    line_address,
    web_address,
)
from pytest_perfguard.engine.report.markup import link
from tests.repository import Repository


@pytest.mark.parametrize(
    ("remote", "web"),
    [
        ("git@github.com:o/shop.git", "https://github.com/o/shop"),
        ("https://github.com/o/shop.git", "https://github.com/o/shop"),
        ("https://user:secret@gitlab.example.org/g/sub/shop/", "https://gitlab.example.org/g/sub/shop"),
        ("ssh://git@github.com:22/o/shop.git", "https://github.com/o/shop"),
        ("/srv/git/shop.git", ""),
        ("../shop", ""),
        ("javascript:alert(1)", "https://javascript/alert(1)"),
        ("", ""),
    ],
)
def test_a_remote_has_a_web_address_without_credentials(remote, web):
    assert web_address(remote) == web


@pytest.mark.parametrize(
    ("web", "address"),
    [
        ("https://github.com/o/s", "https://github.com/o/s/commit/1a2b3c4"),
        ("https://gitlab.com/o/s", "https://gitlab.com/o/s/-/commit/1a2b3c4"),
        ("https://git.example.org/o/s", ""),
        ("javascript:github", ""),
        ("", ""),
    ],
)
def test_commits_of_known_hosts_have_addresses(web, address):
    assert commit_address(web, "1a2b3c4+") == address
    assert commit_address(web, "working tree") == ""


def test_a_line_has_an_address_where_nothing_was_changed_since_the_commit():
    origin = Origin("s", "https://github.com/o/s", "", "sub")
    assert line_address(origin, "1a2b3c4", "t e/a.py", 3) == "https://github.com/o/s/blob/1a2b3c4/sub/t%20e/a.py#L3"
    assert line_address(origin, "1a2b3c4+", "a.py", 3) == ""
    assert line_address(origin, "1a2b3c4", "a.py", 0) == ""


def test_only_web_addresses_become_links():
    assert link("<x>", "https://a.b/?c&d") == '<a href="https://a.b/?c&amp;d">&lt;x&gt;</a>'
    assert link("<x>", "javascript:alert(1)") == "&lt;x&gt;"


def test_the_ci_run():
    github = {"GITHUB_SERVER_URL": "https://g", "GITHUB_REPOSITORY": "o/s", "GITHUB_RUN_ID": "7"}
    assert ci_run(github) == "https://g/o/s/actions/runs/7"
    assert ci_run({"CI_JOB_URL": "https://gitlab.com/o/s/-/jobs/7"}) == "https://gitlab.com/o/s/-/jobs/7"
    assert ci_run({"GITHUB_RUN_ID": "7"}) == ""


def test_the_origin_of_a_folder(tmp_path):
    repository = Repository(tmp_path / "here")
    (repository.path / "sub").mkdir()
    assert find_origin(repository.path, {}) == Origin("here")
    repository.git("remote", "add", "origin", "git@github.com:o/shop.git")
    assert find_origin(repository.path / "sub", {}) == Origin("shop", "https://github.com/o/shop", "", "sub")
