"""A thread on one CPU, and free again."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pytest_perfguard.core import originals
from pytest_perfguard.engine.measure.affinity import CpuAffinity

needs_pinning = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system cannot pin a thread to a CPU"
)


@pytest.fixture
def cpus(monkeypatch):
    """A fake machine with three CPUs, and the affinity of the thread."""
    place = {2, 5, 7}

    def set_affinity(_pid, wanted):
        place.clear()
        place.update(wanted)

    monkeypatch.setattr(originals.os, "sched_getaffinity", lambda _pid: set(place), raising=False)
    monkeypatch.setattr(originals.os, "sched_setaffinity", set_affinity, raising=False)
    return place


@pytest.mark.parametrize(("cpu", "place"), [(0, 2), (1, 5), (2, 7), (3, 2), (19, 5)])
def test_the_cpus_are_counted_through_those_that_are_allowed(cpus, cpu, place):
    pinning = CpuAffinity()
    assert pinning.is_supported
    assert cpus == {2, 5, 7}
    pinning.pin(cpu)
    assert cpus == {place}


def test_released_is_as_free_as_before(cpus):
    pinning = CpuAffinity()
    pinning.pin(1)
    pinning.release()
    pinning.release()
    assert cpus == {2, 5, 7}


def test_a_container_that_forbids_it_says_so(cpus, monkeypatch):
    def refuse(_pid, _cpus):
        raise PermissionError

    monkeypatch.setattr(originals.os, "sched_setaffinity", refuse)
    pinning = CpuAffinity()
    pinning.pin(1)
    assert not pinning.is_supported
    assert cpus == {2, 5, 7}


def test_a_system_that_cannot_pin_says_so(monkeypatch):
    monkeypatch.delattr(originals.os, "sched_setaffinity", raising=False)
    pinning = CpuAffinity()
    pinning.pin(1)
    assert not pinning.is_supported


@needs_pinning
def test_threads_and_children_go_along_and_are_freed_again():
    before = os.sched_getaffinity(0)
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, args=(60,))
    thread.start()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        pinning = CpuAffinity()
        pinning.pin(1)
        try:
            places = [os.sched_getaffinity(task) for task in (0, thread.native_id, child.pid)]
            late = threading.Thread(target=stop.wait, args=(60,))
            late.start()
        finally:
            pinning.release()
        freed = [os.sched_getaffinity(task) for task in (0, thread.native_id, child.pid, late.native_id)]
        stop.set()
        child.communicate(b"\n")
    assert len(places[0]) == 1
    assert places[1:] == places[:1] * (2 if Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").exists() else 1)
    assert freed == [before] * 4


@needs_pinning
def test_a_thread_that_has_a_place_of_its_own_gets_it_back():
    mine = {min(os.sched_getaffinity(0))}
    seen, pinned, go = [], threading.Event(), threading.Event()

    def look():
        os.sched_setaffinity(0, mine)
        pinned.set()
        go.wait(60)
        seen.append(os.sched_getaffinity(0))

    thread = threading.Thread(target=look)
    thread.start()
    pinned.wait(60)
    pinning = CpuAffinity()
    pinning.pin(1)
    pinning.release()
    go.set()
    thread.join()
    assert seen == [mine]


def test_a_container_that_forbids_to_look_says_so(cpus, monkeypatch):
    """Reading the affinity may be refused as well."""

    def refuse(_pid):
        raise PermissionError

    monkeypatch.setattr(originals.os, "sched_getaffinity", refuse)
    assert not CpuAffinity().is_supported
