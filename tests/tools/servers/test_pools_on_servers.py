"""Pools on PostgreSQL and Redis: load, connections that the server kills, a server that goes away and comes back."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time

import pytest

from pytest_perfguard import PoolTimeout
from pytest_perfguard.tools.pools.drivers import async_psycopg_pool, psycopg_pool, redis_pool
from tests.tools.programs import run_program

LONG = 30


def eventually(holds):
    end = time.monotonic() + LONG
    while not holds():
        assert time.monotonic() < end, "the condition never held"
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
    """While it is away, errors give the reason; afterwards the same pool goes on."""
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


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_children_have_sessions_of_their_own(postgresql):
    """A session that parent and child share answers the wrong one."""
    program = """
    import os, signal, sys, threading
    from pytest_perfguard.tools.pools.drivers import psycopg_pool
    pool = psycopg_pool(sys.argv[1], min_size=2, max_size=4, timeout=30)
    pool.wait()
    def pid(connection):
        return connection.execute("select pg_backend_pid()").fetchone()[0]
    with pool.connection() as first, pool.connection() as second:
        mine = {pid(first), pid(second)}
    def busy():
        while True:
            with pool.connection() as connection:
                mine.add(pid(connection))
    for _ in range(3):
        threading.Thread(target=busy, daemon=True).start()
    bad = 0
    for _ in range(15):
        with pool.connection() as lent:
            child = os.fork()
            if child == 0:
                signal.alarm(20)
                before = set(mine)
                with pool.connection() as connection:
                    ok = pid(connection) not in before
                pool.release(lent)
                pool.close()
                os._exit(0 if ok else 1)
            bad += os.waitpid(child, 0)[1] != 0
            assert pid(lent) in mine or mine.add(pid(lent)) is None
    print(bad)
    os._exit(0)
    """
    assert run_program(program, named(postgresql, "perfguard_fork"), timeout=120) == "0"
    eventually(lambda: not backends(postgresql, "perfguard_fork"))


def test_a_borrower_that_waits_out_an_outage_is_served_within_a_second(proxy_to_postgresql):
    name = "perfguard_outage"
    with psycopg_pool(named(proxy_to_postgresql.conninfo, name), min_size=1, max_size=2, timeout=LONG) as pool:
        pool.wait()
        proxy_to_postgresql.stop()
        with pytest.raises(PoolTimeout):
            pool.acquire(timeout=6)  # many failures: the pause has grown to some seconds
        served = []

        def borrow():
            with pool.connection() as connection:
                connection.execute("select 1")
                served.append(time.monotonic())

        thread = threading.Thread(target=borrow)
        thread.start()
        time.sleep(0.5)
        begun = time.monotonic()
        proxy_to_postgresql.start()
        thread.join(LONG)
        assert served[0] - begun < 2.5  # due after 0.75 s, on a busy machine


def test_sessions_are_configured_and_idle_ones_checked(postgresql):
    name = "perfguard_configure"

    def configure(connection):
        connection.execute("set application_name = 'perfguard_configured'")
        connection.commit()

    with psycopg_pool(named(postgresql, name), configure=configure, min_size=2, max_size=2, timeout=LONG) as pool:
        pool.wait()
        assert len(backends(postgresql, "perfguard_configured")) == 2
        kill(postgresql, backends(postgresql, "perfguard_configured"))
        eventually(lambda: not backends(postgresql, "perfguard_configured"))
        pool.check()
        pool.wait()
        eventually(lambda: len(backends(postgresql, "perfguard_configured")) == 2)
        assert pool.stats().acquisitions == 0


@pytest.mark.filterwarnings("ignore:.*deleted while still open:ResourceWarning")
def test_an_asynchronous_pool_goes_on_in_a_second_loop(postgresql):
    pool = async_psycopg_pool(postgresql, min_size=1, max_size=1, timeout=LONG)

    async def leave():
        connection = await pool.acquire()
        await connection.execute("select 1")

    async def use():
        async with pool.connection() as connection:
            return await (await connection.execute("select 1")).fetchone()

    asyncio.run(leave())
    assert asyncio.run(use()) == (1,)
    asyncio.run(pool.close())
    gc.collect()  # psycopg warns of the session that its loop has left open
