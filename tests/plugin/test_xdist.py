"""pytest-xdist: workers that crash, every `--dist`, stopping early; nothing lost, one result per test."""

from __future__ import annotations

import functools
import json
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET

import pytest

from tests.plugin.conftest import last_perf_line

pytestmark = [pytest.mark.plugins("xdist"), pytest.mark.usefixtures("with_xdist")]

#: Memory takes two calls, and one process is enough of it.
QUICK = ("--perf-metrics=memory", "--perf-budget=1ms")
IN_WORKER = """
import os, sys, pytest
IN_WORKER = "PYTEST_XDIST_WORKER" in os.environ and not any("--perf-child" in word for word in sys.argv)
"""
PERF = "\n@pytest.mark.perf\ndef test_{}():\n    {}\n"
CRASH = "IN_WORKER and os._exit(7)"


@pytest.fixture
def with_xdist(project, monkeypatch):
    """A run that hangs is a failure here, not the end of the suite."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)  # of the run that runs this test
    run = project.pytester.runpytest_subprocess
    monkeypatch.setattr(project.pytester, "runpytest_subprocess", functools.partial(run, timeout=120))


def cases(project):
    """Name and outcome of each JUnit case."""
    found = []
    for case in ET.parse(project.path / "junit.xml").getroot().iter("testcase"):
        red = case.find("failure") is not None or case.find("error") is not None
        found.append((case.get("name"), "failed" if red else "passed"))
    return sorted(found)


def names(project):
    data = json.loads(project.baseline.read_text())
    return sorted(name.rpartition("_")[2] for part in data["classes"].values() for name in part["tests"])


def test_a_worker_that_crashes_takes_only_its_test_with_it(project):
    """What it had run before is measured, what was to come runs on the worker that replaces it."""
    bodies = {"a": "pass", "b": "pass", "c": CRASH, "d": "pass"}
    project.pytester.makepyfile(IN_WORKER + "".join(PERF.format(*case) for case in bodies.items()))
    result = project.run("--perf-baseline", *QUICK, "-n", "1", "--junitxml=junit.xml")
    assert result.ret == 1
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*worker 'gw0' crashed while running '*::test_c'*"])
    assert last_perf_line(result).startswith("perf: 3 measured")
    assert cases(project) == [("test_a", "passed"), ("test_b", "passed"), ("test_c", "failed"), ("test_d", "passed")]
    assert names(project) == ["a", "b", "d"]


def test_an_ordinary_test_that_crashes_its_worker_costs_no_verdict(project):
    crash = f"\ndef test_crash():\n    {CRASH}\n"
    project.pytester.makepyfile(IN_WORKER + PERF.format("a", "pass") + crash + PERF.format("z", "pass"))
    result, report = project.report("--perf", *QUICK, "-n", "1")
    assert result.ret == 1
    result.assert_outcomes(passed=2, failed=1)
    assert [test["nodeid"].partition("::")[2] for test in report["tests"]] == ["test_a", "test_z"]


def test_tests_that_never_ran_are_named_and_nothing_is_pruned(project):
    (project.path / "test_it.py").write_text(IN_WORKER + PERF.format("a", CRASH) + PERF.format("b", "pass"))
    project.run("--perf-baseline", *QUICK)
    before = project.baseline.read_bytes()
    result = project.run("--perf-baseline", *QUICK, "-n", "1", "--max-worker-restart=0")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["perf: a worker crashed before these perf tests ran*: test_it.py::test_b"])
    assert project.baseline.read_bytes() == before


@pytest.mark.thorough
@pytest.mark.parametrize("dist", ["loadscope", "loadfile", "loadgroup", "worksteal"])
def test_every_way_to_distribute_tells_the_same(project, dist):
    group = "\n@pytest.mark.xdist_group('one')"
    source = IN_WORKER + "".join(group + PERF.format(name, "list(range(1000))") for name in "abc")
    project.pytester.makepyfile(test_a=source, test_b=source + "\ndef test_ordinary():\n    assert 0\n")
    result, report = project.report("--perf", *QUICK, "-n", "2", f"--dist={dist}", "--junitxml=junit.xml")
    assert result.ret == 1
    result.assert_outcomes(passed=6, failed=1)
    assert report["summary"] == {"measured": 6}
    assert [test["nodeid"] for test in report["tests"]] == [f"test_{f}.py::test_{t}" for f in "ab" for t in "abc"]
    assert len(cases(project)) == 7


def test_dist_each_measures_once_and_tells_of_each_worker(project):
    project.pytester.makepyfile(IN_WORKER + PERF.format("a", "pass") + PERF.format("b", "pass"))
    result, report = project.report("--perf", *QUICK, "--dist=each", "--tx=2*popen", "--junitxml=junit.xml")
    assert result.ret == 0
    result.assert_outcomes(passed=4)
    assert report["summary"] == {"measured": 2}
    assert len(cases(project)) == 4


@pytest.mark.parametrize("option", ["-x", "--maxfail=1"])
def test_stopping_early_measures_nothing_and_loses_no_result(project, option):
    project.pytester.makepyfile(IN_WORKER + PERF.format("a", "pass") + "\ndef test_fails():\n    assert 0\n")
    result, report = project.report("--perf", *QUICK, "-n", "1", option)
    assert result.ret == 2
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["perf: nothing was measured: the run stopped before its end; *"])
    assert report["tests"] == []


def test_keywords_of_the_marker_cross_whatever_their_type(project):
    """Numbers of numpy are of a subclass of float, and a table of budgets is a dictionary."""
    number = "type('number', (float,), {})"
    marker = f"@pytest.mark.perf(max_allocations={number}(9.5), max_p95={{'db': '5ms'}}, setup=list)"
    project.pytester.makepyfile(IN_WORKER + f"\n{marker}\ndef test_a():\n    pass\n")
    result, report = project.report("--perf", *QUICK, "-n", "1")
    assert result.ret == 0
    assert {metric["name"] for metric in report["tests"][0]["metrics"]} >= {"blocks", "max_p95:db"}


@pytest.mark.thorough
def test_ctrl_c_loses_no_result_of_a_worker(project):
    slow = "\ndef test_slow():\n    open('running', 'w').close()\n    __import__('time').sleep(60)\n"
    project.pytester.makepyfile(IN_WORKER + PERF.format("a", "pass") + slow)
    command = [sys.executable, "-m", "pytest", "--perf", *QUICK, "-n", "1", "-rA"]
    with subprocess.Popen(command, cwd=project.path, stdout=subprocess.PIPE, text=True, start_new_session=True) as run:
        deadline = time.monotonic() + 60
        while not (project.path / "running").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        told = run.stdout.read()
    assert run.returncode == 2, told
    assert "PASSED test_ctrl_c_loses_no_result_of_a_worker.py::test_a" in told
    assert "perf: nothing was measured: the run stopped before its end" in told


@pytest.mark.thorough
def test_a_worker_elsewhere_may_run_a_copy_of_the_tree(project):
    """As over ssh: the tests run where rsync put them, and are measured here."""
    elsewhere = project.path.with_name(f"{project.path.name}-elsewhere")
    elsewhere.mkdir()
    project.pytester.makepyfile(
        IN_WORKER + PERF.format("a", f"assert not IN_WORKER or {str(elsewhere)!r} in os.getcwd()")
    )
    result, report = project.report(
        "--perf",
        *QUICK,
        "--dist=load",
        f"--tx=popen//chdir={elsewhere}",
        f"--rsyncdir={project.path}",
        str(project.path),
    )
    assert result.ret == 0, result.stdout.str()
    assert report["summary"] == {"measured": 1}
