"""Caches of several levels, for threads and for tasks: one contract for both."""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import os
import signal
import threading

import pytest

from pytest_perfguard import AsyncMultiLevelCache, CacheError, DiskCache, MemoryCache, MultiLevelCache, cached


class Plain:
    """Any object with the four methods will do."""

    def __init__(self):
        self.values = {}
        self.calls = []
        self.broken = False

    def get(self, key, default=None):
        self.called("get", key)
        return self.values.get(key, default)

    def set(self, key, value, ttl=None):
        self.called("set", key, value, ttl)
        self.values[key] = value

    def delete(self, key):
        self.called("delete", key)
        return self.values.pop(key, None) is not None

    def clear(self):
        self.called("clear")
        self.values.clear()

    def called(self, *call):
        self.calls.append(call)
        if self.broken:
            raise OSError("the disk is gone")


class Awaited(Plain):
    """The same as coroutine functions."""

    async def get(self, key, default=None):
        return super().get(key, default)

    async def set(self, key, value, ttl=None):
        return super().set(key, value, ttl)

    async def delete(self, key):
        return super().delete(key)

    async def clear(self):
        return super().clear()


class Async:
    """The asynchronous cache as if it were not: each call runs to its end in one loop."""

    def __init__(self, *args, **kwargs):
        self.cache = AsyncMultiLevelCache(*args, **kwargs)
        self.loop = asyncio.new_event_loop()

    def __getattr__(self, name):
        member = getattr(self.cache, name)
        if name in ("get", "set", "delete", "clear", "get_or_compute", "close"):
            return lambda *args, **kwargs: self.loop.run_until_complete(member(*args, **kwargs))
        return member


@pytest.fixture(params=[MultiLevelCache, Async], ids=["threads", "asyncio"])
def make_cache(request):
    caches = []

    def make(*args, **kwargs):
        caches.append(request.param(*args, **kwargs))
        return caches[-1]

    yield make
    for cache in caches:
        if isinstance(cache, Async):
            cache.loop.run_until_complete(cache.loop.shutdown_default_executor())
            cache.loop.close()


@pytest.fixture
def now():
    return [1000.0]


@pytest.fixture
def memory(now):
    return MemoryCache(ttl=300, clock=lambda: now[0])


def test_a_hit_in_a_lower_level_goes_to_the_faster_ones_with_its_remaining_time(make_cache, memory, now, tmp_path):
    disk = DiskCache(tmp_path, clock=lambda: now[0])
    cache = make_cache([memory, disk])
    disk.set("a", 1, 40)
    now[0] += 15
    assert cache.get("a") == 1
    assert memory.lookup("a") == (1, 25.0)
    assert cache.get("a") == 1
    levels = cache.stats().levels
    assert (levels["memory"].hits, levels["memory"].misses, levels["disk"].hits) == (1, 1, 1)
    now[0] += 25
    assert cache.get("a", "gone") == "gone"
    assert (cache.stats().hits, cache.stats().misses) == (2, 1)
    assert cache.stats().hit_rate == pytest.approx(2 / 3)


def test_a_faster_level_keeps_nothing_longer_than_it_would_by_itself(make_cache, memory, now, tmp_path):
    disk = DiskCache(tmp_path, clock=lambda: now[0])
    cache = make_cache([memory, disk])
    disk.set("a", 1, 3600)
    disk.set("b", 2, None)
    assert (cache.get("a"), cache.get("b")) == (1, 2)
    assert memory.lookup("a") == (1, 300.0)
    assert memory.lookup("b") == (2, 300.0)


def test_writes_go_to_all_levels_each_with_its_own_time_to_live(make_cache, memory, now, tmp_path):
    disk = DiskCache(tmp_path, ttl=3600, clock=lambda: now[0])
    cache = make_cache([memory, disk])
    cache.set("a", [1])
    assert (memory.lookup("a"), disk.lookup("a")) == (([1], 300.0), ([1], 3600.0))
    cache.set("a", [2], 10)
    assert (memory.lookup("a"), disk.lookup("a")) == (([2], 10.0), ([2], 10.0))
    cache.set("a", [3], None)
    assert (memory.lookup("a"), disk.lookup("a")) == (([3], None), ([3], None))
    assert cache.delete("a") is True
    assert cache.delete("a") is False
    assert (memory.lookup("a"), disk.lookup("a")) == (None, None)
    cache.set("a", 1)
    cache.clear()
    assert (len(memory), len(disk)) == (0, 0)


@pytest.mark.parametrize("kind", [Plain, Awaited])
def test_any_object_with_the_four_methods_is_a_level(memory, kind):
    lower = kind()
    cache = Async([memory, lower])
    lower.values["a"] = None
    assert cache.get("a", "nothing") is None  # None is a value
    assert memory.lookup("a") == (None, 300.0)  # it does not say how long it has left
    cache.set("b", 1)
    cache.set("c", 1, 5)
    assert ("set", "b", 1, None) in lower.calls
    assert ("set", "c", 1, 5) in lower.calls
    assert cache.delete("b") is True
    cache.clear()
    assert lower.values == {}
    cache.loop.run_until_complete(cache.loop.shutdown_default_executor())
    cache.loop.close()


def test_the_others_go_on_where_a_level_fails(make_cache, memory, caplog):
    broken = Plain()
    broken.broken = True
    last = Plain()
    cache = make_cache([broken, memory, last])
    cache.set("a", 1)
    assert cache.get("a") == 1
    assert last.values == {"a": 1}
    memory.clear()
    assert cache.get("a") == 1
    assert memory.get("a") == 1
    assert cache.delete("a") is True
    assert cache.get("a", "gone") == "gone"
    assert cache.get_or_compute("b", lambda: 2) == 2
    stats = cache.stats()
    assert stats.levels["plain"].errors == stats.errors >= 6
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage() for record in warnings] == [
        "cache level plain: set failed, the others go on: the disk is gone"  # once, not with every call
    ]


def test_a_value_that_one_level_cannot_keep_stays_in_the_others(make_cache, memory, tmp_path, caplog):
    cache = make_cache([memory, DiskCache(tmp_path)])
    cache.set("a", (1, 2))
    assert cache.get("a") == (1, 2)
    assert cache.stats().levels["disk"].errors == 1
    assert "(1, 2) would come back as [1, 2]" in caplog.text


def test_none_is_computed_once(make_cache, memory):
    cache = make_cache([memory, Plain()])
    calls = []
    assert cache.get_or_compute("a", lambda: calls.append(1)) is None
    assert cache.get_or_compute("a", lambda: calls.append(1)) is None
    assert calls == [1]


def test_what_the_function_raises_is_not_remembered(make_cache, memory):
    cache = make_cache([memory])
    with pytest.raises(ZeroDivisionError):
        cache.get_or_compute("a", lambda: 1 // 0)
    assert cache.get_or_compute("a", lambda: 5, ttl=7) == 5
    assert memory.lookup("a") == (5, 7.0)


def test_memory_pressure_takes_what_is_in_memory_only(make_cache, memory):
    lower = Plain()
    cache = make_cache([memory, lower])
    cache.set("a", 1)
    cache.relieve()
    assert len(memory) == 0
    assert cache.get("a") == 1


def test_the_monitor_gets_numbers(make_cache, memory):
    cache = make_cache([memory, Plain()])
    assert "hit_rate" not in cache.statistics()
    cache.set("a", 1)
    cache.get("a")
    numbers = cache.statistics()
    assert numbers["hit_rate"] == numbers["memory_hits"] == numbers["memory_entries"] == 1
    assert all(isinstance(value, int | float) and math.isfinite(value) for value in numbers.values())


def test_the_levels_that_are_made_by_default(make_cache, tmp_path):
    cache = make_cache(folder=tmp_path)
    memory, disk = cache.levels
    assert (memory.maxsize, memory.ttl, disk.maxsize, disk.ttl) == (1_000, 300, 10_000, 3_600)
    with pytest.raises(ValueError, match="either the levels, or where they are"):
        make_cache([memory], folder=tmp_path)
    with pytest.raises(ValueError, match="at least one level"):
        make_cache([])
    with pytest.raises(TypeError, match="no method 'get'"):
        make_cache([object()])
    cache.close()


def test_a_level_for_asyncio_in_a_cache_for_threads_is_an_error(memory):
    with pytest.raises(TypeError, match="use AsyncMultiLevelCache"):
        MultiLevelCache([memory, Awaited()])


def test_two_levels_of_a_kind_have_two_names():
    cache = MultiLevelCache([MemoryCache(), MemoryCache(), Plain()])
    assert list(cache.stats().levels) == ["memory", "memory2", "plain"]


def test_a_hundred_threads_compute_once(memory):
    cache = MultiLevelCache([memory])
    calls, go = [], threading.Event()
    results = []

    def compute():
        go.wait(10)
        calls.append(1)
        return object()

    threads = [threading.Thread(target=lambda: results.append(cache.get_or_compute("a", compute))) for _ in range(100)]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join()
    assert len(calls) == 1
    assert len(results) == 100
    assert len(set(map(id, results))) == 1


def test_a_hundred_tasks_compute_once_and_cancelled_ones_do_no_harm(memory):
    async def main():
        cache = AsyncMultiLevelCache([memory])
        calls, go = [], asyncio.Event()

        async def compute():
            calls.append(1)
            await go.wait()
            return "value"

        tasks = [asyncio.ensure_future(cache.get_or_compute("a", compute)) for _ in range(100)]
        for _ in range(5):
            await asyncio.sleep(0)
        for task in tasks[:50]:  # the first among them
            task.cancel()
        await asyncio.sleep(0)
        go.set()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert calls == [1]
        assert [type(result) for result in done[:50]] == [asyncio.CancelledError] * 50
        assert done[50:] == ["value"] * 50

    asyncio.run(main())


def test_the_work_is_cancelled_once_nobody_waits(memory):
    async def main():
        cache = AsyncMultiLevelCache([memory])
        ended = []

        async def compute():
            try:
                await asyncio.sleep(3600)
            finally:
                ended.append(1)

        tasks = [asyncio.ensure_future(cache.get_or_compute("a", compute)) for _ in range(3)]
        for _ in range(5):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)
        assert ended == [1]
        assert await cache.get_or_compute("a", lambda: 2) == 2

    asyncio.run(main())


def test_what_is_set_while_it_is_computed_wins(memory):
    lower = Plain()
    cache = MultiLevelCache([memory, lower])

    def compute():
        cache.set("a", "newer")
        return "computed"

    assert cache.get_or_compute("a", compute) == "computed"
    assert cache.get("a") == lower.values["a"] == "newer"

    def compute_and_delete():
        cache.delete("b")
        return "stale"

    assert cache.get_or_compute("b", compute_and_delete) == "stale"
    assert cache.get("b") is None


def test_what_is_deleted_while_it_is_read_does_not_come_back(memory):
    lower = Plain()
    cache = MultiLevelCache([memory, lower])
    lower.values["a"] = "old"
    found = lower.get

    def slow_get(key, default=None):
        value = found(key, default)
        cache.delete("a")  # by another thread, right after the slow level was read
        return value

    lower.get = slow_get
    assert cache.get("a") == "old"
    assert memory.get("a") is None


@pytest.mark.parametrize("make", [lambda memory: memory, lambda memory: MultiLevelCache([memory])])
def test_a_function_that_asks_for_itself_is_told(make, memory):
    cache = make(memory)

    def compute():
        return cache.get_or_compute("a", compute)

    with pytest.raises(CacheError, match="computing 'a' asks for 'a' itself"):
        cache.get_or_compute("a", compute)


calls = []


def plain_area(width, height=1):
    """Its own words."""
    calls.append((width, height))
    return [width * height]


def test_functions_are_cached_by_their_arguments(memory, tmp_path):
    for cache in (memory, MultiLevelCache([memory, DiskCache(tmp_path)])):
        calls.clear()
        area = cached(cache, ttl=9)(plain_area)
        assert [area(2), area(2), area(2, height=3), area(3)] == [[2], [2], [6], [3]]
        assert calls == [(2, 1), (2, 3), (3, 1)]
        assert area.forget(2) is True
        assert area(2) == [2]
        assert len(calls) == 4
        assert area.__doc__ == "Its own words."


def test_coroutine_functions_are_cached_too(memory):
    calls = []

    @cached(memory)
    async def double(number):
        calls.append(number)
        return 2 * number

    async def main():
        assert await asyncio.gather(*(double(4) for _ in range(10))) == [8] * 10
        assert calls == [4]
        assert await double.forget(4) is True
        assert await double(4) == 8

    asyncio.run(main())
    assert calls == [4, 4]


def test_arguments_of_which_no_key_can_be_made_are_told(memory, tmp_path):
    with pytest.raises(CacheError, match="give cached\\(\\) a key="):
        cached(DiskCache(tmp_path))(plain_area)(object())
    with pytest.raises(CacheError, match="other functions have this name, too"):
        cached(DiskCache(tmp_path))(lambda: 1)
    with pytest.raises(CacheError, match="would come back as"):
        cached(DiskCache(tmp_path))(plain_area)({1: 2})

    @cached(DiskCache(tmp_path), key=lambda thing: f"size {thing!r}")
    def other_size(thing):
        return 2

    assert other_size(1) == 2
    with pytest.raises(TypeError, match="use MultiLevelCache"):
        cached(AsyncMultiLevelCache([memory]))(len)


def test_functions_that_ask_for_one_another_are_told(memory):
    cache = MultiLevelCache([memory])

    def one():
        return cache.get_or_compute("two", two)

    def two():
        return cache.get_or_compute("one", one)

    with pytest.raises(CacheError, match="computing 'one' asks for 'one' itself"):
        cache.get_or_compute("one", one)
    both, errors = threading.Barrier(2), []

    def crossed(mine, other):
        def compute():
            both.wait(20)
            return cache.get_or_compute(other, lambda: 1)

        try:
            cache.get_or_compute(mine, compute)
        except CacheError as error:
            errors.append(str(error))

    threads = [threading.Thread(target=crossed, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert errors
    assert "asks for" in errors[0]


def test_tasks_that_ask_for_one_another_are_told(memory):
    cache = AsyncMultiLevelCache([memory])

    async def one():
        return await cache.get_or_compute("two", two)

    async def two():
        return await cache.get_or_compute("one", one)

    async def gathered():
        return await asyncio.gather(cache.get_or_compute("three", gathered))

    for key, function in (("one", one), ("three", gathered)):
        with pytest.raises(CacheError, match=f"computing '{key}' asks for '{key}' itself"):
            asyncio.run(asyncio.wait_for(cache.get_or_compute(key, function), 20))


def test_nested_keys_are_computed(make_cache, memory):
    cache = MultiLevelCache([memory])
    assert cache.get_or_compute("a", lambda: cache.get_or_compute("b", lambda: 1) + 1) == 2
    assert cache.get("b") == 1


def test_callers_who_leave_while_they_claim_leave_no_claim_behind(tmp_path):
    async def main():
        disk = DiskCache(tmp_path)
        cache = AsyncMultiLevelCache([disk])
        for number in range(20):
            task = asyncio.ensure_future(cache.get_or_compute(str(number), lambda: 1))
            for _ in range(number):
                await asyncio.sleep(0)
            await asyncio.sleep(number / 10_000)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for number in range(20):
            assert await asyncio.wait_for(cache.get_or_compute(str(number), lambda: 2), 20) in (1, 2)

    asyncio.run(main())


def test_a_loop_that_ends_in_the_midst_leaves_no_claim_behind(tmp_path):
    cache = AsyncMultiLevelCache([DiskCache(tmp_path)])

    async def for_ever():
        await asyncio.sleep(3600)

    loop = asyncio.new_event_loop()
    task = loop.create_task(cache.get_or_compute("a", for_ever))
    loop.run_until_complete(asyncio.sleep(0.05))
    loop.run_until_complete(loop.shutdown_default_executor())
    task._log_destroy_pending = False
    for other in asyncio.all_tasks(loop):
        other._log_destroy_pending = False
    del other, task
    loop.close()
    assert asyncio.run(asyncio.wait_for(cache.get_or_compute("a", lambda: 1), 20)) == 1


def test_two_event_loops_compute_once_each(memory):
    cache, calls = AsyncMultiLevelCache([memory]), []

    async def compute():
        calls.append(1)
        await asyncio.sleep(0.05)
        return 1

    async def ask():
        await asyncio.gather(*(cache.get_or_compute("a", compute) for _ in range(5)))

    threads = [threading.Thread(target=lambda: asyncio.run(ask())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) in (1, 2)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_process_that_was_forked_waits_for_no_thread_of_its_parent(tmp_path):
    cache = MultiLevelCache([MemoryCache(), DiskCache(tmp_path / "cache")])
    begun, go = threading.Event(), threading.Event()

    def compute():
        begun.set()
        assert go.wait(20)
        return 1

    thread = threading.Thread(target=cache.get_or_compute, args=("a", compute))
    thread.start()
    assert begun.wait(20)
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        cache.set("b", 2)
        os._exit(cache.get("b"))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2
    go.set()
    thread.join()
    assert cache.get("a") == 1


def test_a_level_that_cannot_keep_a_value_keeps_no_older_one(make_cache, memory, tmp_path):
    cache = make_cache([memory, DiskCache(tmp_path)])
    cache.set("a", "old")
    cache.set("a", ("new",))
    memory.clear()
    assert cache.get("a") is None


def test_wrong_arguments_are_errors_and_no_warnings(make_cache, memory):
    cache = make_cache([memory])
    for ttl in (0, -1, -1.0):
        with pytest.raises(ValueError, match="ttl is"):
            cache.set("a", 1, ttl)
        with pytest.raises(ValueError, match="ttl is"):
            cache.get_or_compute("a", lambda: 1, ttl)
    with pytest.raises(TypeError, match="unhashable"):
        cache.set([1], 1)


def test_a_coroutine_in_a_cache_for_threads_is_told(memory):
    async def fetch():
        return 1

    with pytest.raises(TypeError, match="use a cache for asyncio"):
        memory.get_or_compute("a", lambda: fetch())


def test_what_cannot_be_kept_is_returned_all_the_same(tmp_path, caplog):
    assert DiskCache(tmp_path).get_or_compute("a", lambda: (1, 2)) == (1, 2)
    assert "the value computed for 'a' could not be kept" in caplog.text


def test_what_is_changed_while_a_task_computes_wins(memory, tmp_path):
    async def main(cache):
        @cached(cache, key=lambda: "a")
        async def compute():
            cache.set("a", "newer")
            return "computed"

        assert await compute() == "computed"
        assert cache.get("a") == "newer"

    for cache in (memory, DiskCache(tmp_path / "one"), MultiLevelCache(folder=tmp_path / "two")):
        asyncio.run(main(cache))


def test_two_levels_whose_names_end_in_digits(make_cache):
    class L2Cache(Plain):
        pass

    assert list(make_cache([L2Cache(), L2Cache(), L2Cache()]).stats().levels) == ["l2", "l22", "l23"]


def test_a_partial_is_a_function_with_arguments(memory, tmp_path):
    """Two of them are two functions, also where only text tells them apart."""
    calls = []
    hexadecimal, octal = (cached(memory)(functools.partial(_to_int, calls, base=base)) for base in (16, 8))
    assert [hexadecimal("10"), hexadecimal("10"), octal("10")] == [16, 16, 8]
    assert len(calls) == 2
    whole = [cached(DiskCache(tmp_path))(functools.partial(int, base=base)) for base in (16, 8)]
    assert [one("10") for one in whole] == [16, 8]


def test_an_object_that_can_be_called_needs_a_key_on_disk(memory, tmp_path):
    """It has no name; in memory the object itself is the key."""

    class Doubles:
        def __call__(self, value):
            return 2 * value

    assert cached(memory)(Doubles())(2) == 4
    with pytest.raises(CacheError, match=r"no name .*give cached\(\) a key="):
        cached(DiskCache(tmp_path))(Doubles())
    assert cached(DiskCache(tmp_path), key=str)(Doubles())(3) == 6


def _to_int(calls, text, base):
    calls.append(text)
    return int(text, base)


def test_a_level_that_cannot_free_memory_does_not_keep_the_others_from_it():
    class Failing(Plain):
        def free_memory(self):
            raise RuntimeError("not now")

    memory = MemoryCache()
    cache = MultiLevelCache([Failing(), memory])
    cache.set("a", 1)
    cache.free_memory()
    assert len(memory) == 0
    assert cache.stats().errors == 1
