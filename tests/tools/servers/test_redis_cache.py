"""The Redis level on a real server, for threads and for tasks: one contract for both."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
import threading
import uuid

import pytest

from pytest_perfguard import AsyncRedisCache, CacheValueError, DiskCache, MemoryCache, MultiLevelCache, RedisCache
from tests.tools.servers.conftest import Proxy


class Async:
    """The asynchronous cache as if it were not: each call runs to its end in one loop."""

    def __init__(self, *args, **kwargs):
        self.cache = AsyncRedisCache(*args, **kwargs)
        self.loop = asyncio.new_event_loop()

    def __getattr__(self, name):
        member = getattr(self.cache, name)
        if name in ("get", "set", "delete", "clear", "lookup", "lease", "get_or_compute", "touch", "close"):
            return lambda *args, **kwargs: self.loop.run_until_complete(member(*args, **kwargs))
        return member


@pytest.fixture(params=[RedisCache, Async], ids=["threads", "asyncio"])
def make_cache(request, redis_url):
    caches = []
    prefix = f"perfguard-test:{uuid.uuid4()}:"

    def make(*, url=redis_url, prefix=prefix, **kwargs):
        caches.append(request.param(url, prefix=prefix, **kwargs))
        return caches[-1]

    yield make
    for cache in caches:
        cache.clear()
        cache.close()
        if isinstance(cache, Async):
            cache.loop.close()


def test_what_is_set_is_there_for_its_time(make_cache):
    cache = make_cache()
    cache.set("a", {"x": [1, None]})
    cache.set("b", 0, None)
    cache.set("c", 3, 20)
    assert cache.get("a") == {"x": [1, None]}
    assert cache.lookup("b") == (0, None)
    assert 19 < cache.lookup("c").ttl <= 20
    assert 3590 < cache.lookup("a").ttl <= 3600
    assert cache.delete("a") is True
    assert cache.delete("a") is False
    assert cache.get("a", "gone") == "gone"
    stats = cache.stats()
    assert (stats.hits, stats.misses, stats.errors) == (4, 1, 0)


def test_clear_removes_what_begins_with_the_prefix_and_nothing_else(make_cache):
    cache = make_cache(prefix="perfguard-test:[a-z]*?\\:")
    other = make_cache(prefix="perfguard-test:aXY:")
    other.set("x", 1)
    for number in range(1100):
        cache.set(str(number), number)
    cache.clear()
    assert cache.get("1") is None
    assert cache.get("1099") is None
    assert other.get("x") == 1


def test_an_entry_that_cannot_be_read_is_a_miss_and_is_removed(make_cache, caplog):
    cache, pickled = make_cache(), make_cache(serializer=pickle)
    pickled.set("a", {1, 2})
    assert pickled.get("a") == {1, 2}
    assert cache.get("a", "miss") == "miss"  # nothing is unpickled unless it was asked for
    assert cache.stats().corrupt == 1
    assert pickled.get("a") is None
    assert "cannot be read and is removed" in caplog.text
    with pytest.raises(CacheValueError):
        cache.set("a", {1, 2})
    with pytest.raises(CacheValueError, match="is not plain data"):
        cache.get(object())


def test_a_server_that_goes_away_is_a_miss_and_a_warning_until_it_is_back(make_cache, redis_url, caplog):
    proxy = Proxy("127.0.0.1", int(redis_url.rpartition(":")[2].partition("/")[0]))
    now = [0.0]
    cache = make_cache(url=f"redis://127.0.0.1:{proxy.port}/0", clock=lambda: now[0])
    cache.set("a", 1)
    proxy.stop()
    assert cache.get("a", "miss") == "miss"
    cache.set("b", 2)
    assert cache.delete("a") is False
    assert cache.get_or_compute("c", lambda: 3) == 3
    cache.clear()
    assert cache.stats().errors >= 5
    assert caplog.text.count("does not answer") == 1
    proxy.start()
    assert cache.get("a", "miss") == "miss"  # it is not asked so soon
    now[0] += 60
    assert cache.get("a") == 1
    assert caplog.text.count("answers again") == 1
    proxy.stop()


def test_only_one_may_compute_a_key(make_cache):
    one, other = make_cache(), make_cache(lease=5)
    release = one.lease("a")
    assert other.lease("a") is None
    given_back = release()
    if given_back is not None:
        one.loop.run_until_complete(given_back)
    assert other.lease("a") is not None
    one.set("a", 1)
    assert one.get("a") == 1  # the lock is not the value


def test_processes_compute_once(redis_url, tmp_path):
    prefix = f"perfguard-test:{uuid.uuid4()}:"
    code = f"""
import time
from pytest_perfguard import MemoryCache, MultiLevelCache, RedisCache
cache = MultiLevelCache([MemoryCache(), RedisCache({redis_url!r}, prefix={prefix!r})])
def compute():
    with open({str(tmp_path / "calls")!r}, "a") as calls:
        calls.write("x")
    time.sleep(0.3)
    return 7
assert cache.get_or_compute("a", compute) == 7
cache.close()
"""
    children = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    assert (tmp_path / "calls").read_text() == "x"
    with_memory = MultiLevelCache([MemoryCache(), RedisCache(redis_url, prefix=prefix)])
    assert with_memory.get("a") == 7
    with_memory.clear()
    with_memory.close()


def test_a_password_is_not_shown():
    assert "secret" not in repr(RedisCache("redis://user:secret@example.invalid:6379/0"))


def test_a_key_may_be_called_anything(make_cache):
    cache = make_cache()
    cache.set("job:lock", 1, None)
    cache.set("c:job", 2, None)
    cache.set("\udc80", 3)
    assert cache.get_or_compute("job", lambda: 4) == 4
    assert [cache.get(key) for key in ("job:lock", "c:job", "\udc80")] == [1, 2, 3]


def test_one_key_of_another_kind_does_not_take_the_others_along(make_cache, redis_url, caplog):
    import redis

    cache = make_cache()
    inner = cache.cache if isinstance(cache, Async) else cache
    with redis.Redis.from_url(redis_url) as client:
        client.lpush(inner._name("list"), "x")
    assert cache.get("list", "miss") == "miss"
    assert "refuses" in caplog.text
    cache.set("a", 1)
    assert cache.get("a") == 1


def test_an_entry_that_has_expired_is_none(make_cache):
    cache = make_cache()
    cache.set("a", 1, 0.001)
    import time

    time.sleep(0.01)
    assert cache.lookup("a") is None
    cache.set("b", 1, 1e300)
    assert cache.lookup("b") == (1, None)


def test_where_the_server_is_away_the_disk_says_who_computes(tmp_path):
    away = RedisCache("redis://127.0.0.1:1/0")
    one, other = (MultiLevelCache([MemoryCache(), DiskCache(tmp_path), away]) for _ in range(2))
    calls, begun = [], threading.Event()

    def compute():
        begun.set()
        calls.append(1)
        threading.Event().wait(0.1)
        return 1

    thread = threading.Thread(target=one.get_or_compute, args=("a", compute))
    thread.start()
    assert begun.wait(20)
    assert other.get_or_compute("a", compute) == 1
    thread.join()
    assert calls == [1]


def test_a_client_that_decodes_is_refused(redis_url):
    import redis

    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        with pytest.raises(ValueError, match="decode_responses=False"):
            RedisCache(client=client)
    with redis.Redis.from_url(redis_url) as client:
        cache = RedisCache(client=client, prefix=f"perfguard-test:{uuid.uuid4()}:")
        cache.set("a", 1)
        assert cache.get("a") == 1
        cache.clear()


def test_each_event_loop_has_a_client_of_its_own(redis_url):
    cache = AsyncRedisCache(redis_url, prefix=f"perfguard-test:{uuid.uuid4()}:")

    async def use():
        await cache.set("a", 1)
        assert await cache.get("a") == 1
        await cache.clear()
        await cache.close()

    asyncio.run(use())
    asyncio.run(use())
    assert len(cache._clients) == 0


def test_a_key_gets_a_new_time_to_live(make_cache):
    cache = make_cache()
    assert not cache.touch("a", 5)
    cache.set("a", 1, ttl=1000)
    assert cache.touch("a", 5)
    assert 0 < cache.lookup("a").ttl <= 5
    for _ in range(2):  # the second time it has no limit that could be removed
        assert cache.touch("a", None)
        assert cache.lookup("a").ttl is None
    with pytest.raises(ValueError, match="ttl is 0"):
        cache.touch("a", 0)
