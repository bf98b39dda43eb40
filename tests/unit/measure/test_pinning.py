"""A thread on one CPU, and free again."""

from __future__ import annotations

import os
import threading

import pytest

from pytest_perfguard.measure.pinning import Pinning

needs_pinning = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="this system cannot pin a thread to a CPU"
)


@pytest.fixture
def cpus(monkeypatch):
    """Three CPUs of a made-up machine, and on which of them the thread is."""
    place = {2, 5, 7}

    def set_affinity(_pid, wanted):
        place.clear()
        place.update(wanted)

    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(place), raising=False)
    monkeypatch.setattr(os, "sched_setaffinity", set_affinity, raising=False)
    return place


@pytest.mark.parametrize(("cpu", "place"), [(0, 2), (1, 5), (2, 7), (3, 2), (19, 5)])
def test_the_cpus_are_counted_through_those_that_are_allowed(cpus, cpu, place):
    pinning = Pinning()
    assert pinning.possible
    assert cpus == {2, 5, 7}
    pinning.pin(cpu)
    assert cpus == {place}


def test_released_is_as_free_as_before(cpus):
    pinning = Pinning()
    pinning.pin(1)
    pinning.release()
    pinning.release()
    assert cpus == {2, 5, 7}


def test_a_container_that_forbids_it_says_so(cpus, monkeypatch):
    def refuse(_pid, _cpus):
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    pinning = Pinning()
    pinning.pin(1)
    assert not pinning.possible
    assert cpus == {2, 5, 7}


def test_a_system_that_cannot_pin_says_so(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    pinning = Pinning()
    pinning.pin(1)
    assert not pinning.possible


@needs_pinning
def test_only_the_calling_thread_is_pinned():
    before = os.sched_getaffinity(0)
    seen, go = [], threading.Event()

    def look():
        go.wait(30)
        seen.append(os.sched_getaffinity(0))

    other = threading.Thread(target=look)
    other.start()
    pinning = Pinning()
    pinning.pin(1)
    try:
        assert len(os.sched_getaffinity(0)) == 1
        go.set()
        other.join()
        assert seen == [before]
    finally:
        pinning.release()
    assert os.sched_getaffinity(0) == before
