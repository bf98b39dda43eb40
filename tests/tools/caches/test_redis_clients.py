"""Clients of redis-py that the user gives to a cache. No server is needed."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from pytest_perfguard import AsyncRedisCache, RedisCache

redis = pytest.importorskip("redis", reason="needs redis-py")


def settings_of(client):
    pool = client.connection_pool
    return (
        type(pool),
        pool.connection_class,
        pool.max_connections,
        pool.connection_kwargs["db"],
        pool.connection_kwargs["host"],
    )


@pytest.mark.parametrize(
    "pool",
    [redis.ConnectionPool(host="h", db=3, max_connections=7), redis.BlockingConnectionPool(host="h", db=3, timeout=1)],
)
def test_a_forked_child_has_a_copy_of_the_given_client(pool):
    client = redis.Redis(connection_pool=pool)
    cache = RedisCache(client=client)
    assert cache._client() is client
    cache.begin_anew()  # as in a child
    copy = cache._client()
    assert copy is cache._client() is not client
    assert copy.connection_pool is not pool
    assert settings_of(copy) == settings_of(client)
    assert getattr(copy.connection_pool, "timeout", None) == getattr(pool, "timeout", None)


def test_a_client_of_another_kind_is_used_as_it_is():
    class Other(redis.Redis):
        pass

    client = Other()
    cache = RedisCache(client=client)
    cache.begin_anew()
    assert cache._client() is client


def test_a_given_asynchronous_client_belongs_to_its_first_event_loop():
    client = redis.asyncio.Redis(host="h", db=3)
    cache = AsyncRedisCache(client=client)

    async def used():
        assert cache._client() is cache._client()
        return cache._client()

    assert asyncio.run(used()) is client
    second = asyncio.run(used())
    assert second is not client
    assert settings_of(second) == settings_of(client)


def test_a_forked_child_has_a_copy_of_the_given_asynchronous_client():
    client = redis.asyncio.Redis(host="h", db=3)
    cache = AsyncRedisCache(client=client)

    async def used():
        return cache._client()

    cache.begin_anew()
    assert asyncio.run(used()) is not client


def refusing(*_arguments):
    raise redis.ResponseError("no permission")


def test_a_refused_request_for_several_keys_is_a_miss_for_each():
    client = SimpleNamespace(mget=refusing, get_encoder=lambda: SimpleNamespace(decode_responses=False))
    cache = RedisCache(client=client)
    assert cache.multi_get(["a", "b"], 7) == [7, 7]
    assert cache.stats().misses == 2


def test_only_whole_numbers_are_added_on_the_server():
    cache = RedisCache(client=redis.Redis())
    with pytest.raises(TypeError, match=r"delta is 1\.5: the server adds whole numbers"):
        cache.increment("n", 1.5)


def test_a_client_of_the_other_kind_is_refused():
    with pytest.raises(TypeError, match="is a client for asyncio: use AsyncRedisCache"):
        RedisCache(client=redis.asyncio.Redis())
    with pytest.raises(TypeError, match="is a client for threads: use RedisCache"):
        AsyncRedisCache(client=redis.Redis())


@pytest.mark.parametrize("kind", [RedisCache, AsyncRedisCache])
def test_a_wrong_place_is_reported_at_once(kind):
    for url in ("http://127.0.0.1", "", "redis://127.0.0.1:99999"):
        with pytest.raises(ValueError, match="(?i)scheme|port"):
            kind(url)
    with pytest.raises(ValueError, match="timeout is 0"):
        kind("redis://127.0.0.1", timeout=0)
