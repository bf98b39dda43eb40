"""The handle on a real process: it starts, dies, hangs, ends. The processes here do not run pytest."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from pytest_perfguard.core.errors import ChildDied, ChildError, ChildTimedOut, ProtocolError
from pytest_perfguard.engine.runner import process as module
from pytest_perfguard.engine.runner.process import Launch, WorkerProcess, WorkerProgram
from pytest_perfguard.engine.runner.protocol import PointReached, ServeTest

CHILD = """
import os, sys, time, signal
from pytest_perfguard.engine.runner.worker import PipeLink
from pytest_perfguard.engine.runner.protocol import *
link = PipeLink(int(sys.argv[1].partition("=")[2]))
hello = link.receive()
link.send(Ready(hello.nodeids, [], [], True, True, "3.11", {}))
"""


@pytest.fixture
def launch(tmp_path):
    """A launch whose process runs this program after `Ready`."""

    def make(program, *, greeting=CHILD):
        root = str(Path(__file__).parents[3])
        return Launch(
            [],
            tmp_path,
            WorkerProgram(f"{greeting}\n{program}", "--pipe"),
            environment={**os.environ, "PYTHONPATH": root},
        )

    return make


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_a_child_greets_answers_and_leaves(launch):
    with WorkerProcess(launch("link.receive(); link.send(PointReached('x')); link.receive()"), ["a"], []) as child:
        assert child.ready.found == ["a"]
        child.send(ServeTest("a", ""))
        assert child.receive(doing="measuring a", limit=30) == PointReached("x")


def test_a_child_that_dies_says_how_and_shows_its_last_lines(launch):
    program = "print('my last words', flush=True); os.kill(os.getpid(), signal.SIGSEGV)"
    with pytest.raises(ChildDied, match=r"was ended by SIGSEGV while measuring a\n.*\nmy last words"):
        with WorkerProcess(launch(program), [], []) as child:
            assert child.ready.gc_enabled
            child.receive(doing="measuring a", limit=30)


def test_a_child_that_exits_early_names_its_status(launch):
    with pytest.raises(ChildDied, match="exited with status 3 while starting"):
        with WorkerProcess(launch("", greeting="import sys; sys.exit(3)"), [], []) as child:
            pytest.fail(f"it started: {child.ready}")


def test_a_child_that_hangs_is_killed_at_the_limit(launch, monkeypatch):
    monkeypatch.setattr(module, "INTERRUPT_TIMEOUT", 0.1)
    program = "signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(600)"
    start = time.monotonic()
    with pytest.raises(
        ChildTimedOut, match=r"did not respond within the time limit of \d+ s and was killed while measuring a"
    ):
        with WorkerProcess(launch(program), [], []) as child:
            assert child.ready.gc_enabled
            child.receive(doing="measuring a", limit=0.2)
    assert time.monotonic() - start < 60


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_nothing_that_a_child_started_outlives_it(launch, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "INTERRUPT_TIMEOUT", 0.1)
    program = f"""
import subprocess
signal.signal(signal.SIGINT, signal.SIG_IGN)
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(tmp_path / "pid")!r}, "w").write(str(grandchild.pid))
link.send(PointReached("ready"))
time.sleep(600)
"""
    with pytest.raises(KeyboardInterrupt), WorkerProcess(launch(program), [], []) as child:
        assert child.ready.gc_enabled
        child.receive(doing="waiting", limit=30)
        raise KeyboardInterrupt
    grandchild = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 20
    while alive(grandchild) and time.monotonic() < deadline:  # the kernel needs a moment to bury it
        time.sleep(0.05)
    assert not alive(grandchild)


def test_a_child_does_not_outlive_an_interrupt_of_its_shutdown(launch, monkeypatch):
    def interrupted(_process):
        raise KeyboardInterrupt

    monkeypatch.setattr(WorkerProcess, "_shut_down", interrupted)
    with pytest.raises(KeyboardInterrupt), WorkerProcess(launch("time.sleep(600)"), [], []) as child:
        assert child.ready.gc_enabled
    assert child._process.returncode is not None


def test_an_interrupted_child_may_tear_down(launch, tmp_path):
    program = f"""
try:
    link.send(PointReached("ready"))
    time.sleep(600)
except KeyboardInterrupt:
    open({str(tmp_path / "torn-down")!r}, "w").close()
"""
    with pytest.raises(KeyError), WorkerProcess(launch(program), [], []) as child:
        assert child.ready.gc_enabled
        child.receive(doing="waiting", limit=30)
        raise KeyError
    assert (tmp_path / "torn-down").exists()


def test_a_child_whose_controller_is_gone_ends_like_on_ctrl_c(launch, tmp_path):
    program = f"""
try:
    link.receive()
except KeyboardInterrupt as error:
    open({str(tmp_path / "told")!r}, "w").write(str(error))
"""
    with WorkerProcess(launch(program), [], []) as child:
        assert child.ready.gc_enabled
        child._connection.close()
        child._process.wait(30)
        assert (tmp_path / "told").read_text() == "the perfguard controller is gone"


def test_what_is_no_greeting_is_refused(launch):
    greeting = CHILD.replace('Ready(hello.nodeids, [], [], True, True, "3.11", {})', "PointReached('x')")
    with pytest.raises(ProtocolError, match="expected Ready"):
        with WorkerProcess(launch("link.receive()", greeting=greeting), [], []) as child:
            pytest.fail(f"it started: {child.ready}")


def _refused(*_arguments, **_keywords):
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    ("where", "name"),
    [
        (tempfile, "TemporaryDirectory"),
        (tempfile, "TemporaryFile"),
        ("multiprocessing.connection", "Pipe"),
        (subprocess, "Popen"),
    ],
)
def test_what_the_system_refuses_at_the_start_is_a_failed_start(launch, monkeypatch, tmp_path, where, name):
    """The error has the system's message and a remedy; nothing stays open, and no folder is left."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if isinstance(where, str):
        monkeypatch.setattr(f"{where}.{name}", _refused)
    else:
        monkeypatch.setattr(where, name, _refused)
    before = list(Path("/proc/self/fd").iterdir())
    with pytest.raises(ChildError, match=r"failed while starting .*Too many open files; raise the limit \(ulimit -n\)"):
        WorkerProcess(launch(""), [], []).__enter__()
    assert len(list(Path("/proc/self/fd").iterdir())) == len(before)
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_cannot_be_read_hides_nothing(launch, monkeypatch):
    """How the process ended matters more."""
    with pytest.raises(ChildDied, match=r"exited with status 3 .*\n.*\n\(its output cannot be read: "):
        with WorkerProcess(launch("", greeting="import sys; sys.exit(3)"), [], []) as child:
            monkeypatch.setattr(child, "_log", type("Broken", (), {"seek": _refused})())
            pytest.fail(f"it started: {child.ready}")
