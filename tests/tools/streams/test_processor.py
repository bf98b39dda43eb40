"""The stream processors, for threads and for tasks: one contract for both."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import io
import operator
import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_perfguard import AsyncStreamProcessor, MemoryManager, StreamError, StreamProcessor
from tests.tools.programs import ALL_FINE, outcomes_of_children


class Async:
    """The asynchronous processor as if it were not."""

    def __init__(self, *args, **kwargs):
        self.processor = AsyncStreamProcessor(*args, **kwargs)

    def run(self, source):
        async def all_of_it():
            return [result async for result in self.processor.run(source)]

        return iter(asyncio.run(all_of_it()))

    def drain(self, source):
        return asyncio.run(self.processor.drain(source))

    def __getattr__(self, name):
        return getattr(self.processor, name)


@pytest.fixture(params=[StreamProcessor, Async], ids=["threads", "asyncio"])
def make(request):
    return request.param


@settings(max_examples=60)
@given(
    items=st.lists(st.binary(max_size=30), max_size=60),
    chunk_items=st.one_of(st.none(), st.integers(1, 7)),
    chunk_bytes=st.integers(1, 50),
    concurrency=st.integers(1, 4),
)
def test_chunks_have_all_items_in_order_and_keep_their_bounds(items, chunk_items, chunk_bytes, concurrency):
    processor = StreamProcessor(
        list, chunk_items=chunk_items, chunk_bytes=chunk_bytes, max_memory=100, concurrency=concurrency, weigh=len
    )
    chunks = list(processor.run(iter(items)))
    assert functools.reduce(operator.iadd, chunks, []) == items
    assert all(0 < len(chunk) <= (chunk_items or 1000) for chunk in chunks)
    assert all(sum(max(1, len(item)) for item in chunk) <= chunk_bytes or len(chunk) == 1 for chunk in chunks)
    progress = processor.summary.progress
    assert (progress.items, progress.chunks, progress.held) == (len(items), len(chunks), 0)
    assert progress.most_held <= 100


def test_a_file_comes_in_blocks_and_a_text_file_in_lines(make):
    data = bytes(range(256)) * 1000
    assert b"".join(make(bytes).run(io.BytesIO(data))) == data
    processor = make(len)
    assert list(processor.run(io.BytesIO(data))) == [65536, 65536, 65536, 59392]
    assert processor.summary.progress.bytes == len(data)
    lines = [f"line {number}\n" for number in range(10)]
    assert list(make(list, chunk_items=4).run(io.StringIO("".join(lines)))) == [lines[:4], lines[4:8], lines[8:]]
    assert list(make(list).run([])) == []


def test_the_memory_bound_holds_on_a_stream_a_hundred_times_as_large(make):
    alive = most = 0
    lock = threading.Lock()

    class Block(bytes):
        def __del__(self):
            nonlocal alive
            with lock:
                alive -= len(self)

    def source():
        nonlocal alive, most
        for _number in range(1000):
            block = Block(10_000)
            with lock:
                alive += len(block)
                most = max(most, alive)
            yield block
            del block

    processor = make(len, chunk_bytes=25_000, max_memory=100_000)
    summary = processor.drain(source())
    gc.collect()
    assert summary.progress.bytes >= 10_000_000
    assert summary.progress.most_held <= 100_000
    assert most <= 100_000 + 10_000  # one that is carried over
    assert alive == 0


def test_results_that_wait_for_their_turn_are_in_the_bound_too():
    go = threading.Event()
    seen = []

    def work(chunk):
        if chunk == [0]:
            assert go.wait(20)
        return chunk[0]

    def report(progress):
        seen.append(progress.chunks)
        if progress.chunks == 5:  # with the first in progress no more than these may be finished
            go.set()

    processor = StreamProcessor(work, chunk_items=1, concurrency=3, progress=report)
    assert list(processor.run(range(50))) == list(range(50))
    assert seen == list(range(1, 51))


def test_unordered_results_come_as_they_are_done():
    go = threading.Event()

    def work(chunk):
        if chunk == [0]:
            assert go.wait(20)
        return chunk[0]

    results = []
    for result in StreamProcessor(work, chunk_items=1, ordered=False).run(range(10)):
        results.append(result)
        if len(results) == 5:
            go.set()
    assert sorted(results) == list(range(10))
    assert results[0] != 0


def test_no_more_chunks_are_processed_at_a_time_than_allowed(make):
    running = most = 0
    lock = threading.Lock()
    both = threading.Barrier(2)

    def work(chunk):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        both.wait(20)
        with lock:
            running -= 1

    make(work, chunk_items=1, concurrency=2).drain(range(20))
    assert most == 2


def fail_on_three(chunk):
    if 3 in chunk:
        raise ValueError("three")
    return chunk


def test_an_error_stops_the_stream_and_says_where(make):
    processor = make(fail_on_three, chunk_items=2)
    taken = []
    with pytest.raises(StreamError, match="chunk 1 \\(from 2 on\\): ValueError: three") as caught:
        for result in processor.run(iter(range(10_000))):
            taken.append(result)
    assert isinstance(caught.value.__cause__, ValueError)
    assert taken in ([[0, 1]], [])
    assert processor.summary.progress.chunks < 20


def test_errors_are_collected_where_that_is_wanted(make):
    processor = make(fail_on_three, chunk_items=1, on_error="collect")
    assert list(processor.run([1, 3, 2, 3])) == [[1], [2]]
    assert [(error.number, error.first) for error in processor.summary.errors] == [(1, 1), (3, 3)]
    assert processor.summary.progress.errors == 2


def test_errors_of_the_source_are_raised_unchanged(make):
    def source():
        yield 1
        raise EOFError("cut off")

    with pytest.raises(EOFError, match="cut off"):
        make(list, chunk_items=1).drain(source())


def test_a_consumer_that_stops_early_leaves_nothing_behind():
    begun = threading.active_count()
    results = StreamProcessor(list, chunk_items=1).run(iter(range(1000)))
    assert next(results) == [0]
    results.close()
    assert threading.active_count() == begun


def test_results_come_before_the_source_is_at_its_end():
    taken = []

    def source():
        yield 1
        yield 2
        while not taken:  # of a live stream, whose next item comes late
            yield 3

    for result in StreamProcessor(list, chunk_items=1).run(source()):
        taken.append(result)
    assert taken[0] == [1]


def test_asynchronous_sources_and_processors():
    async def source():
        for number in range(10):
            await asyncio.sleep(0)
            yield number

    async def total(chunk):
        await asyncio.sleep(0)
        return sum(chunk)

    async def main():
        processor = AsyncStreamProcessor(total, chunk_items=4)
        assert [result async for result in processor.run(source())] == [6, 22, 17]
        reader = asyncio.StreamReader()
        reader.feed_data(b"x" * 100_000)
        reader.feed_eof()
        assert (await AsyncStreamProcessor(bytes).drain(reader)).progress.bytes == 100_000
        results = processor.run(source())
        assert await anext(results) == 6
        await results.aclose()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())


def test_memory_pressure_finishes_chunks_in_memory_before_it_reads_on():
    from pytest_perfguard.tools.monitor.memory_sample import MemorySample

    fields = dict.fromkeys(MemorySample.__dataclass_fields__, 0) | {"rss": 300_000_000}
    manager = MemoryManager(read=lambda: MemorySample(**fields))
    read = []

    def source():
        for number in range(20):
            read.append(number)
            yield number

    processor = StreamProcessor(list, chunk_items=1)
    manager.register_cache("stream", processor)
    results = processor.run(source())
    next(results)
    manager.sample()
    before = len(read)
    taken = 1
    while taken < before:
        next(results)
        taken += 1
        assert len(read) == before  # it reads nothing until all is delivered
    assert len(list(results)) == 20 - before


def test_statistics_add_up_over_streams(make):
    processor = make(len, chunk_items=3)
    processor.drain(range(7))
    processor.drain(range(2))
    numbers = processor.statistics()
    assert (numbers["items"], numbers["chunks"], numbers["held"]) == (9, 4, 0)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"chunk_bytes": 0}, "chunk_bytes is 0"),
        ({"chunk_items": 0}, "chunk_items is 0"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"max_memory": 10}, "no chunk would fit"),
        ({"on_error": "ignore"}, "must be 'stop' or 'collect'"),
    ],
)
def test_bounds_under_which_nothing_works_are_refused(make, arguments, problem):
    with pytest.raises(ValueError, match=problem):
        make(len, **arguments)


def test_errors_that_are_collected_do_not_keep_their_chunks(make):
    alive = 0

    class Block(bytes):
        def __del__(self):
            nonlocal alive
            alive -= 1

    def source():
        nonlocal alive
        for _ in range(50):
            alive += 1
            yield Block(10)

    def fail(chunk):
        raise ValueError(len(chunk))

    processor = make(fail, chunk_items=1, on_error="collect")
    processor.drain(source())
    gc.collect()
    assert len(processor.summary.errors) == 50
    assert alive == 0


def test_nothing_is_lost_of_a_file_that_does_not_block(make):
    class Hesitant(io.RawIOBase):
        def read(self, size):
            return None

    with pytest.raises(BlockingIOError, match="give a file in blocking mode"):
        make(len).drain(Hesitant())


def test_bytes_are_a_file_and_text_is_refused(make):
    assert list(make(bytes, chunk_bytes=2).run(b"abc")) == [b"ab", b"c"]
    with pytest.raises(TypeError, match="is a string: give an open file"):
        make(list).drain("abc")


def test_many_light_items_do_not_make_an_endless_chunk(make):
    processor = make(len, chunk_bytes=1000)
    assert sum(processor.run([""] * 5000)) == 5000
    assert processor.summary.progress.chunks > 100


def test_items_heavier_than_a_chunk_wait_for_room(make):
    processor = make(len, chunk_bytes=1_000, max_memory=10_000, weigh=len)
    processor.drain([b"x" * 9_000] * 5)
    assert processor.summary.progress.most_held <= 10_000
    processor.drain([b"x" * 90_000] * 3)  # larger than all the memory: one at a time
    assert processor.summary.progress.most_held == 90_000


def test_streams_of_one_processor_do_not_mix():
    processor = StreamProcessor(len, chunk_items=1)
    summaries = {}

    def work(count):
        summaries[count] = processor.drain(range(count))

    threads = [threading.Thread(target=work, args=(count,)) for count in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {count: summary.progress.items for count, summary in summaries.items()} == {n: n for n in range(1, 9)}
    assert processor.statistics()["items"] == sum(range(1, 9))


def test_whatever_is_awaitable_is_awaited_and_plain_functions_end_with_the_stream():
    running = []

    async def double(chunk):
        return [2 * item for item in chunk]

    class Doubler:
        async def __call__(self, chunk):
            return await double(chunk)

    def slow(chunk):
        running.append(chunk)
        try:
            if chunk == [0]:
                raise ValueError("zero")
            threading.Event().wait(0.05)
        finally:
            running.remove(chunk)

    async def main():
        for process in (double, Doubler(), lambda chunk: double(chunk)):
            processor = AsyncStreamProcessor(process, chunk_items=1)
            assert [result async for result in processor.run([1, 2])] == [[2], [4]]
        with pytest.raises(StreamError, match="zero"):
            await AsyncStreamProcessor(slow, chunk_items=1).drain(range(20))
        assert running == []

    asyncio.run(main())


def test_a_source_lives_in_one_task_and_is_closed():
    variable = contextvars.ContextVar("variable", default=0)
    seen, closed = set(), []

    async def source():
        token = variable.set(1)
        try:
            for number in range(10):
                seen.add(asyncio.current_task())
                assert variable.get() == 1
                yield number
        finally:
            variable.reset(token)
            closed.append(True)

    async def main():
        processor = AsyncStreamProcessor(list, chunk_items=1)
        await processor.drain(source())
        assert len(seen) == 1
        results = processor.run(source())
        async for _result in results:
            break
        await results.aclose()
        assert processor.summary.progress.held == 0

    asyncio.run(main())
    assert closed[0] is True


def test_falsy_errors_are_errors(make):
    class Empty(ValueError):
        def __len__(self):
            return 0

    def fail(chunk):
        raise Empty

    processor = make(fail, chunk_items=1, on_error="collect")
    assert processor.drain([1, 2]).progress.errors == 2


def test_statistics_within_a_locked_step_do_not_hang():
    """As a finalizer would call them."""
    processor = StreamProcessor(len, chunk_items=1)
    with processor._lock:
        assert processor.statistics()["chunks"] == 0
        processor.free_memory()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_children_of_a_busy_parent_do_not_hang():
    definitions = """
    from pytest_perfguard import StreamProcessor
    stream = StreamProcessor(len, chunk_items=2)
    def use():
        stream.drain(range(5)), stream.statistics()
    def check():
        stream.statistics(), stream.free_memory()
        assert list(stream.run(range(5))) == [2, 2, 1]
    """
    assert outcomes_of_children(definitions) == ALL_FINE


@pytest.mark.parametrize("kind", [StreamProcessor, AsyncStreamProcessor])
def test_odd_parameters_are_refused(kind):
    with pytest.raises(TypeError, match="process is None: give a function that takes a chunk"):
        kind(None)
    with pytest.raises(ValueError, match="max_memory is 1: it must be at least chunk_bytes"):
        kind(len, max_memory=1)


class Asynchronous:
    async def __call__(self, chunk):
        return sum(chunk)


def test_a_processor_for_threads_refuses_coroutine_functions():
    with pytest.raises(TypeError, match="is a coroutine function: use AsyncStreamProcessor"):
        StreamProcessor(Asynchronous())

    async def main():
        return [result async for result in AsyncStreamProcessor(Asynchronous(), chunk_items=2).run([1, 2, 3])]

    assert asyncio.run(main()) == [3, 3]
