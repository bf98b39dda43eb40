"""Asynchronous pools: time limits that cover creation and checks, closed event loops, calls from other threads."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from pytest_perfguard import AsyncConnectionPool, AsyncObjectPool, MemoryManager, PoolClosed, PoolError, PoolTimeout

LONG = 30


class Connection:
    def __init__(self, closed):
        self.closed = closed
        self.loop = asyncio.get_running_loop()

    async def close(self):
        assert asyncio.get_running_loop() is self.loop, "closed in another event loop"
        self.closed.append(self)


def test_the_time_limit_covers_the_creation_of_the_first_objects():
    async def main():
        created = []

        async def create():
            await asyncio.sleep(0.3)
            created.append(object())
            return created[-1]

        pool = AsyncObjectPool(create, initial=2, max_size=2)
        begun = time.monotonic()
        with pytest.raises(PoolTimeout, match="nothing came free within 0.01 s"):
            await pool.acquire(timeout=0.01)
        assert time.monotonic() - begun < 0.25
        first, second = await pool.acquire(LONG), await pool.acquire(LONG)
        assert {first, second} == set(created)  # what was being created was not lost
        assert (pool.stats().created, pool.stats().timeouts) == (2, 1)

    asyncio.run(main())


def test_a_cancelled_borrower_leaves_the_object_in_the_making_to_the_next():
    async def main():
        go = asyncio.Event()

        async def create():
            await go.wait()
            return object()

        pool = AsyncObjectPool(create, initial=0, max_size=1)
        task = asyncio.ensure_future(pool.acquire())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        go.set()
        assert await pool.acquire(LONG) is not None
        assert pool.stats().created == 1

    asyncio.run(main())


def test_creation_that_fails_after_its_borrower_has_left_frees_the_room(caplog):
    async def main():
        async def create():
            await asyncio.sleep(0.05)
            raise OSError("no")

        pool = AsyncObjectPool(create, initial=0, max_size=1)
        with pytest.raises(PoolTimeout):
            await pool.acquire(timeout=0.01)
        with pytest.raises(OSError, match="no"):
            await pool.acquire(LONG)
        assert pool.stats().size == 0

    asyncio.run(main())
    assert "could not be created" in caplog.text


def test_the_time_limit_covers_the_check():
    async def main():
        closed, hangs = [], []

        async def connect():
            return Connection(closed)

        async def check(connection):
            if not hangs:
                hangs.append(connection)
                await asyncio.sleep(LONG)

        async with AsyncConnectionPool(connect, check=check, min_size=0, max_size=1) as pool:
            with pytest.raises(PoolTimeout, match="the check of a connection did not end within 0.05 s"):
                await pool.acquire(timeout=0.05)
            async with pool.connection(LONG) as connection:
                assert connection is not hangs[0]  # its state is unknown: it was closed
            assert pool.stats().timeouts == 1
        assert hangs[0] in closed

    asyncio.run(main())


@pytest.mark.parametrize("kind", [AsyncObjectPool, AsyncConnectionPool])
def test_objects_of_a_closed_loop_are_dropped_and_made_anew(kind):
    made = []

    class Thing:
        def __init__(self):
            self.loop = asyncio.get_running_loop()
            made.append(self)

        async def close(self):
            assert asyncio.get_running_loop() is self.loop

    async def create():
        return Thing()

    pool = kind(create, max_size=1, timeout=LONG)

    async def leave():
        await pool.acquire()

    async def use():
        thing = await pool.acquire()
        assert thing.loop is asyncio.get_running_loop()
        await pool.release(thing)
        return pool.stats()

    asyncio.run(leave())
    stats = asyncio.run(use())
    assert (stats.in_use, len(made)) == (0, 2)
    asyncio.run(use())
    asyncio.run(pool.close())  # in a loop that has nothing of it
    with pytest.raises(PoolClosed):
        asyncio.run(use())


@pytest.mark.parametrize("kind", [AsyncObjectPool, AsyncConnectionPool])
def test_a_second_open_loop_is_refused(kind):
    pool = kind(dict, max_size=1, timeout=LONG)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        first.run_until_complete(pool.acquire())
        with pytest.raises(PoolError, match="belongs to another event loop that is still open"):
            second.run_until_complete(pool.acquire())
    finally:
        for loop in (first, second):
            for task in asyncio.all_tasks(loop):
                task.cancel()
                loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
            loop.close()


@pytest.mark.parametrize("kind", ["object", "connection"])
def test_memory_pressure_in_another_thread_closes_idle_ones_in_their_loop(kind):
    from pytest_perfguard.tools.monitor.memory_sample import MemorySample

    fields = dict.fromkeys(MemorySample.__dataclass_fields__, 0) | {"rss": 300_000_000}
    closed = []

    async def create():
        return Connection(closed)

    async def main():
        if kind == "object":
            pool = AsyncObjectPool(create, destroy=Connection.close, initial=0, max_size=20)
        else:
            pool = AsyncConnectionPool(create, min_size=0, max_size=20)
        things = [await pool.acquire(LONG) for _ in range(15)]
        for thing in things:
            await pool.release(thing)
        manager = MemoryManager(read=lambda: MemorySample(**fields))
        manager.register_pool("pool", pool)
        thread = threading.Thread(target=manager.sample)
        thread.start()
        await asyncio.to_thread(thread.join)
        for _ in range(1000):
            if len(closed) == 5:
                break
            await asyncio.sleep(0.001)
        assert len(closed) == 5
        await pool.close()
        assert len(closed) == 15

    asyncio.run(main())


def test_shrinking_can_be_awaited_and_does_nothing_after_its_loop():
    destroyed = []
    pool = AsyncObjectPool(object, destroy=destroyed.append, initial=3, max_size=3)

    async def main():
        await pool.open()
        assert await pool.shrink(1) == 2
        assert len(destroyed) == 2

    asyncio.run(main())
    pool.shrink(0)
    assert len(destroyed) == 2


def test_many_pools_in_many_loops_at_the_same_time():
    errors = []

    async def main():
        pool = AsyncConnectionPool(dict, close=dict.clear, max_size=3, timeout=LONG)
        async with pool:
            await asyncio.gather(*(use(pool) for _ in range(50)))

    async def use(pool):
        async with pool.connection():
            await asyncio.sleep(0)

    def run():
        try:
            asyncio.run(main())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert errors == []
