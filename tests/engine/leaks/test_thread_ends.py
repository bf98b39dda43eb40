"""Waiting for threads that end by themselves, on a clock of its own."""

from __future__ import annotations

import pytest

from pytest_perfguard.engine.leaks.thread_ends import MAX_PAUSE, MAX_WAIT, POLL, ThreadEnds


class Threads:
    """Threads by the time at which they end."""

    def __init__(self, *ends):
        self.now = 0.0
        self.ends = dict(enumerate(ends))

    def running(self):
        return frozenset(number for number, end in self.ends.items() if end > self.now)

    def sleep(self, seconds):
        self.now += seconds

    def waiting(self):
        waits = ThreadEnds(self.running, lambda: self.now, self.sleep)
        waits.begin()
        return waits


FOREVER = float("inf")


def test_without_new_threads_there_is_no_wait():
    threads = Threads(FOREVER, 5.0)
    threads.waiting().wait()
    assert threads.now == 0.0


def test_new_threads_are_waited_for():
    threads = Threads(FOREVER)
    waits = threads.waiting()
    for reading in range(1, 4):
        begun = threads.now
        threads.ends |= {10 * reading: begun + 0.15, 10 * reading + 1: begun + 0.02}
        waits.wait()
        assert threads.running() == {0}
        assert threads.now - begun == pytest.approx(0.15, abs=2 * POLL)


def test_threads_that_stay_cost_one_wait():
    threads = Threads()
    waits = threads.waiting()
    threads.ends = {1: FOREVER, 2: 0.1}
    waits.wait()
    assert threads.now == pytest.approx(0.1 + MAX_PAUSE, abs=3 * POLL)
    begun, threads.ends[3] = threads.now, threads.now + 0.1
    waits.wait()
    assert threads.now == begun
    waits.begin()
    waits.wait()
    assert threads.now == begun


def test_no_wait_is_long():
    threads = Threads()
    waits = threads.waiting()
    threads.ends = {number: number * 0.2 for number in range(1, 50)}
    waits.wait()
    assert threads.now == pytest.approx(MAX_WAIT, abs=3 * POLL)
