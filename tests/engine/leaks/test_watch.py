"""`MemoryWatch` on real functions of this process: large effects only."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import re
import sys
import threading
from functools import partial
from pathlib import Path

import pytest

from pytest_perfguard import CannotCheck, LeakError, MemoryWatch
from pytest_perfguard.core.errors import SettingError
from pytest_perfguard.engine.measure.suppress import suppress_capture
from pytest_perfguard.plugin.capture import PYTEST_CAPTURE

KEPT: list[object] = []


@pytest.fixture(autouse=True)
def nothing_kept_between_tests():
    KEPT.clear()
    yield
    KEPT.clear()


@pytest.fixture
def watch():
    """As the fixture `memory_watch` makes it."""
    return MemoryWatch(partial(suppress_capture, capture=PYTEST_CAPTURE), capture=PYTEST_CAPTURE)


def keep(size):
    KEPT.append(bytes(size))


async def keep_later(size):
    await asyncio.sleep(0)
    keep(size)


def test_a_clean_function_passes_with_its_arguments(watch):
    found = watch.check(sorted, [3, 1, 2], reverse=True)
    assert (found.leaks, found.calls) == ([], 100)


def test_a_leak_is_an_assertion_that_names_size_site_and_holder(watch):
    with pytest.raises(AssertionError) as caught:
        watch.check(keep, 1000)
    text = str(caught.value)
    assert text.startswith("leak: 1.0")
    assert "KB of memory per call" in text.splitlines()[0]
    assert "KEPT.append(bytes(size))" in text
    assert f"kept by {__name__}.KEPT: a list of " in text
    assert "in which the resident set (RSS) grew by" in text


def test_an_async_function_is_checked_inside_its_loop(watch):
    with pytest.raises(LeakError, match="of memory per call"):
        asyncio.run(watch.check_async(keep_later, 1000))
    asyncio.run(watch.check_async(asyncio.sleep, 0))


def test_a_task_that_never_ends_is_named(watch):
    async def start():
        KEPT.append(asyncio.ensure_future(asyncio.sleep(1000)))

    with pytest.raises(LeakError) as caught:
        asyncio.run(watch.check_async(start))
    assert caught.value.lines[0] == "leak: 1 asyncio task per call"
    assert "<Task pending name=" in caught.value.lines[1]
    assert any("made at " in line for line in caught.value.lines)


def test_a_file_that_stays_open_is_named(watch, tmp_path):
    (tmp_path / "data").touch()
    with pytest.raises(LeakError) as caught:
        watch.check(lambda: KEPT.append((tmp_path / "data").open()))
    for file in KEPT:
        file.close()
    assert caught.value.lines[0] == "leak: 1 open file per call"
    assert f"{tmp_path}/data (descriptor " in str(caught.value)
    assert "made at " in str(caught.value)


def test_a_coroutine_function_needs_the_async_check(watch):
    with pytest.raises(TypeError, match=r"await memory_watch\.check_async"):
        watch.check(keep_later, 10)
    with pytest.raises(TypeError, match=r"await memory_watch\.peak_async"):
        watch.peak(keep_later, 10)

    class Called:
        async def __call__(self):
            keep(10)

    with pytest.raises(TypeError, match=r"await memory_watch\.check_async"):
        watch.check(Called())


def test_a_generator_function_is_refused_since_its_call_runs_none_of_it(watch):
    def rows():
        yield keep(10)

    with pytest.raises(TypeError, match="is a generator function"):
        watch.check(rows)


def test_what_cannot_be_checked_is_no_assertion(watch):
    with pytest.raises(CannotCheck, match="a later call raised IndexError: pop from empty list"):
        watch.check([1].pop)
    with pytest.raises(ZeroDivisionError):
        watch.check(lambda: 1 // 0)


def test_wrong_numbers_are_refused(watch):
    with pytest.raises(ValueError, match="calls is 0: it must be at least 1"):
        watch.check(len, "abc", calls=0)
    with pytest.raises(SettingError, match="'5 potatoes' is not a duration"):
        watch.check(len, "abc", budget="5 potatoes")
    with pytest.raises(ValueError, match="calls is 0: it must be at least 1"):
        watch.peak(len, "abc", calls=0)
    for limit in (-1, math.nan):
        with pytest.raises(ValueError, match="give a size of at least 0"):
            watch(max_growth=limit)
    with pytest.raises(TypeError, match="counter is None: give a function"):
        watch.count("loans", None)


def test_a_buffer_that_grows_is_named(watch):
    lines = bytearray()
    with pytest.raises(LeakError, match=r"local lines: a bytearray of \d+, 64 more per call"):
        watch.check(lines.extend, bytes(64))


def test_an_interrupt_leaves_nothing_switched_on(watch):
    import gc
    import tracemalloc

    calls = iter(range(1000))

    def interrupted():
        if next(calls) == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch.check(interrupted)
    assert not tracemalloc.is_tracing()
    assert any(thing is KEPT for thing in gc.get_objects())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio tells who is cancelled from Python 3.11 on")
def test_a_time_limit_ends_the_check(watch):
    async def program():
        async with asyncio.timeout(0.2):
            await watch.check_async(asyncio.sleep, 0.05)

    with pytest.raises(TimeoutError):
        asyncio.run(program())


def test_reference_cycles_are_a_note_on_request(watch):
    class Node:
        pass

    def cycle():
        node = Node()
        node.itself = node

    assert watch.check(cycle).notes == []
    (note,) = watch.check(cycle, cycles=True).notes
    assert "in reference cycles" in note
    assert "1 tests.engine.leaks.test_watch." in note
    assert watch.check(len, "abc", cycles=True).notes == ["note: no reference cycles"]


def test_the_users_own_counter_is_checked_and_explained(watch):
    lent = []
    watch.count("connections", lambda: list(lent))
    with pytest.raises(LeakError) as caught:
        watch.check(lambda: lent.append(f"connection {len(lent)}"))
    assert caught.value.lines[0] == "leak: 1 connections per call"
    assert "'connection " in caught.value.lines[1]


def test_a_counter_that_gives_a_number_is_explained_by_its_numbers(watch):
    lent = [0]
    watch.count("loans", lambda: lent[0])
    with pytest.raises(LeakError, match="leak: 1 loans per call") as caught:
        watch.check(lambda: lent.__setitem__(0, lent[0] + 1))
    assert re.fullmatch(r" +from \d+ to \d+", caught.value.lines[1])


def test_log_records_and_output_are_not_counted(watch, caplog):
    def talk():
        logging.getLogger("talk").warning("x" * 1000)
        print("y" * 1000)
        os.write(1, b"z" * 1000)

    assert watch.check(talk).leaks == []
    assert caplog.records == []


def test_somebody_elses_tracing_is_left_alone(watch):
    import tracemalloc

    tracemalloc.start(3)
    try:
        kept = bytes(100_000)
        assert watch.check(len, "abc").leaks == []
        assert tracemalloc.get_traceback_limit() == 3
        assert tracemalloc.get_object_traceback(kept) is not None
        with watch(max_growth="10KB"):
            pass
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()


def test_the_peak_of_a_call(watch):
    assert watch.peak(bytes, 1_000_000) == pytest.approx(1_000_000, abs=2000)
    assert watch.peak(bytes, 1_000_000, calls=3) == pytest.approx(1_000_000, abs=2000)
    assert asyncio.run(watch.peak_async(keep_later, 1_000_000)) == pytest.approx(1_000_000, abs=10_000)


def test_a_difference_of_snapshots_reads_well(watch):
    class Thing:
        pass

    before = watch.snapshot()
    KEPT.extend(Thing() for _ in range(50))
    with Path(os.devnull).open():
        difference = watch.snapshot() - before
    assert difference.objects[f"{__name__}.{Thing.__qualname__}"] == 50
    assert difference.held == {"files": 1}
    assert difference.python is None
    lines = str(difference).splitlines()
    assert "+1 open file" in lines
    assert f"+50 {__name__}.{Thing.__qualname__}" in lines


class TestBlock:
    """`with memory_watch(...)`."""

    def test_amounts_are_known_afterwards(self, watch):
        with watch() as block:
            keep(300_000)
            bytes(1_000_000)
        assert block.growth == pytest.approx(300_000, abs=5000)
        assert block.peak == pytest.approx(1_300_000, abs=5000)

    def test_more_growth_than_allowed(self, watch):
        with watch(max_growth="400KB"):
            keep(300_000)
        with pytest.raises(LeakError, match=r"grew by 30\d KB, more than max_growth=200 KB") as caught:
            with watch(max_growth="200KB"):
                keep(300_000)
        assert "KEPT.append(bytes(size))" in str(caught.value)

    def test_a_higher_peak_than_allowed(self, watch):
        with pytest.raises(LeakError, match=r"peak of 1\.\d* MB, more than max_peak=500 KB"):
            with watch(max_peak="500KB"):
                bytes(1_000_000)

    def test_a_block_in_a_block_keeps_the_outer_peak(self, watch):
        with watch() as outer:
            bytes(20_000_000)
            with watch() as inner:
                bytes(100_000)
        assert inner.peak == pytest.approx(100_000, abs=5000)
        assert outer.peak == pytest.approx(20_000_000, abs=2_000_000)

    def test_what_is_left_behind_is_named(self, watch, tmp_path):
        stop = threading.Event()
        with pytest.raises(LeakError) as caught:
            with watch(resources=True):
                KEPT.append((tmp_path / "left.txt").open("w"))
                threading.Thread(target=stop.wait, name="left-running").start()
        stop.set()
        KEPT[0].close()
        text = str(caught.value)
        assert f"left behind: 1 open file\n    {tmp_path}/left.txt (descriptor " in text
        assert "left behind: 1 thread\n    left-running (thread " in text
        assert text.count("made at ") == 2

    def test_what_is_about_to_end_is_waited_for(self, watch):
        with watch(resources=True):
            threading.Timer(0.05, lambda: None).start()

    def test_an_async_block(self, watch):
        async def program():
            async with watch(resources=True):
                KEPT.append(asyncio.ensure_future(asyncio.sleep(0.05)))
            with pytest.raises(LeakError, match="left behind: 1 asyncio task"):
                async with watch(resources=True):
                    KEPT.append(asyncio.ensure_future(asyncio.sleep(1000)))

        asyncio.run(program())

    def test_blocks_of_tasks_may_overlap(self, watch):
        import tracemalloc

        async def first(begun, ended):
            async with watch():
                await begun.wait()
            ended.set()

        async def second(begun, ended):
            async with watch() as block:
                begun.set()
                await ended.wait()
                keep(100_000)
            return block.growth

        async def both():
            events = asyncio.Event(), asyncio.Event()
            return (await asyncio.gather(first(*events), second(*events)))[1]

        assert asyncio.run(both()) > 100_000
        assert not tracemalloc.is_tracing()

    def test_the_blocks_own_error_comes_through(self, watch):
        with pytest.raises(KeyError):
            with watch(max_growth=0):
                keep(100_000)
                raise KeyError

    def test_what_pytest_keeps_of_log_records_is_subtracted(self, watch, caplog):
        with watch(max_growth="30KB") as block:
            for _ in range(100):
                logging.getLogger("talk").warning("x" * 1000)
        assert len(caplog.records) == 100
        assert block.peak > 100_000

    def test_a_wrong_size_is_refused(self, watch):
        with pytest.raises(SettingError, match="'1 potato' is not a size"):
            watch(max_growth="1 potato")
