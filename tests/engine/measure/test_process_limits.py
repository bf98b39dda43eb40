"""What tests lower in a process is put back for our own code."""

from __future__ import annotations

import os
import sys

import pytest

from pytest_perfguard.engine.measure.process_limits import ProcessLimits

resource = pytest.importorskip("resource", reason="POSIX")


@pytest.fixture(autouse=True)
def limits():
    """What holds; put back in any case."""
    found = ProcessLimits.current()
    yield found
    found.restore()


def _lower():
    sys.setrecursionlimit(found := sys.getrecursionlimit() - 7)
    os.umask(0o077)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft - 7, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (10**12, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    return found


def test_what_was_lowered_is_put_back(limits):
    """Recursion, umask, open files, the size of files."""
    _lower()
    assert ProcessLimits.current() != limits
    limits.restore()
    assert ProcessLimits.current() == limits


def test_what_was_lowered_is_lowered_again_after_a_block(limits):
    """The tests that follow find the process as the last one left it."""
    lowered = _lower()
    with limits.applied():
        assert ProcessLimits.current() == limits
    assert sys.getrecursionlimit() == lowered
    assert ProcessLimits.current() != limits


def test_a_lowered_hard_limit_is_kept_to(limits, monkeypatch):
    """Only root may raise it again: the soft limit goes as far as it allows."""
    set_to = {}
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (5, 10))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, pair: set_to.update({kind: pair}))
    ProcessLimits(1000, 0o022, {resource.RLIMIT_NOFILE: 1024, resource.RLIMIT_CPU: resource.RLIM_INFINITY}).restore()
    assert set_to == {resource.RLIMIT_NOFILE: (10, 10), resource.RLIMIT_CPU: (10, 10)}


def test_a_system_that_refuses_stops_nothing(limits, monkeypatch):
    """What fails because of it is reported where it fails."""

    def refuse(*_):
        raise ValueError("not allowed to raise maximum limit")

    _lower()
    monkeypatch.setattr(resource, "setrlimit", refuse)
    limits.restore()
    assert sys.getrecursionlimit() == limits.recursion
