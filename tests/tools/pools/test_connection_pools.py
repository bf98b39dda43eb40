"""The connection pools on SQLite and on servers that the test makes up: lending, checking, replacing, closing."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import sqlite3
import threading
import time
import weakref
from functools import partial

import pytest

from pytest_perfguard import AsyncConnectionPool, ConnectionPool, NotLent, PoolClosed, PoolTimeout
from pytest_perfguard.tools.pools.drivers import dbapi_pool

#: Longer than anything here takes.
LONG = 30


class Server:
    """Accepts connections while it is up."""

    def __init__(self):
        self.up = True
        self.open = []
        self.made = 0

    def connect(self):
        if not self.up:
            raise ConnectionRefusedError("it is down")
        self.made += 1
        self.open.append(Connection(self))
        return self.open[-1]

    async def connect_async(self):
        await asyncio.sleep(0)
        return self.connect()

    def restart(self):
        """Every connection breaks."""
        for connection in self.open:
            connection.fine = False


class Connection:
    def __init__(self, server):
        self.server = server
        self.fine = True
        self.users = 0

    def check(self):
        return self.fine and self.server.up

    def close(self):
        with contextlib.suppress(ValueError):
            self.server.open.remove(self)


@pytest.fixture
def server():
    return Server()


def eventually(holds):
    """Wait for what other threads do."""
    end = time.monotonic() + LONG
    while not holds():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.001)


def threaded(server, **options):
    options = {"check": Connection.check, "timeout": LONG, "min_size": 0, "max_size": 4, **options}
    return ConnectionPool(server.connect, **options)


def asynchronous(server, **options):
    options = {"check": Connection.check, "timeout": LONG, "min_size": 0, "max_size": 4, **options}
    return AsyncConnectionPool(server.connect_async, **options)


def test_a_connection_is_used_again(server):
    with threaded(server) as pool:
        with pool.connection() as first:
            pass
        with pool.connection() as second:
            assert second is first
        stats = pool.stats()
        assert (stats.created, stats.acquisitions, stats.available, stats.in_use) == (1, 2, 1, 0)
    assert server.open == []


def test_the_minimum_is_there_before_the_first_request(server):
    with threaded(server, min_size=3) as pool:
        eventually(lambda: pool.stats().available == 3)
        assert pool.stats().healthy == 1
    assert pool.closed


def test_a_full_pool_names_the_borrowers_and_times_out(server):
    with threaded(server, max_size=1, name="db", trace=True) as pool, pool.connection():
        with pytest.raises(PoolTimeout) as caught:
            pool.acquire(timeout=0.01)
        assert str(caught.value) == (
            "db: no connection came free within 0.01 s: 1 of 1 are in use, 0 are being made, 1 others wait"
        ) or "0 others wait" in str(caught.value)
        (lent,) = pool.not_returned()
        assert any("test_a_full_pool" in line for line in lent.lines())
        assert pool.stats().timeouts == 1


def test_a_broken_connection_is_not_lent_and_is_replaced(server):
    with threaded(server) as pool:
        with pool.connection() as first:
            pass
        server.restart()
        with pool.connection() as second:
            assert second is not first
            assert second.fine
        eventually(lambda: first not in server.open)


def test_a_connection_is_checked_after_a_block_that_raised(server):
    with threaded(server) as pool:
        with pytest.raises(KeyError), pool.connection() as connection:
            raise KeyError
        assert pool.stats().available == 1
        with pytest.raises(KeyError), pool.connection() as connection:
            connection.fine = False
            raise KeyError
        eventually(lambda: connection not in server.open)


def test_a_reset_that_raises_makes_the_connection_broken(server):
    def reset(connection):
        raise OSError("gone")

    with threaded(server, reset=reset) as pool:
        connection = pool.acquire()
        pool.release(connection)
        eventually(lambda: connection not in server.open)
        with pytest.raises(NotLent):
            pool.release(connection)


def test_a_server_that_is_down_is_named_in_the_timeout_and_comes_back(server):
    server.up = False
    with threaded(server, name="db") as pool:
        with pytest.raises(PoolTimeout, match="the last attempt to connect failed: ConnectionRefusedError: it is down"):
            pool.acquire(timeout=0.05)
        assert pool.stats().healthy == 0
        server.up = True
        with pool.connection() as connection:
            assert connection.fine
        assert pool.stats().healthy == 1


def test_a_server_that_hangs_delays_no_borrower_beyond_its_time_limit():
    hanging, let_go = threading.Event(), threading.Event()

    def connect():
        hanging.set()
        let_go.wait(LONG)
        return sqlite3.connect(":memory:", check_same_thread=False)

    with ConnectionPool(connect, min_size=0, max_size=2) as pool:
        start = time.monotonic()
        with pytest.raises(PoolTimeout, match="1 are being made|2 are being made"):
            pool.acquire(timeout=0.05)
        assert time.monotonic() - start < LONG / 2
        assert hanging.is_set()
        let_go.set()
        with pool.connection(LONG):  # what was made meanwhile is not lost
            pass


def test_growth_does_not_hold_up_others(server):
    """A second connection is still being made when the first comes back: the waiting borrower gets the first."""
    slow = threading.Event()

    def connect():
        if server.made:
            slow.wait(LONG)
        return server.connect()

    with ConnectionPool(connect, min_size=0, max_size=2) as pool:
        first = pool.acquire(LONG)
        got = []
        thread = threading.Thread(target=lambda: got.append(pool.acquire(LONG)))
        thread.start()
        eventually(lambda: pool.stats().waiting == 1)
        pool.release(first)
        thread.join(LONG)
        assert got == [first]
        slow.set()


def test_idle_connections_are_checked_in_the_background(server):
    with threaded(server, min_size=2, check_interval=0.01) as pool:
        eventually(lambda: pool.stats().available == 2)
        broken = list(server.open)
        server.restart()
        eventually(lambda: pool.stats().available == 2 and not set(broken) & set(server.open))
        assert pool.stats().acquisitions == 0


def test_connections_do_not_grow_old(server):
    with threaded(server, min_size=1, max_lifetime=0.02) as pool:
        eventually(lambda: server.made >= 3)
        assert pool.stats().total <= 2


def test_idle_connections_beyond_the_minimum_are_closed(server):
    with threaded(server, min_size=1, max_idle=0.02) as pool:
        things = [pool.acquire() for _ in range(3)]
        for thing in things:
            pool.release(thing)
        eventually(lambda: pool.stats().total == 1)


def test_targets_share_the_load_and_one_that_is_down_is_left_out():
    servers = {name: Server() for name in "abc"}
    servers["b"].up = False
    targets = {name: server.connect for name, server in servers.items()}
    with ConnectionPool(targets=targets, min_size=0, max_size=6, timeout=LONG) as pool:
        things = [pool.acquire() for _ in range(6)]
        assert {name: len(server.open) for name, server in servers.items()} == {"a": 3, "b": 0, "c": 3}
        assert pool.stats().healthy == 2
        for thing in things:
            pool.release(thing)


def test_draining_waits_for_connections_in_use(server):
    pool = threaded(server)
    connection = pool.acquire()
    with pytest.raises(PoolTimeout, match="1 connections had not come back after 0.01 s"):
        pool.drain(0.01)
    with pytest.raises(PoolClosed):
        pool.acquire()
    threading.Timer(0.01, pool.release, [connection]).start()
    pool.drain(LONG)
    eventually(lambda: server.open == [])


def test_closing_wakes_waiters_and_leaves_no_thread(server):
    before = set(threading.enumerate())
    pool = threaded(server, max_size=1)
    connection = pool.acquire()
    caught = []

    def wait():
        try:
            pool.acquire()
        except PoolClosed as error:
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    eventually(lambda: pool.stats().waiting == 1)
    pool.close()
    thread.join(LONG)
    assert len(caught) == 1
    pool.release(connection)
    eventually(lambda: set(threading.enumerate()) <= before)


def test_a_forgotten_pool_ends_its_thread(server):
    before = set(threading.enumerate())
    pool = threaded(server)
    pool.release(pool.acquire())
    gone = weakref.ref(pool)
    eventually(lambda: len(set(threading.enumerate()) - before) <= 1)
    del pool
    gc.collect()
    eventually(lambda: gone() is None and set(threading.enumerate()) <= before)


def test_resizing_and_pressure(server):
    with threaded(server, max_size=1) as pool:
        first = pool.acquire()
        pool.resize(0, 2)
        second = pool.acquire()
        pool.release(first)
        pool.release(second)
        pool.shrink(1)
        eventually(lambda: len(server.open) == 1)
        with pytest.raises(ValueError, match="sizes"):
            pool.resize(3, 2)


def test_wrong_parameters_are_refused(server):
    with pytest.raises(ValueError, match="give either connect, or targets"):
        ConnectionPool()
    with pytest.raises(ValueError, match="give either connect, or targets"):
        ConnectionPool(server.connect, targets={"a": server.connect})
    with pytest.raises(ValueError, match="max_idle is 0: it must be more than 0 seconds"):
        ConnectionPool(server.connect, max_idle=0)
    with pytest.raises(TypeError, match="is a coroutine function: use AsyncConnectionPool"):
        ConnectionPool(server.connect_async)


def test_32_threads_on_a_server_that_keeps_breaking(server):
    """No borrower is lost, no connection is used by two, and all connections are closed in the end."""
    problems = []
    with threaded(server, max_size=4) as pool:

        def work():
            for turn in range(60):
                with pool.connection() as connection:
                    connection.users += 1
                    if connection.users != 1:
                        problems.append("lent twice")
                    connection.users -= 1
                if turn % 20 == 0:
                    server.restart()

        threads = [threading.Thread(target=work) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(4 * LONG)
        assert not any(thread.is_alive() for thread in threads)
        stats = pool.stats()
        assert (problems, stats.in_use, stats.waiting) == ([], 0, 0)
        assert stats.wait_max >= stats.wait_p95 >= stats.wait_p50 >= 0
        assert len(server.open) <= 8  # some are being closed
    eventually(lambda: server.open == [])


def test_1000_tasks_with_cancellations_and_a_server_that_breaks(server):
    async def main():
        problems = []
        async with asynchronous(server, max_size=10, min_size=2) as pool:

            async def work(seed):
                for _ in range(3):
                    async with pool.connection() as connection:
                        connection.users += 1
                        if connection.users != 1:
                            problems.append("lent twice")
                        try:
                            await asyncio.sleep(0)
                        finally:
                            connection.users -= 1

            tasks = [asyncio.ensure_future(work(seed)) for seed in range(1000)]
            await asyncio.sleep(0.005)
            server.restart()
            for task in tasks[::5]:
                task.cancel()
            done = await asyncio.gather(*tasks, return_exceptions=True)
            unexpected = [error for error in done if error and not isinstance(error, asyncio.CancelledError)]
            stats = pool.stats()
        return problems, unexpected, stats, len(asyncio.all_tasks())

    problems, unexpected, stats, tasks = asyncio.run(main())
    assert (problems, unexpected) == ([], [])
    assert (stats.in_use, stats.waiting) == (0, 0)
    assert stats.total <= 10
    assert tasks == 1
    assert server.open == []


def test_the_asynchronous_pool_times_out_checks_and_drains(server):
    async def main():
        async with asynchronous(server, max_size=1, name="db", trace=True) as pool:
            connection = await pool.acquire()
            with pytest.raises(PoolTimeout, match="db: no connection came free within 0.01 s"):
                await pool.acquire(timeout=0.01)
            (lent,) = pool.not_returned()
            assert any(" in main" in line for line in lent.lines())
            await pool.release(connection)
            with pytest.raises(NotLent):
                await pool.release(connection)
            server.restart()
            async with pool.connection() as other:
                assert other is not connection
                with pytest.raises(PoolTimeout, match="1 connections had not come back"):
                    await pool.drain(0.01)
                with pytest.raises(PoolClosed):
                    await pool.acquire()
        assert "closed>" in repr(pool)

    asyncio.run(main())
    assert server.open == []


def test_the_asynchronous_pool_looks_after_idle_connections(server):
    async def main():
        async with asynchronous(server, min_size=2, check_interval=0.01, max_lifetime=0.05) as pool:
            for _ in range(3000):
                await asyncio.sleep(0.001)
                if server.made == 2:
                    server.restart()
                if server.made >= 6 and pool.stats().available == 2:
                    return True
        return False

    assert asyncio.run(main())


def test_a_cancelled_borrower_loses_no_connection(server):
    async def main():
        async with asynchronous(server, max_size=1) as pool:
            connection = await pool.acquire()
            waiter = asyncio.ensure_future(pool.acquire())
            await asyncio.sleep(0)
            await pool.release(connection)  # the waiter is served
            waiter.cancel()  # and cancelled, before it could run
            with contextlib.suppress(asyncio.CancelledError):
                await pool.release(await waiter)
            assert await pool.acquire(timeout=LONG) is connection

    asyncio.run(main())


def test_sqlite_commits_a_block_without_an_error_and_rolls_back_everything_else(tmp_path):
    connect = partial(sqlite3.connect, tmp_path / "app.db", check_same_thread=False)
    with dbapi_pool(connect, max_size=1, min_size=1, timeout=LONG) as pool:
        with pool.connection() as connection:
            connection.execute("create table t (a)")
            connection.execute("insert into t values (1)")
        with pytest.raises(KeyError), pool.connection() as connection:
            connection.execute("insert into t values (2)")
            raise KeyError
        connection = pool.acquire()
        connection.execute("insert into t values (3)")
        pool.release(connection)
        with pool.connection() as connection:
            assert connection.execute("select a from t").fetchall() == [(1,)]
        with pool.connection() as connection:
            connection.close()
        with pool.connection() as connection:  # another one: the check failed
            assert connection.execute("select 1").fetchone() == (1,)


def test_a_commit_that_fails_is_raised_and_the_connection_is_checked(server):
    def commit(connection):
        connection.fine = False
        raise OSError("gone")

    with threaded(server, commit=commit) as pool:
        with pytest.raises(OSError, match="gone"), pool.connection() as connection:
            pass
        eventually(lambda: connection not in server.open)
        assert pool.stats().in_use == 0


def test_a_release_that_is_cancelled_in_its_reset_loses_nothing(server):
    async def main():
        resetting = asyncio.Event()

        async def reset(connection):
            resetting.set()
            await asyncio.sleep(LONG)

        async with asynchronous(server, max_size=1, reset=reset) as pool:
            task = asyncio.ensure_future(pool.release(await pool.acquire()))
            await resetting.wait()
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            assert pool.stats().in_use == 0
            await pool.acquire(timeout=LONG)  # another connection

    asyncio.run(main())


def test_connections_being_closed_are_closed_when_the_asynchronous_pool_closes(server):
    async def main():
        pool = asynchronous(server, max_size=2)
        connection = await pool.acquire()
        await pool.release(connection, broken=True)
        await pool.close()
        return len(asyncio.all_tasks())

    assert asyncio.run(main()) == 1
    assert server.open == []


def test_a_second_release_does_not_touch_the_next_borrowers_connection(server):
    resets = []
    with threaded(server, max_size=1, reset=resets.append) as pool:
        connection = pool.acquire()
        pool.release(connection)
        with pytest.raises(NotLent):
            pool.release(connection)
        assert resets == [connection]


def test_draining_ends_when_a_borrower_finds_its_connection_broken(server):
    checking, go_on = threading.Event(), threading.Event()

    def check(connection):
        checking.set()
        go_on.wait(LONG)
        return False

    pool = threaded(server, check=check)

    def borrow():
        with pytest.raises(PoolClosed):
            pool.acquire()

    thread = threading.Thread(target=borrow)
    thread.start()
    checking.wait(LONG)
    threading.Timer(0.05, go_on.set).start()
    pool.drain(LONG)
    thread.join(LONG)
    assert not thread.is_alive()


def test_a_server_that_is_back_serves_the_next_borrower_after_a_failure(server):
    server.up = False
    with threaded(server) as pool:
        with pytest.raises(PoolTimeout):
            pool.acquire(timeout=0.02)
        server.up = True
        with pool.connection(timeout=LONG / 10):
            pass


def test_where_no_thread_can_be_started_the_borrower_times_out_and_the_pool_goes_on(server, monkeypatch):
    with threaded(server) as pool:
        pool.open()

        def refuse(work, argument):
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(pool, "_in_background", refuse)
            with pytest.raises(PoolTimeout, match="can't start new thread"):
                pool.acquire(timeout=0.02)
        with pool.connection(timeout=LONG):
            assert pool.stats().waiting == 0
