"""What the instruments use stays what it was, whatever a test replaces."""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import threading
import time
from types import ModuleType
from unittest import mock

import psutil
import pytest

from pytest_perfguard.core import originals, processes
from pytest_perfguard.engine.leaks.open_resources import ResourceCounter
from pytest_perfguard.engine.leaks.watch import MemoryWatch
from pytest_perfguard.engine.measure.affinity import CpuAffinity, _threads_below
from pytest_perfguard.engine.measure.executor import time_calls

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def refuse(*_arguments, **_more):
    raise AssertionError("an instrument used what the test replaced")


@pytest.fixture
def replaced(monkeypatch):
    """A block in which everything is replaced that a test may replace; pytest itself would not survive it."""

    @contextlib.contextmanager
    def block():
        with monkeypatch.context() as patch:
            for name in ("perf_counter", "perf_counter_ns", "process_time_ns", "monotonic", "time", "sleep"):
                patch.setattr(time, name, refuse)
            for name in (
                "listdir",
                "open",
                "read",
                "fstat",
                "readlink",
                "getpid",
                "access",
                "dup",
                "dup2",
                "sched_setaffinity",
            ):
                patch.setattr(os, name, refuse, raising=False)
            for name in ("collect", "freeze", "get_objects", "isenabled"):
                patch.setattr(gc, name, refuse)
            patch.setattr(sys, "getallocatedblocks", refuse)
            patch.setattr(threading, "enumerate", refuse)
            patch.setattr(psutil, "PROCFS_PATH", "/nowhere")
            patch.setattr("builtins.open", refuse)
            yield

    return block


def test_the_namespaces_are_no_modules_and_a_patch_does_not_reach_them(replaced):
    assert not any(isinstance(getattr(originals, name), ModuleType) for name in ("gc", "os", "sys", "threading"))
    with replaced():
        assert originals.os.getpid() > 0


@LINUX
def test_instruments_work_where_all_that_they_use_was_replaced(replaced):
    with replaced():
        timing, result = time_calls(lambda: 5, 3)
        rss, threads, tasks = processes.memory_usage().rss, processes.thread_ids(), list(_threads_below())
        held = ResourceCounter().read()
        pinning = CpuAffinity()
        pinning.pin(0)
        pinning.release()
    assert (timing.wall_ns > 0, result) == (True, 5)
    assert rss > 0
    assert os.getpid() in threads
    assert os.getpid() in tasks
    assert set(held) >= {"files", "sockets", "threads", "children"}


@LINUX
def test_a_leak_check_works_where_all_that_it_uses_was_replaced(replaced):
    with replaced():
        examination = MemoryWatch().check(sorted, [3, 1], calls=50)
        with MemoryWatch()(max_growth="1MB", resources=True) as block:
            pass
    assert not examination.leaks
    assert block.growth < 1e6


@LINUX
def test_this_process_is_read_as_psutil_reads_it():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        own = psutil.Process()
        assert processes.child_pids() == [other.pid for other in own.children()]
        assert sorted(processes.thread_ids()) == sorted(thread.id for thread in own.threads())
        memory, theirs = processes.memory_usage(), own.memory_info()
        assert memory.vms == pytest.approx(theirs.vms, rel=0.1)
        assert memory.rss == pytest.approx(theirs.rss, rel=0.1)
        assert processes.private_bytes() == pytest.approx(own.memory_full_info().uss, rel=0.1)
        assert processes.descendants_cpu_ns() >= 0
        child.communicate(b"\n")


def test_psutil_is_asked_where_there_is_no_proc(monkeypatch):
    monkeypatch.setattr(processes, "_has_proc", lambda: False)
    assert processes.memory_usage().rss > 0
    assert processes.private_bytes() > 0
    assert os.getpid() in processes.thread_ids()
    assert processes.child_pids() == [child.pid for child in psutil.Process().children()]
    assert processes.descendants_cpu_ns() >= 0


@LINUX
def test_cpu_time_of_grandchildren_counts():
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'sum(range(10**7)); print(1, flush=True); input()'])"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        assert processes.descendants_cpu_ns() > 50_000_000
        child.communicate(b"\n")


@pytest.mark.parametrize("fake", ["freezegun", "time_machine"])
def test_frozen_clocks_do_not_reach_ours(fake):
    library = pytest.importorskip(fake, reason=f"needs {fake}")
    freeze = library.freeze_time if fake == "freezegun" else library.travel
    with freeze("2020-01-01"):
        timing, _result = time_calls(lambda: sum(range(1000)), 10)
    assert timing.wall_ns > 0
    assert timing.wall_ns < 1e9


def test_a_clock_that_mock_replaced_is_not_read():
    with mock.patch("time.perf_counter_ns", return_value=1):
        assert time_calls(lambda: sum(range(1000)), 10)[0].wall_ns > 0
