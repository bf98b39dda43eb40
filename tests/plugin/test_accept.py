"""`Perf-Accept` in commits and in the description of a pull request, from end to end."""

from __future__ import annotations

import shutil

import pytest

from tests.plugin.conftest import last_perf_line
from tests.plugin.test_against import FAST, INI, SLOW, TEST, Versioned

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


@pytest.fixture
def slower(project):
    """A repository whose branch is three times as slow as its main."""
    versioned = Versioned(project)
    versioned.commit({"lib.py": FAST, "test_lib.py": TEST, "pytest.ini": INI.format(root=".")})
    versioned.git("checkout", "-q", "-b", "branch")
    versioned.write({"lib.py": SLOW})
    return versioned


def commit(versioned, message):
    versioned.git("add", "-A")
    versioned.git("commit", "-q", "-m", message)
    return versioned.git("rev-parse", "--short", "HEAD")


def test_an_accepted_regression_is_reported_and_green(slower):
    place = commit(slower, "Check prices\n\nPerf-Accept: test_lib.py::test_work 900%\nPerf-Accept: test_gone.py 5%\n")
    result, tests = slower.report("--perf-against=main", "--junitxml=junit.xml")
    assert result.ret == 0
    result.assert_outcomes(passed=1)
    assert last_perf_line(result).startswith("perf: 1 regression")
    result.stdout.fnmatch_lines(
        [
            f"perf: accepted regression: test_lib.py::test_work: time *x (time up to 900%, by x in {place})",
            f"perf: Perf-Accept in {place} names test_gone.py, which is no perf test of this run",
        ]
    )
    accepted = tests["test_lib.py::test_work"]["accepted_by"]
    assert accepted == [
        {"author": "x", "commit": place, "tests": "test_lib.py::test_work", "metric": "time", "share": 9.0}
    ]
    junit = (slower.path / "junit.xml").read_text()
    assert f'name="perf.accepted" value="time up to 900%, by x in {place}"' in junit


def test_a_larger_one_is_red_and_names_the_acceptance(slower, monkeypatch):
    commit(slower, "Check prices")
    monkeypatch.setenv("PERFGUARD_ACCEPT", "Perf-Accept: test_lib.py 20%\r\nPerf-Accept: test_lib.py")
    monkeypatch.setenv("PERFGUARD_ACCEPT_BY", "ada")
    result, tests = slower.report("--perf-against=main")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "  accepted: time up to 20%, by ada in the pull request; not covered: time *x",
            "perf: Perf-Accept in the pull request is ignored: *",
        ]
    )
    assert tests["test_lib.py::test_work"]["accepted_by"] == []
