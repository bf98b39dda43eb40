"""The memory manager: its own pools, hysteresis, the heap, objects of event loops."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref

import pytest

from pytest_perfguard import AsyncConnectionPool, AsyncObjectPool, MemoryCache, MemoryManager, ObjectPool
from pytest_perfguard.tools.monitor.memory_sample import MemorySample

MB = 1_000_000


def manager(levels, *, heap=None, **options):
    left = list(levels)

    def read():
        level = left.pop(0) if len(left) > 1 else left[0]
        return MemorySample(at=0.0, rss=level, heap_used=heap, heap_mapped=0, blocks=0, gc_counts=(0, 0, 0))

    return MemoryManager(read=read, **options)


class Cache:
    cleared = 0

    def clear(self):
        self.cleared += 1


def test_a_pool_that_the_manager_creates_is_cut_under_pressure():
    watched = manager([250 * MB])
    pool = watched.create_pool("buffers", bytearray, initial=20, max_size=50)
    assert isinstance(pool, ObjectPool)
    assert watched.pools == {"buffers": pool}
    watched.sample()
    assert len([pool.acquire() for _ in range(3)]) == 3
    assert pool.statistics()["destroyed"] == 10
    gone = weakref.ref(pool)
    watched.unregister("buffers")
    del pool
    gc.collect()
    assert gone() is None
    assert watched.pools == {}

    async def make():
        return bytearray()

    async def main():
        assert isinstance(watched.create_pool("async", make, initial=1), AsyncObjectPool)

    asyncio.run(main())


def test_caches_are_not_cleared_at_every_sample_where_that_frees_nothing():
    watched = manager([300 * MB])
    watched.register_cache("users", cache := Cache())
    for _ in range(8):
        watched.sample()
    assert (cache.cleared, watched.stats.collections) == (1, 1)


def test_they_are_cleared_again_once_memory_has_grown_or_has_been_low():
    watched = manager([300 * MB, 290 * MB, 290 * MB, 310 * MB, 320 * MB, 300 * MB, 300 * MB, 50 * MB, 250 * MB])
    watched.register_cache("users", cache := Cache())
    cleared = []
    for _ in range(5):
        watched.sample()
        cleared.append(cache.cleared)
    # 300, then 290 after it; 310 is less than a tenth more; 320 is more; then 50 is low, and 250 is high again
    assert cleared == [1, 1, 2, 2, 3]


def test_the_heap_counts_where_it_is_known():
    watched = manager([900 * MB], heap=50 * MB)
    watched.register_cache("users", cache := Cache())
    watched.sample()
    assert cache.cleared == 0
    watched = manager([250 * MB], heap=250 * MB)
    watched.register_cache("users", cache)
    watched.sample()
    assert cache.cleared == 1


def test_connections_of_an_asyncio_pool_are_closed_in_its_loop():
    closed = []

    class Connection:
        async def close(self):
            closed.append(threading.current_thread())

    async def connect():
        return Connection()

    async def main():
        watched = manager([250 * MB])
        pool = AsyncConnectionPool(connect, min_size=1, max_size=15)
        watched.register_pool("db", pool)
        async with pool:
            taken = [await pool.acquire() for _ in range(15)]
            for connection in taken:
                await pool.release(connection)
            await asyncio.to_thread(watched.sample)
            for _ in range(200):
                if len(closed) == 5:
                    break
                await asyncio.sleep(0.01)
            assert watched.stats.failures == 0
            assert closed == [threading.current_thread()] * 5

    asyncio.run(main())


def test_a_coroutine_method_runs_in_the_loop_of_its_registration(caplog):
    class AsyncCache:
        cleared = 0

        async def clear(self):
            self.cleared += 1

    async def main():
        watched = manager([250 * MB])
        watched.register_cache("users", cache := AsyncCache())
        await asyncio.to_thread(watched.sample)
        await asyncio.sleep(0.05)
        assert cache.cleared == 1
        return watched, cache

    asyncio.run(main())
    watched = manager([250 * MB])
    watched.register_cache("users", kept := AsyncCache())
    watched.sample()
    assert kept.cleared == 0
    assert watched.stats.failures == 1
    assert "register it in its event loop" in caplog.text


def test_old_and_new_names_of_freeing_memory():
    class Old:
        freed = 0

        def relieve(self):
            self.freed += 1

    class New(Old):
        def free_memory(self):
            self.freed += 10

    watched = manager([250 * MB])
    watched.register_cache("old", old := Old())
    watched.register_cache("new", new := New())
    watched.register_cache("memory", memory := MemoryCache())
    memory.set("a", 1)
    watched.sample()
    assert (old.freed, new.freed, len(memory)) == (1, 10, 0)


def test_a_finalizer_may_unregister_its_object():
    watched = manager([1])

    class Registered:
        def __init__(self):
            self.me = self
            watched.register_cache("one", MemoryCache())

        def __del__(self):
            with pytest.raises(KeyError):
                watched.unregister("nothing")

    Registered()
    gc.collect()
    assert watched.sample().rss == 1
