"""Redis servers that refuse: out of memory, read-only, with a password. Each is started here and ends with its test."""

from __future__ import annotations

import asyncio
import logging
import pickle
import shutil
import socket
import subprocess

import pytest

from pytest_perfguard import (
    AsyncMultiLevelCache,
    AsyncRedisCache,
    CacheValueError,
    MemoryCache,
    MultiLevelCache,
    RedisCache,
)

redis = pytest.importorskip("redis", reason="needs redis-py")
pytestmark = pytest.mark.skipif(shutil.which("redis-server") is None, reason="needs the program redis-server")


@pytest.fixture
def start(tmp_path):
    servers = []

    def start(*options):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [
            "redis-server",
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(tmp_path),
            *options,
        ]
        servers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        with redis.Redis(port=port) as client:
            for _ in range(500):
                try:
                    client.ping()
                    break
                except redis.AuthenticationError:
                    break
                except redis.ConnectionError:
                    assert servers[-1].poll() is None
                    import time

                    time.sleep(0.02)
        return f"redis://127.0.0.1:{port}/0"

    yield start
    for server in servers:
        server.kill()
        server.wait()


def refusals(caplog):
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno == logging.WARNING and "refuses" in record.msg
    ]


def test_a_server_without_memory_keeps_no_older_value(start, caplog):
    cache = RedisCache(start("--maxmemory", "3mb", "--maxmemory-policy", "noeviction"), timeout=10)
    cache.set("a", "old")
    for number in range(40):
        cache.set(f"filling {number}", "x" * 100_000)
    cache.set("a", "x" * 100_000)
    assert cache.get("a") is None
    assert cache.stats().refusals > 5
    assert len(refusals(caplog)) == 1  # once a minute, not with every call
    levels = MultiLevelCache([memory := MemoryCache(), cache])
    levels.set("b", "x" * 100_000)
    memory.clear()
    assert levels.get("b") is None
    assert cache.get_or_compute("c", lambda: "x" * 100_000) == "x" * 100_000
    cache.clear()
    cache.set("a", "new")
    assert cache.get("a") == "new"
    cache.close()


def test_a_server_without_memory_and_asyncio(start, caplog):
    url = start("--maxmemory", "3mb", "--maxmemory-policy", "noeviction")

    async def main():
        cache = AsyncRedisCache(url, timeout=10)
        await cache.set("a", "old")
        await cache.multi_set([(f"filling {number}", "x" * 100_000) for number in range(40)])
        for number in range(40):
            await cache.set(f"more {number}", "x" * 100_000)
        await cache.set("a", "x" * 100_000)
        assert await cache.get("a") is None
        levels = AsyncMultiLevelCache([memory := MemoryCache(), cache])
        await levels.set("b", "x" * 100_000)
        memory.clear()
        assert await levels.get("b") is None
        await cache.close()

    asyncio.run(main())
    assert len(refusals(caplog)) == 1


def test_a_replica_that_is_read_only_is_a_miss_and_one_warning(start, caplog):
    url = start("--replicaof", "127.0.0.1", "1")
    cache = RedisCache(url, timeout=10)
    for number in range(5):
        cache.set("a", number)
        assert cache.get("a", "miss") == "miss"
        assert cache.delete("a") is False
        assert cache.add("a", 1) is False
        assert cache.increment("n") is None
    assert cache.get_or_compute("b", lambda: 2) == 2
    assert cache.multi_get(["a", "b"], "miss") == ["miss", "miss"]
    cache.clear()
    assert len(refusals(caplog)) == 1
    assert cache.stats().errors >= 15
    cache.close()


def test_a_server_that_wants_a_password_is_away(start, caplog):
    cache = RedisCache(start("--requirepass", "secret"))
    for _ in range(3):
        cache.set("a", 1)
        assert cache.get("a", "miss") == "miss"
    assert caplog.text.count("does not answer") + len(refusals(caplog)) == 1
    cache.close()


def test_what_a_serializer_refuses_is_the_documented_error(start):
    cache = RedisCache(start(), serializer=pickle)
    with pytest.raises(CacheValueError, match="the serializer cannot convert"):
        cache.set("a", lambda: 1)
    assert cache.get("a") is None
    with pytest.raises(CacheValueError, match="increment needs the default serializer"):
        cache.increment("n")
    cache.close()


def test_several_keys_go_in_one_request(start):
    cache = RedisCache(start(), prefix="p:")
    cache.multi_set([("a", 1), (("b", 2), {"x": None})], ttl=50)
    assert cache.multi_get(["a", ("b", 2), "c"], "miss") == [1, {"x": None}, "miss"]
    assert cache.multi_get([]) == []
    assert 40 < cache.lookup("a").ttl <= 50
    assert (cache.add("a", 5), cache.add("d", 5)) == (False, True)
    assert [cache.increment("n"), cache.increment("n", 4), cache.get("n")] == [1, 5, 5]
    assert 3590 < cache.lookup("n").ttl <= 3600
    assert (cache.stats().hits, cache.stats().misses) == (5, 1)
    cache.clear()
    assert cache.get("n") is None
    cache.close()


def test_a_second_event_loop_gets_a_client_of_its_own(start):
    """Also if the first loop ended without closing its client."""
    cache = AsyncRedisCache(start())

    async def use(number):
        await cache.set("a", number)
        return await cache.get("a")

    async def close():
        await cache.close()
        assert len(cache._clients) == 0

    async def first():
        value = await use(1)
        await cache._client().connection_pool.disconnect()
        return value

    assert [asyncio.run(first()), asyncio.run(first())] == [1, 1]
    asyncio.run(close())
