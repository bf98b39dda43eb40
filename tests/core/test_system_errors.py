"""Descriptions of errors of the operating system."""

from __future__ import annotations

import errno
import os

import pytest

from pytest_perfguard.core.system_errors import explain_error


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "free some space, or set TMPDIR"),
        (errno.EMFILE, "raise the limit (ulimit -n)"),
        (errno.EAGAIN, "ulimit -u"),
        (errno.EACCES, "choose another folder"),
        (errno.E2BIG, "too long"),
    ],
)
def test_a_known_error_has_a_remedy(number, remedy):
    """The system's message comes first, with the file."""
    text = explain_error(OSError(number, os.strerror(number), "/x/y"))
    assert text.startswith(f"[Errno {number}] {os.strerror(number)}: '/x/y'; ")
    assert remedy in text


def test_a_machine_without_a_temporary_folder():
    """The message of `tempfile` if every folder is full."""
    error = FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")
    assert "set TMPDIR" in explain_error(error)


def test_an_unknown_error_is_as_it_is():
    """No remedy is better than a wrong one."""
    assert explain_error(OSError(errno.EIO, "I/O error")) == f"[Errno {errno.EIO}] I/O error"
    assert explain_error(OSError()) == "OSError"


def test_another_error_names_its_kind_and_place():
    """`'x'` alone would not be informative."""
    try:
        {}["x"]
    except KeyError as error:
        assert explain_error(error).startswith("KeyError: 'x' (test_system_errors.py:")
