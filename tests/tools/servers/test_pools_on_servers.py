"""Pools on PostgreSQL and Redis: load, connections that the server kills, a server that goes away and comes back."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from pytest_perfguard import PoolTimeout
from pytest_perfguard.tools.pools.drivers import async_psycopg_pool, psycopg_pool, redis_pool

LONG = 30


def eventually(holds):
    end = time.monotonic() + LONG
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def named(conninfo, name):
    return f"{conninfo} application_name={name}"


def backends(postgresql, name):
    """Process ids of the server's sessions of this name."""
    import psycopg

    with psycopg.connect(postgresql) as connection:
        rows = connection.execute("select pid from pg_stat_activity where application_name = %s", [name]).fetchall()
    return {pid for (pid,) in rows}


def kill(postgresql, pids):
    import psycopg

    with psycopg.connect(postgresql) as connection:
        for pid in pids:
            connection.execute("select pg_terminate_backend(%s)", [pid])


def test_queries_under_load_while_the_server_kills_connections(postgresql):
    """Only the query that was hit fails; every borrower after it gets a connection that works."""
    import psycopg

    name = "perfguard_load"
    answered, hit, wrong = [], [], []
    with psycopg_pool(named(postgresql, name), max_size=5, timeout=LONG) as pool:

        def work(number):
            for turn in range(20):
                try:
                    with pool.connection() as connection:
                        (answer,) = connection.execute("select %s::int + 1", [number + turn]).fetchone()
                    (answered if answer == number + turn + 1 else wrong).append(answer)  # after its commit
                except psycopg.OperationalError as error:
                    hit.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            time.sleep(0.02)
            kill(postgresql, backends(postgresql, name))
        for thread in threads:
            thread.join(LONG)
        assert not any(thread.is_alive() for thread in threads)
        assert (len(answered) + len(hit), wrong) == (16 * 20, [])
        assert len(hit) <= 15
        stats = pool.stats()
        assert (stats.in_use, stats.waiting) == (0, 0)
        assert len(backends(postgresql, name)) <= 5
    eventually(lambda: not backends(postgresql, name))  # nothing leaked


def test_a_killed_idle_connection_is_replaced_before_it_is_lent(postgresql):
    name = "perfguard_idle"
    with psycopg_pool(named(postgresql, name), min_size=2, max_size=2, timeout=LONG) as pool:
        eventually(lambda: pool.stats().available == 2)
        killed = backends(postgresql, name)
        kill(postgresql, killed)
        eventually(lambda: not killed & backends(postgresql, name))
        for _ in range(5):
            with pool.connection() as connection:
                assert connection.execute("select 1").fetchone() == (1,)
        assert pool.stats().destroyed >= 1  # the other one may still be idle


def test_a_block_without_an_error_is_committed_and_one_with_an_error_rolled_back(postgresql):
    with psycopg_pool(postgresql, min_size=1, max_size=1, timeout=LONG) as pool:
        with pool.connection() as connection:
            connection.execute("create temporary table t (a int)")
            connection.execute("insert into t values (1)")
        with pytest.raises(KeyError), pool.connection() as connection:
            connection.execute("insert into t values (2)")
            raise KeyError
        connection = pool.acquire()
        connection.execute("insert into t values (3)")
        pool.release(connection)
        with pool.connection() as connection:
            assert connection.execute("select a from t").fetchall() == [(1,)]


def test_asyncio_commits_and_rolls_back_in_the_same_way(postgresql):
    async def main():
        async with async_psycopg_pool(postgresql, min_size=1, max_size=1, timeout=LONG) as pool:
            async with pool.connection() as connection:
                await connection.execute("create temporary table t (a int)")
                await connection.execute("insert into t values (1)")
            with pytest.raises(KeyError):
                async with pool.connection() as connection:
                    await connection.execute("insert into t values (2)")
                    raise KeyError
            async with pool.connection() as connection:
                return await (await connection.execute("select a from t")).fetchall()

    assert asyncio.run(main()) == [(1,)]


def test_a_session_that_is_ended_before_its_commit_is_an_error(postgresql):
    import psycopg

    name = "perfguard_commit"
    with psycopg_pool(named(postgresql, name), min_size=1, max_size=1, timeout=LONG) as pool:
        with pytest.raises(psycopg.OperationalError), pool.connection() as connection:
            connection.execute("create temporary table t (a int)")
            kill(postgresql, backends(postgresql, name))
        with pool.connection() as connection:
            assert connection.execute("select 1").fetchone() == (1,)


def test_a_server_that_goes_away_and_comes_back(proxy_to_postgresql, postgresql):
    """While it is away borrowers are told why; afterwards the same pool goes on."""
    name = "perfguard_away"
    with psycopg_pool(named(proxy_to_postgresql.conninfo, name), min_size=1, max_size=3, timeout=LONG) as pool:
        with pool.connection() as connection:
            connection.execute("select 1")
        proxy_to_postgresql.stop()
        with pytest.raises(PoolTimeout, match="the last attempt to connect failed: OperationalError"):
            pool.acquire(timeout=1)
        assert pool.stats().healthy == 0
        served = []
        waiting = threading.Thread(target=lambda: served.append(pool.acquire(LONG)))
        waiting.start()
        proxy_to_postgresql.start()
        waiting.join(LONG)
        assert served[0].execute("select 1").fetchone() == (1,)
        pool.release(served[0])
        assert pool.stats().healthy == 1
    eventually(lambda: not backends(postgresql, name))


def test_asyncio_under_load_while_the_server_kills_connections(postgresql):
    import psycopg

    name = "perfguard_async"

    async def main():
        hit = []
        async with async_psycopg_pool(named(postgresql, name), max_size=5, timeout=LONG) as pool:

            async def work(number):
                try:
                    async with pool.connection() as connection:
                        cursor = await connection.execute("select %s::int", [number])
                        assert await cursor.fetchone() == (number,)
                except psycopg.OperationalError as error:
                    hit.append(error)

            tasks = [asyncio.ensure_future(work(number)) for number in range(300)]
            await asyncio.sleep(0.05)
            await asyncio.to_thread(lambda: kill(postgresql, backends(postgresql, name)))
            for task in tasks[-50:]:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            stats = pool.stats()
        return hit, done, stats

    hit, done, stats = asyncio.run(main())
    assert len(hit) <= 5
    assert not [error for error in done if error is not None and not isinstance(error, asyncio.CancelledError)]
    assert (stats.in_use, stats.waiting) == (0, 0)
    eventually(lambda: not backends(postgresql, name))


def test_redis_under_load_while_its_clients_are_killed(redis_url):
    import redis

    admin = redis.Redis.from_url(redis_url)
    key = "perfguard:counter"
    admin.delete(key)
    hit = []
    with redis_pool(redis_url, max_size=4, timeout=LONG) as pool:

        def work():
            for _ in range(50):
                try:
                    with pool.connection() as client:
                        client.incr(key)
                except redis.ConnectionError as error:
                    hit.append(error)

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        time.sleep(0.02)
        admin.client_kill_filter(_type="normal", skipme=True)
        for thread in threads:
            thread.join(LONG)
        assert int(admin.get(key)) + len(hit) >= 400
        assert len(hit) <= 4
        assert pool.stats().in_use == 0
    admin.delete(key)
