"""Peaks are exact: with threads, with asyncio, and whatever ran before in the process."""

from __future__ import annotations

import asyncio
import statistics
import threading

import pytest

from pytest_perfguard.engine.measure.executor import execute, execute_async
from pytest_perfguard.engine.measure.peak_memory import measure_peaks

MIB = 2**20
#: Objects around the buffers: threads, tasks, tuples.
SLACK = 64 * 1024


def peak_of(call):
    return statistics.median(_peaks(execute, call))


def _peaks(obey, call):
    found = []

    def steps():
        found.extend((yield from measure_peaks(1, 5)))

    result = obey(steps(), call, None)
    if asyncio.iscoroutine(result):
        asyncio.run(result)
    return found


def test_the_peak_of_one_buffer():
    assert peak_of(lambda: len(bytes(3 * MIB))) == pytest.approx(3 * MIB, abs=1024)


def test_buffers_one_after_the_other_do_not_add_up():
    def call():
        for _ in range(5):
            bytes(MIB)

    assert peak_of(call) == pytest.approx(MIB, abs=1024)


def test_buffers_of_threads_that_live_together_add_up():
    def call():
        together = threading.Barrier(4)

        def work():
            buffer = bytearray(MIB)
            together.wait()
            del buffer

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert peak_of(call) == pytest.approx(4 * MIB, abs=SLACK)


def test_buffers_of_tasks_that_live_together_add_up():
    async def work():
        buffer = bytearray(MIB)
        await asyncio.sleep(0)
        return len(buffer)

    async def call():
        await asyncio.gather(*(work() for _ in range(6)))

    assert statistics.median(_peaks(execute_async, call)) == pytest.approx(6 * MIB, abs=SLACK)


def test_what_ran_before_changes_nothing():
    def call():
        rows = [{"id": index, "name": (index, float(index))} for index in range(500)]
        return len(rows)

    alone = peak_of(call)
    garbage = [[bytes(1000)] for _ in range(5000)]
    for item in garbage:
        item.append(item)
    del garbage, item  # cycles that the collector has not found yet
    assert peak_of(call) == pytest.approx(alone, abs=1024)
    many = [(float(index), {index: index}) for index in range(50_000)]
    del many  # the interpreter's free lists are full now
    assert peak_of(call) == pytest.approx(alone, abs=1024)
