"""Batches in forked children, from finalizers, for several items, with equal items, and the context they run in."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading

import pytest

from pytest_perfguard import AsyncBatchProcessor, BatchClosed, BatchProcessor, BatchTimeout
from tests.tools.programs import ALL_FINE, outcomes_of_children, run_program

LONG = 3600.0
USER = contextvars.ContextVar("user", default="nobody")


def double(items):
    return [2 * item for item in items]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_children_of_a_busy_parent_do_not_hang():
    definitions = """
    from pytest_perfguard import BatchProcessor
    batch = BatchProcessor({"double": lambda items: [2 * item for item in items]}, max_delay=0)
    def use():
        batch.process("double", 1), batch.stats()
    def check():
        assert batch.process_many("double", range(3)) == [0, 2, 4]
    """
    assert outcomes_of_children(definitions) == ALL_FINE


def test_items_that_finalizers_submit_are_processed_and_hang_nothing():
    program = """
    import gc, threading, time
    from pytest_perfguard import BatchProcessor
    seen = []
    batch = BatchProcessor({"log": lambda items: [seen.append(item) for item in items]}, max_delay=0.001, max_queue=20)
    class Closing:
        def __init__(self):
            self.me = self
        def __del__(self):
            futures.append(batch.submit("log", "closed"))
            batch.stats()
    futures = []
    made = [0] * 3
    end = time.monotonic() + 0.7
    def work(number):
        while time.monotonic() < end:
            Closing()
            made[number] += 1
            batch.submit("log", "working", timeout=20)
    gc.set_threshold(20, 5, 1000)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    batch.close(20)
    print(seen.count("closed") == sum(made) > 50, all(future.done() for future in futures))
    """
    assert run_program(program, timeout=90) == "True True"


def test_within_a_step_of_its_own_thread_an_item_waits_and_its_result_cannot():
    seen = []
    with BatchProcessor({"double": double}, max_delay=0) as batch:
        worker = batch._workers["double"]
        offer = worker._offer

        def interrupted(item, future, **options):
            worker._offer = offer
            seen.append(batch.submit("double", 1))  # as a finalizer would
            with pytest.raises(BatchTimeout, match="finalizer or a signal handler"):
                batch.process("double", 2)
            return offer(item, future, **options)

        worker._offer = interrupted
        assert batch.process("double", 3, timeout=20) == 6
        assert seen[0].result(20) == 2


def test_a_processor_may_submit_to_its_own_full_queue():
    futures = []

    def again(items):
        if not futures:
            futures.extend(batch.submit("again", item) for item in range(5))
        return items

    with BatchProcessor({"again": again}, max_size=1, max_queue=1, max_delay=0) as batch:
        assert batch.process("again", 7, timeout=20) == 7
        assert [future.result(20) for future in futures] == list(range(5))


def test_several_items_are_processed_in_their_order():
    def picky(items):
        return [ValueError(item) if item < 0 else item for item in items]

    with BatchProcessor({"picky": picky}, max_size=3, max_delay=0.001) as batch:
        assert batch.process_many("picky", range(10), timeout=20) == list(range(10))
        assert batch.process_many("picky", []) == []
        with pytest.raises(ValueError, match="-1"):
            batch.process_many("picky", [1, -1, 2], timeout=20)
        results = batch.process_many("picky", [1, -1, 2], timeout=20, return_exceptions=True)
        assert [type(result) for result in results] == [int, ValueError, int]

    async def main():
        async with AsyncBatchProcessor({"picky": picky}, max_size=3, max_queue=3, max_delay=0.001) as batch:
            assert await batch.process_many("picky", range(10)) == list(range(10))
            assert await batch.process_many("picky", [], timeout=20) == []
            with pytest.raises(ValueError, match="-1"):
                await batch.process_many("picky", [1, -1, 2], timeout=20)
            results = await batch.process_many("picky", [1, -1, 2], return_exceptions=True)
            assert [type(result) for result in results] == [int, ValueError, int]

    asyncio.run(main())


def test_several_items_have_one_time_limit():
    async def main():
        async def slow(items):
            await asyncio.sleep(20)

        batch = AsyncBatchProcessor({"slow": slow}, max_delay=0)
        with pytest.raises(BatchTimeout, match="no result within 0.05 s"):
            await batch.process_many("slow", range(3), timeout=0.05)
        results = await batch.process_many("slow", range(3), timeout=0.05, return_exceptions=True)
        assert [type(result) for result in results] == [BatchTimeout] * 3

    asyncio.run(main())
    go = threading.Event()
    with BatchProcessor({"slow": lambda items: go.wait(20) and items}, max_size=3) as batch:
        with pytest.raises(BatchTimeout, match="no result within 0.05 s"):
            batch.process_many("slow", range(3), timeout=0.05)
        go.set()


@pytest.mark.parametrize("asynchronous", [False, True])
def test_equal_items_of_a_batch_are_processed_once_where_that_is_wanted(asynchronous):
    batches = []

    def load(keys):
        batches.append(keys)
        return [f"value of {key}" for key in keys]

    items = ["a", "b", "a", 1, 1.0, True, ["x"], ["x"]]
    expected = [f"value of {item}" for item in items]
    if asynchronous:

        async def main():
            async with AsyncBatchProcessor({"load": load}, max_size=8, merge=True) as batch:
                return await batch.process_many("load", items)

        results = asyncio.run(main())
    else:
        with BatchProcessor({"load": load}, max_size=8, max_delay=LONG, merge=True) as batch:
            results = batch.process_many("load", items)
            batch.register("apart", load, max_size=2, merge=False)
            batch.process_many("apart", ["a", "a"])
    assert results == expected
    assert list(map(repr, batches[0])) == list(map(repr, ["a", "b", 1, 1.0, True, ["x"], ["x"]]))
    assert batches[1:] == ([] if asynchronous else [["a", "a"]])


@pytest.mark.parametrize("size", [2, 50])
def test_a_batch_sees_the_context_of_no_caller(size):
    """Whichever caller fills the batch or starts its timer."""

    async def load(items):
        return [f"item {item} as {USER.get()}" for item in items]

    async def request(batch, user, item):
        USER.set(user)
        return await batch.process("load", item)

    async def main():
        USER.set("the program")
        async with AsyncBatchProcessor({"load": load}, max_size=size, max_delay=0.02) as batch:
            return await asyncio.gather(request(batch, "alice", 1), request(batch, "bob", 2))

    assert asyncio.run(main()) == ["item 1 as nobody", "item 2 as nobody"]


def test_a_thread_batch_sees_the_context_of_no_caller_either():
    USER.set("alice")
    with BatchProcessor({"load": lambda items: [USER.get() for _ in items]}, max_size=1) as batch:
        assert batch.process("load", 1) == "nobody"
    USER.set("nobody")


def test_odd_processors_are_refused():
    async def coroutine_function(items):
        return items

    with pytest.raises(TypeError, match="use AsyncBatchProcessor"):
        BatchProcessor({"double": coroutine_function})
    for kind in (BatchProcessor, AsyncBatchProcessor):
        with pytest.raises(TypeError, match="the processor for 'double' is None: give a function"):
            kind({"double": None})
        with pytest.raises(ValueError, match="max_queue is 0: it must be at least 1"):
            kind({}, max_queue=0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_closed_processor_stays_closed_in_a_child():
    batch = BatchProcessor({"double": double}, max_size=1)
    batch.close()
    child = os.fork()
    if child == 0:
        try:
            batch.submit("double", 1)
        except BatchClosed:
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_after_the_first_error_the_other_items_are_withdrawn():
    """Results come in one future for all items: the caller does not wait for those that it would not get."""
    seen = []

    async def process(items):
        seen.extend(items)
        return [ValueError(items[0])] if items[0] == 1 else items

    async def main():
        batch = AsyncBatchProcessor({"one": process}, max_size=1, max_delay=0)
        with pytest.raises(ValueError, match="1"):
            await batch.process_many("one", range(6))
        kept = await batch.process_many("one", [0, 1, 2], return_exceptions=True)
        assert [type(result) for result in kept] == [int, ValueError, int]
        assert await batch.process_many("one", []) == []
        await batch.close()
        assert batch.stats().cancelled >= 3

    asyncio.run(main())
    assert 5 not in seen
