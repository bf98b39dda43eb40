"""Tests and names that other tools stumble over, and a controller that is killed: every test gets its verdict, nothing stays behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.plugin.conftest import last_perf_line
from tests.plugin.test_faults import children_of

QUICK = ("--perf-metrics=memory", "--perf-budget=1ms")

BADLY = """
import os, signal, sys, threading, time
import pytest

@pytest.mark.perf
def test_forks():
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)

@pytest.mark.perf
def test_leaves_a_fork_behind():
    if not os.fork():
        signal.alarm(0)
        time.sleep(1)
        os._exit(0)

@pytest.mark.perf
def test_changes_directory(tmp_path):
    os.chdir(tmp_path)

@pytest.mark.perf
def test_handles_signals():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)

@pytest.mark.perf
def test_patches_time(monkeypatch):
    for name in ("time", "monotonic", "perf_counter", "perf_counter_ns", "monotonic_ns", "time_ns", "sleep"):
        monkeypatch.setattr(time, name, lambda *_: -1)

@pytest.mark.perf
def test_patches_time_for_good():
    time.time = time.monotonic = time.perf_counter = lambda: 10.0 ** 12

@pytest.mark.perf
def test_patches_what_we_use(monkeypatch):
    import json
    monkeypatch.setattr(json, "dumps", None)
    monkeypatch.setattr(os, "write", None)

@pytest.mark.perf
def test_closes_descriptors():
    for descriptor in (0, 1):
        try:
            os.close(descriptor)
        except OSError:
            pass
    os.open(os.devnull, os.O_RDWR), os.open(os.devnull, os.O_RDWR)

@pytest.mark.perf
def test_prints(capfd):
    print("x" * 3_000_000)

@pytest.mark.perf
def test_starts_a_thread_that_never_ends():
    threading.Thread(target=threading.Event().wait, daemon=True).start()

@pytest.mark.perf
def test_good():
    pass
"""


@pytest.mark.filterwarnings("ignore")
def test_ill_behaved_tests_are_measured_and_harm_no_other(project):
    project.pytester.makepyfile(BADLY)
    result, report = project.report("--perf", *QUICK, "-p", "no:warnings", "-W", "ignore")
    assert {test["nodeid"].partition("::")[2]: test["reason"] for test in report["tests"] if test["reason"]} == {}
    assert report["summary"] == {"measured": 11}
    result.assert_outcomes(passed=11)


def test_every_printable_character_and_ten_kilobytes_in_a_node_id(project):
    printable = "".join(map(chr, range(32, 127))) + "äß€𝄞\u2028 \t"
    names = [printable, "long" * 2500, "a::b[c]::d", "[", "]", "x/y", "..", "\u2028"]
    project.pytester.makepyfile(
        f"import pytest\n\n@pytest.mark.perf\n@pytest.mark.parametrize('name', {names!r}, ids={names!r})\ndef test_it(name):\n    pass\n"
    )
    assert project.run("--perf-baseline", *QUICK).ret == 0
    data = json.loads(project.baseline.read_text())
    (part,) = data["classes"].values()
    assert len(part["tests"]) == len(names)
    assert max(map(len, part["tests"])) > 10_000
    result, report = project.report("--perf-compare", *QUICK)
    assert result.ret == 0
    assert report["summary"] == {"unchanged": len(names)}


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system that takes any bytes")
def test_a_path_that_is_no_utf8(project):
    """pytest's own cache cannot write such names."""
    folder = project.path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "test_it.py").write_text("import pytest\n\n@pytest.mark.perf\ndef test_it():\n    pass\n")
    options = (*QUICK, "--perf-report=report.json", "-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", *options]
    for mode in ("--perf-baseline", "--perf-compare"):
        done = subprocess.run([*command, mode], cwd=project.path, capture_output=True, check=False)
        assert done.returncode == 0, done
    data = json.loads(project.baseline.read_text())
    assert [list(part["tests"]) for part in data["classes"].values()] == [["caf\udce9/test_it.py::test_it"]]
    assert json.loads((project.path / "report.json").read_text())["summary"] == {"unchanged": 1}


def test_a_controller_that_is_killed_leaves_no_process_and_no_folder(project, monkeypatch):
    temporary = project.path / "tmp"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    (project.path / "test_it.py").write_text("import pytest\n\n@pytest.mark.perf\ndef test_it():\n    pass\n")
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", "--perf", "--perf-budget=600s"],
        cwd=project.path, stdout=subprocess.DEVNULL, start_new_session=True,
    ) as run:  # fmt: skip
        wait_for(lambda: children_of(str(project.path)) or children_in(project.path))
        run.send_signal(signal.SIGKILL)
    wait_for(lambda: not children_in(project.path))
    wait_for(lambda: not list(temporary.glob("perfguard-*")))
    result = project.run("--perf", *QUICK)
    assert last_perf_line(result).startswith("perf: 1 measured")


def children_in(folder):
    """Measuring processes that work in this folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").readlink() == folder and b"--perf-child" in (process / "cmdline").read_bytes():
                found.append(process.name)
        except OSError:
            continue
    return found


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "waited for a minute"
        time.sleep(0.05)
