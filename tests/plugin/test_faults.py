"""Tests that crash, hang or fail while they are measured, and Ctrl-C: nothing stays behind, no other result is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.plugin.conftest import SHORT, last_perf_line

IN_CHILD = "import os, sys, time, signal, pytest\nIN_CHILD = any('--perf-child' in word for word in sys.argv)\n"
GOOD = "\n@pytest.mark.perf\ndef test_good():\n    pass\n"


def perf_test(body):
    return IN_CHILD + f"\n@pytest.mark.perf\ndef test_bad():\n    {body}\n" + GOOD


def children_of(marker):
    """Measuring processes whose command line names this folder."""
    done = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if "--perf-child" in line and marker in line]


#: Bodies of tests, and what is reported of them.
BREAKDOWNS = [
    ("IN_CHILD and os.kill(os.getpid(), signal.SIGSEGV)", "was ended by SIGSEGV while measuring *::test_bad"),
    ("IN_CHILD and os._exit(3)", "exited with status 3 while measuring *::test_bad"),
    ("assert not IN_CHILD, 'only alone'", "it passes on its own and fails in a measuring process:"),
]


@pytest.mark.parametrize(("body", "text"), BREAKDOWNS)
def test_a_test_that_breaks_down_fails_alone(project, body, text):
    check_a_bad_test_fails_alone(project, body, text)


@pytest.mark.plugins("xdist")
def test_a_test_that_breaks_down_fails_alone_under_xdist_too(project):
    check_a_bad_test_fails_alone(project, *BREAKDOWNS[0], "-n2")


def check_a_bad_test_fails_alone(project, body, text, *options):
    project.pytester.makepyfile(perf_test(body))
    result = project.run("--perf-baseline", *options)
    assert result.ret == 1
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        ["perfguard could not measure this test.", f"*{text}*", "FAILED *::test_bad - could not be measured*"]
    )
    assert last_perf_line(result).startswith("perf: 1 broken, 1 measured")
    assert "::test_good" in project.baseline.read_text()
    assert "::test_bad" not in project.baseline.read_text()


def test_a_test_that_hangs_is_ended_at_a_limit_that_is_named(project, monkeypatch):
    project.pytester.makepyfile(perf_test("IN_CHILD and time.sleep(600)"))
    project.pytester.makeconftest(
        "import pytest_perfguard.engine.runner.scheduler as rounds\nrounds.MIN_TIMEOUT_SECONDS = 1.0\nrounds.TIMEOUT_FACTOR = 0.0\n"
    )
    result = project.run("--perf")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(
        ["*did not respond within the time limit of 1 s and was killed while measuring *::test_bad*"]
    )
    assert children_of(str(project.path)) == []


def test_a_child_that_cannot_start_fails_every_test_with_its_words(project):
    project.pytester.makepyfile(IN_CHILD + GOOD)
    project.pytester.makeconftest(
        "import sys\nif any('--perf-child' in word for word in sys.argv): raise RuntimeError('no')"
    )
    result = project.run("--perf")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*the measuring process exited with status 4 while starting and collecting*", "*no*"])


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_leaves_no_process_and_keeps_what_was_decided(project):
    project.pytester.makepyfile(IN_CHILD + GOOD + "\n@pytest.mark.perf\ndef test_slow():\n    time.sleep(0.3)\n")
    start_line = "perf: process"
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "pytest", "--perf-baseline", "--perf-budget=600s", *SHORT[1:]],
        cwd=project.path, stdout=subprocess.PIPE, text=True, start_new_session=True,
    ) as run:  # fmt: skip
        for line in run.stdout:
            if line.startswith(start_line):
                break
        time.sleep(1.5)
        run.send_signal(signal.SIGINT)
        rest = run.stdout.read()
        run.wait(60)
    assert run.returncode == 2, rest
    assert "KeyboardInterrupt" in rest
    assert "2 passed" in rest
    assert "perf: interrupted: " in rest
    assert children_of(str(project.path)) == []


def test_a_baseline_that_cannot_be_written_is_told_and_left_alone(recorded):
    if os.geteuid() == 0:
        recorded.pytester.makeconftest(
            "import os\ndef full(*_): raise OSError(28, 'No space left on device')\nos.fsync = full\n"
        )
    else:
        recorded.path.chmod(0o500)
    before = recorded.baseline.read_bytes()
    result = recorded.run("--perf-baseline", "-p", "no:cacheprovider")
    recorded.path.chmod(0o700)
    assert result.ret == 4
    assert "could not be written" in result.stderr.str()
    assert recorded.baseline.read_bytes() == before


def test_a_session_fixture_lives_once_per_process_and_is_torn_down(project):
    project.pytester.makepyfile(
        IN_CHILD
        + """
@pytest.fixture(scope="session")
def server():
    with open("log", "a") as log:
        log.write("up\\n")
    yield
    with open("log", "a") as log:
        log.write("down\\n")

@pytest.mark.perf
def test_one(server):
    pass

@pytest.mark.perf
def test_two(server):
    pass
"""
    )
    result, report = project.report("--perf")
    result.assert_outcomes(passed=2)
    processes = max(test["processes"] for test in report["tests"])
    assert (project.path / "log").read_text() == "up\ndown\n" * (1 + processes)


def test_a_child_writes_no_reports_of_its_own(project):
    """JUnit and the cache belong to the run, not to its measuring processes."""
    project.pytester.makepyfile(IN_CHILD + GOOD + "\ndef test_fails():\n    assert 0\n")
    project.run("--perf", "--junitxml=junit.xml")
    text = (project.path / "junit.xml").read_text()
    assert text.count("<testcase") == 2
    result = project.run("--lf", short=False)
    result.assert_outcomes(failed=1)


#: Each measuring process kills itself one message later than the one before it, the first as it says that it is ready.
KILLS = """
import os, signal, sys

if any("--perf-child" in word for word in sys.argv):
    from pytest_perfguard.engine.runner.worker import PipeLink

    with open("started", "a") as file:
        file.write("x")
    last = os.path.getsize("started") + 1
    seen = []

    def counted(method):
        def call(*arguments):
            seen.append(method.__name__)
            if len(seen) == last <= 10:
                os.kill(os.getpid(), signal.SIGKILL)
            return method(*arguments)
        return call

    PipeLink.send, PipeLink.receive = counted(PipeLink.send), counted(PipeLink.receive)
"""


def test_a_process_that_is_killed_at_any_message_costs_its_test_only(project):
    project.pytester.makeconftest(KILLS)
    tests = "".join(f"\n@pytest.mark.perf\ndef test_{number:02}():\n    pass\n" for number in range(12))
    project.pytester.makepyfile("import pytest\n" + tests)
    result, report = project.report("--perf", "--perf-metrics=memory")
    assert result.ret == 1
    assert report["summary"] == {"broken": 8, "measured": 4}
    result.assert_outcomes(failed=8, passed=4)
    assert {test["reason"].partition(" while")[0] for test in report["tests"] if test["reason"]} == {
        "the measuring process was ended by SIGKILL"
    }
    assert children_of(str(project.path)) == []
