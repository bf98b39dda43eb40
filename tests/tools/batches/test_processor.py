"""The batch processors, for threads and for tasks."""

from __future__ import annotations

import asyncio
import functools
import gc
import operator
import os
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import wait

import pytest

from pytest_perfguard import (
    AsyncBatchProcessor,
    BatchClosed,
    BatchError,
    BatchProcessor,
    BatchSizeError,
    BatchTimeout,
    MemoryManager,
)

LONG = 3600.0


def double(items):
    return [2 * item for item in items]


class Gated:
    """A processor that waits for `go`, and records its batches."""

    def __init__(self):
        self.batches = []
        self.begun = threading.Event()
        self.go = threading.Event()

    def __call__(self, items):
        self.batches.append(items)
        self.begun.set()
        assert self.go.wait(20)
        return items


def test_each_caller_gets_its_own_result():
    with BatchProcessor({"double": double, "negate": lambda items: [-item for item in items]}, max_size=7) as batch:
        doubles = [batch.submit("double", number) for number in range(100)]
        negatives = [batch.submit("negate", number) for number in range(20)]
        assert [future.result() for future in doubles] == [2 * number for number in range(100)]
        assert [future.result() for future in negatives] == [-number for number in range(20)]
        stats = batch.stats("double")
        assert (stats.items, stats.largest) == (100, 7)
        assert batch.stats().items == 120
        assert batch.process("double", 4) == 8


def test_a_batch_that_is_not_full_goes_when_it_is_old():
    with BatchProcessor({"double": double}, max_delay=0.01) as batch:
        assert batch.process("double", 4, timeout=20) == 8
        assert batch.stats().batches == 1


def test_errors_are_raised_at_their_callers():
    def picky(items):
        if "all" in items:
            raise KeyError("all")
        return [ValueError(item) if item == "bad" else item for item in items]

    with BatchProcessor({"picky": picky, "short": lambda items: items[1:]}, max_size=3, max_delay=LONG) as batch:
        good, bad, other = (batch.submit("picky", item) for item in ("good", "bad", "other"))
        assert (good.result(), other.result()) == ("good", "other")
        assert isinstance(bad.exception(), ValueError)
        for future in [batch.submit("picky", item) for item in ("all", "of", "them")]:
            assert isinstance(future.exception(), KeyError)
        for future in [batch.submit("short", item) for item in range(3)]:
            assert isinstance(future.exception(), BatchSizeError)
            assert str(future.exception()) == "batch short: the processor returned 2 results for 3 items"
        with pytest.raises(BatchError, match="no processor is registered \\(there are: picky, short\\)"):
            batch.submit("other", 1)
        stats = batch.stats()
        assert (stats.failures, stats.item_errors) == (2, 1)


def test_a_processor_that_exits_does_not_end_the_program():
    with BatchProcessor({"exit": lambda items: sys.exit(3)}, max_size=1) as batch:
        with pytest.raises(BatchError, match="was ended by SystemExit: 3"):
            batch.process("exit", 1)


def test_close_processes_queued_items_and_accepts_no_more():
    batch = BatchProcessor({"double": double}, max_delay=LONG)
    futures = [batch.submit("double", number) for number in range(120)]
    batch.close()
    assert [future.result(0) for future in futures] == [2 * number for number in range(120)]
    with pytest.raises(BatchClosed):
        batch.submit("double", 1)
    assert not [thread for thread in threading.enumerate() if thread.name == "perfguard-batch-double"]


def test_a_caller_without_room_waits_for_it():
    gated = Gated()
    with BatchProcessor({"gated": gated}, max_size=1, max_queue=1, max_delay=LONG) as batch:
        first = batch.submit("gated", 1)
        assert gated.begun.wait(20)
        second = batch.submit("gated", 2)
        with pytest.raises(BatchTimeout, match="batch gated: no room in the queue within 0.01 s: 1 items wait"):
            batch.submit("gated", 3, timeout=0.01)
        third = []
        waiter = threading.Thread(target=lambda: third.append(batch.submit("gated", 4)))
        waiter.start()
        gated.go.set()
        waiter.join()
        assert [future.result(20) for future in (first, second, *third)] == [1, 2, 4]
        assert batch.stats().refused == 1


def test_a_caller_that_times_out_withdraws_its_item():
    gated = Gated()
    with BatchProcessor({"gated": gated}, max_size=1, max_delay=LONG) as batch:
        first = batch.submit("gated", 1)
        assert gated.begun.wait(20)
        with pytest.raises(BatchTimeout, match="no result within 0.01 s"):
            batch.process("gated", 2, timeout=0.01)
        third = batch.submit("gated", 3)
        gated.go.set()
        assert (first.result(20), third.result(20)) == (1, 3)
        assert gated.batches == [[1], [3]]
        assert batch.stats().cancelled == 1


def test_flush_and_memory_pressure_wait_for_no_full_batch():
    from pytest_perfguard.tools.monitor.memory_sample import MemorySample

    fields = dict.fromkeys(MemorySample.__dataclass_fields__, 0) | {"rss": 300_000_000}
    manager = MemoryManager(read=lambda: MemorySample(**fields))
    with BatchProcessor({"double": double}, max_delay=LONG) as batch:
        manager.register_cache("batches", batch)
        first = batch.submit("double", 1)
        batch.flush()
        assert first.result(20) == 2
        second = batch.submit("double", 2)
        manager.sample()
        assert second.result(20) == 4


def test_many_threads_lose_nothing():
    with BatchProcessor({"double": double}, max_size=10, max_delay=0.001, max_queue=20, concurrency=3) as batch:
        problems = []

        def work(seed):
            for number in range(100):
                if batch.process("double", seed * 1000 + number) != 2 * (seed * 1000 + number):
                    problems.append((seed, number))

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not problems
        assert batch.stats().items == 1600


def test_a_kind_has_one_processor_and_its_own_limits():
    batch = BatchProcessor({"double": double})
    batch.register("quick", double, max_size=1)
    with pytest.raises(ValueError, match="a processor for 'quick' is registered already"):
        batch.register("quick", double)
    assert batch.process("quick", 1) == 2
    assert repr(batch) == "<BatchProcessor double, quick>"
    batch.close()


def test_queued_items_are_processed_at_the_end_of_the_program():
    code = """
from pytest_perfguard import BatchProcessor
batch = BatchProcessor({"print": lambda items: [print(item) for item in items]}, max_delay=3600)
batch.submit("print", "last words")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "last words\n"


def test_a_processor_without_references_ends():
    done = threading.Event()
    batch = BatchProcessor({"set": lambda items: [done.set() for _ in items]}, max_delay=LONG)
    batch.submit("set", 1)
    gone = weakref.ref(batch)
    del batch
    gc.collect()
    assert gone() is None
    assert done.wait(20)


def test_tasks_get_their_own_results_and_cancelled_ones_do_no_harm():
    async def main():
        batches = []

        async def slow(items):
            batches.append(items)
            await asyncio.sleep(0)
            return [ValueError(item) if item == 5 else 2 * item for item in items]

        async with AsyncBatchProcessor({"slow": slow, "plain": double}, max_size=10, max_queue=20) as batch:
            tasks = [asyncio.ensure_future(batch.process("slow", number)) for number in range(100)]
            await asyncio.sleep(0)
            tasks[15].cancel()  # in the queue
            tasks[55].cancel()  # waits for room
            done = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(done[5], ValueError)
            assert isinstance(done[15], asyncio.CancelledError)
            assert isinstance(done[55], asyncio.CancelledError)
            others = [number for number in range(100) if number not in (5, 15, 55)]
            assert [done[number] for number in others] == [2 * number for number in others]
            assert 15 not in functools.reduce(operator.iadd, batches, [])
            assert 55 not in functools.reduce(operator.iadd, batches, [])
            assert all(len(items) <= 10 for items in batches)
            assert await asyncio.gather(*(batch.process("plain", number) for number in range(3))) == [0, 2, 4]
            stats = batch.stats()
            assert (stats.queued, stats.waiting, stats.running, stats.item_errors) == (0, 0, 0, 1)

    asyncio.run(main())


def test_tasks_wait_for_room_and_for_results_within_their_time_limits():
    async def main():
        go = asyncio.Event()

        async def gated(items):
            await go.wait()
            return items

        async with AsyncBatchProcessor({"gated": gated}, max_size=1, max_queue=1) as batch:
            first = await batch.submit("gated", 1)
            second = await batch.submit("gated", 2)
            with pytest.raises(BatchTimeout, match="no room in the queue"):
                await batch.submit("gated", 3, timeout=0.01)
            go.set()
            assert [await first, await second] == [1, 2]
            go.clear()
            with pytest.raises(BatchTimeout, match="no result within"):
                await batch.process("gated", 4, timeout=0.01)
            go.set()
        with pytest.raises(BatchClosed):
            await batch.submit("gated", 1)
        assert await AsyncBatchProcessor({"bad": lambda items: []}, max_size=1).submit("bad", 1) is not None

    asyncio.run(main())


def test_close_processes_the_items_of_tasks():
    async def main():
        batch = AsyncBatchProcessor({"double": double}, max_delay=LONG)
        futures = [await batch.submit("double", number) for number in range(70)]
        await batch.close()
        assert [future.result() for future in futures] == [2 * number for number in range(70)]

    asyncio.run(main())


def test_a_processor_of_another_event_loop_is_refused():
    batch = AsyncBatchProcessor({"double": double}, max_size=1)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        assert first.run_until_complete(batch.process("double", 2)) == 4
        with pytest.raises(BatchError, match="belongs to another event loop"):
            second.run_until_complete(batch.process("double", 2))
        with pytest.raises(BatchError, match="belongs to another event loop"):
            second.run_until_complete(batch.process_many("double", [2]))
        first.close()
        assert second.run_until_complete(batch.process("double", 2)) == 4  # the other one has ended
    finally:
        first.close()
        second.close()


def test_close_takes_as_long_as_the_work_and_no_longer():
    batch = BatchProcessor({"double": double}, max_delay=LONG)
    batch.submit("double", 1).cancel()
    begun = time.monotonic()
    batch.close()
    assert time.monotonic() - begun < 5  # a thread without work would wait for ten seconds
    gated = Gated()
    batch = BatchProcessor({"gated": gated}, max_size=1)
    batch.submit("gated", 1)
    assert gated.begun.wait(20)
    with pytest.raises(BatchTimeout, match="not all batches were done within 0.01 s"):
        batch.close(timeout=0.01)
    gated.go.set()
    batch.close()


def test_batches_may_go_by_size_only():
    with BatchProcessor({"double": double}, max_size=2, max_delay=float("inf")) as batch:
        futures = [batch.submit("double", number) for number in range(3)]
        assert [futures[0].result(20), futures[1].result(20)] == [0, 2]
    assert futures[2].result(0) == 4


def test_a_cancelled_future_is_done_for_a_wait_for_several():
    with BatchProcessor({"double": double}, max_delay=LONG) as batch:
        future = batch.submit("double", 1)
        future.cancel()
    assert wait([future], timeout=20).done == {future}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_process_that_was_forked_begins_anew():
    with BatchProcessor({"double": double}, max_size=1) as batch:
        assert batch.process("double", 1) == 2
        pid = os.fork()
        if pid == 0:
            os._exit(batch.process("double", 2, timeout=20))
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
        assert batch.process("double", 3) == 6


def test_without_a_thread_no_item_is_accepted(monkeypatch):
    batch = BatchProcessor({"double": double}, max_size=1)

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            batch.submit("double", 1)
    assert batch.stats().queued == 0
    assert batch.process("double", 2) == 4
    batch.close()


def test_a_callback_that_fails_or_closes_affects_no_other_caller(caplog):
    batch = BatchProcessor({"double": double}, max_size=2, max_delay=LONG)
    one = batch.submit("double", 1)
    one.add_done_callback(lambda _future: sys.exit(1))
    other = batch.submit("double", 2)
    assert other.result(20) == 4
    assert "a callback of the result of 1 failed" in caplog.text
    third = batch.submit("double", 3)
    third.add_done_callback(lambda _future: batch.close())
    batch.submit("double", 4).result(20)
    batch.close()
    with pytest.raises(BatchClosed):
        batch.register("late", double)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_items_that_a_processor_submits_during_close_are_processed(asynchronous):
    if not asynchronous:
        with BatchProcessor({"inner": double}, max_delay=LONG) as batch:
            batch.register("outer", lambda items: [batch.process("inner", item) + 1 for item in items])
            future = batch.submit("outer", 1)
        assert future.result(0) == 3
        return

    async def main():
        async with AsyncBatchProcessor({"inner": double}, max_delay=LONG) as batch:

            async def outer(items):
                return [await batch.process("inner", item) + 1 for item in items]

            batch.register("outer", outer)
            future = await batch.submit("outer", 1)
        assert future.result() == 3

    asyncio.run(main())


def test_a_second_batch_begins_beside_a_long_one():
    gated = Gated()
    with BatchProcessor(
        {"gated": gated}, max_size=50, max_queue=2, max_delay=LONG, concurrency=2
    ) as batch:  # full when the queue is
        futures = [batch.submit("gated", 1), batch.submit("gated", 2)]
        assert gated.begun.wait(20)
        gated.begun.clear()
        futures += [batch.submit("gated", 3), batch.submit("gated", 4)]
        assert gated.begun.wait(20)
        gated.go.set()
        assert [future.result(20) for future in futures] == [1, 2, 3, 4]


def test_limits_of_a_kind_keep_those_of_the_processor():
    batch = BatchProcessor({}, max_queue=5)
    batch.register("double", double, max_size=20)
    assert batch._workers["double"].queue.limits.max_queue == 5
    other = BatchProcessor({})
    other.register("double", double, max_size=20)
    assert other._workers["double"].queue.limits.max_queue == 200


@pytest.mark.parametrize("processor", [lambda items: next(iter([])), lambda items: [StopIteration()] * len(items)])
def test_stop_iteration_reaches_the_callers_as_an_error(processor):
    async def main():
        async with AsyncBatchProcessor({"stop": processor}, max_size=2) as batch:
            done = await asyncio.gather(batch.process("stop", 1), batch.process("stop", 2), return_exceptions=True)
            assert [type(error) for error in done] == [RuntimeError, RuntimeError]

    asyncio.run(main())


def test_a_second_event_loop_has_timers_of_its_own():
    batch = AsyncBatchProcessor({"double": double}, max_size=2, max_delay=0.01)

    async def two():
        return await asyncio.gather(batch.process("double", 1), batch.process("double", 2))

    async def leave_one():
        await batch.submit("double", 1)

    assert asyncio.run(two()) == [2, 4]
    assert asyncio.run(batch.process("double", 3)) == 6
    asyncio.run(leave_one())
    assert asyncio.run(batch.process("double", 4)) == 8
    asyncio.run(leave_one())
    assert asyncio.run(batch.process_many("double", [5, 6, 7])) == [10, 12, 14]
    asyncio.run(batch.close())


@pytest.mark.parametrize("merge", [False, True])
def test_a_processor_may_change_the_list_that_it_gets(merge):
    def empty(items):
        return [2 * items.pop(0) for _ in range(len(items))]

    async def main():
        async with AsyncBatchProcessor({"empty": empty}, max_size=3, merge=merge) as batch:
            return await batch.process_many("empty", [1, 2, 1])

    with BatchProcessor({"empty": empty}, max_size=3, merge=merge) as batch:
        assert batch.process_many("empty", [1, 2, 1], timeout=20) == [2, 4, 2]
    assert asyncio.run(main()) == [2, 4, 2]


def test_outcomes_that_end_a_test_go_to_the_callers_only():
    async def main():
        async with AsyncBatchProcessor({"skip": lambda items: pytest.skip("not here")}, max_size=1) as batch:
            with pytest.raises(BatchError, match="was ended by Skipped"):
                await batch.process("skip", 1)

    asyncio.run(main())


def test_without_a_delay_the_items_of_one_turn_of_the_loop_are_a_batch():
    seen = []

    def load(numbers):
        seen.append(list(numbers))
        return [number + 1 for number in numbers]

    async def main():
        async with AsyncBatchProcessor({"next": load}, max_delay=0) as batch:

            async def twice(number):
                return await batch.process("next", await batch.process("next", number))

            assert await asyncio.gather(*map(twice, (1, 5, 9))) == [3, 7, 11]

    asyncio.run(main())
    assert seen == [[1, 5, 9], [2, 6, 10]]


def test_an_object_whose_call_must_be_awaited_is_no_processor_for_threads():
    class Load:
        async def __call__(self, items):
            return items

    with pytest.raises(TypeError, match="use AsyncBatchProcessor"):
        BatchProcessor({"load": Load()})
