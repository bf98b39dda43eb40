"""Git repositories to measure against."""

from __future__ import annotations

import shutil

import pytest

from tests.repository import Repository


@pytest.fixture
def repository(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("needs git")
    return Repository(tmp_path / "project")
