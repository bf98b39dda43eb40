"""Behaviours of the pools that users of other pools look for, and parameters and functions that misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time

import pytest

from pytest_perfguard import (
    AsyncConnectionPool,
    AsyncObjectPool,
    ConnectionPool,
    ObjectPool,
    PoolClosed,
    PoolError,
    PoolTimeout,
    TooManyWaiting,
)
from pytest_perfguard.tools.pools.items import Actions
from tests.tools.pools.test_connection_pools import LONG, Connection, Server, eventually, threaded


@pytest.fixture
def server():
    return Server()


def test_wait_returns_when_the_minimum_is_there_and_names_the_reason_where_it_is_not(server):
    with threaded(server, min_size=3) as pool:
        pool.wait(LONG)
        assert pool.stats().available == 3
    with pytest.raises(PoolClosed):
        pool.wait()
    server.up = False
    with threaded(server, min_size=2, name="db") as pool:
        with pytest.raises(PoolTimeout, match="db: 0 of 2 connections were made within 0.05 s.*it is down"):
            pool.wait(0.05)


def test_the_asynchronous_pool_waits_too(server):
    async def main():
        async with AsyncConnectionPool(server.connect_async, min_size=2, timeout=LONG) as pool:
            await pool.wait(LONG)
            assert pool.stats().available == 2
            server.up = False
            await pool.drain(LONG, close=False)
            with pytest.raises(PoolTimeout, match="0 of 2 connections were made"):
                await pool.wait(0.05)

    asyncio.run(main())


def test_check_replaces_broken_idle_connections_now(server):
    with threaded(server, min_size=2) as pool:
        pool.wait(LONG)
        server.restart()
        pool.check()
        eventually(lambda: pool.stats().available == 2 and all(connection.fine for connection in server.open))


def test_configure_prepares_each_new_connection_and_its_failure_is_one_to_connect(server):
    configured = []
    with threaded(server, configure=configured.append) as pool, pool.connection() as connection:
        assert configured == [connection]

    def refuse(connection):
        raise ValueError("no such schema")

    with threaded(server, configure=refuse) as pool:
        with pytest.raises(PoolTimeout, match="ValueError: no such schema"):
            pool.acquire(timeout=0.05)
        eventually(lambda: server.open == [])


def test_no_more_than_max_waiting_borrowers_wait(server):
    with threaded(server, max_size=1, max_waiting=1) as pool:
        connection = pool.acquire()
        thread = threading.Thread(target=lambda: pool.release(pool.acquire()))
        thread.start()
        eventually(lambda: pool.stats().waiting == 1)
        with pytest.raises(TooManyWaiting, match="1 borrowers wait already"):
            pool.acquire(LONG)
        pool.release(connection)
        thread.join(LONG)
        pool.release(pool.acquire())


def test_an_outage_is_reported_once_and_logged(server, caplog):
    reports = []
    server.up = False
    with caplog.at_level(logging.INFO, logger="perfguard.pool"):
        with threaded(server, min_size=1, reconnect_timeout=0.05, reconnect_failed=reports.append, name="db") as pool:
            eventually(lambda: reports)
            time.sleep(0.1)
            assert reports == [pool]
            server.up = True
            pool.wait(LONG)
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.getMessage() for record in warnings] == [
        "db: the server cannot be connected to: ConnectionRefusedError: it is down"
    ]
    assert "db: the server can be connected to again" in caplog.text


def test_a_borrower_that_waits_gets_a_server_that_is_back_within_a_second(server):
    server.up = False
    clock = [0.0]
    with threaded(server, min_size=1, clock=lambda: clock[0] + time.monotonic()) as pool:
        eventually(lambda: pool._state.targets.by_name["the server"].failures)
        pool._state.targets.by_name["the server"].failures = 12  # 30 s until the next attempt
        pool._step(pool._state.targets.failed, "the server", pool._clock(), "down")
        server.up = True
        begun = time.monotonic()
        with pool.connection(timeout=10):
            assert time.monotonic() - begun < 3  # on a busy machine; the attempt is due after 0.75 s


def test_statistics_can_be_taken_in_turns(server):
    with threaded(server) as pool:
        for _ in range(3):
            pool.release(pool.acquire())
        assert pool.pop_stats().acquisitions == 3
        pool.release(pool.acquire())
        stats = pool.pop_stats()
        assert (stats.acquisitions, stats.created) == (1, 0)
        assert pool.stats().acquisitions == 4


def test_connections_are_made_a_few_at_a_time():
    most = running = 0
    lock = threading.Lock()

    def connect():
        nonlocal most, running
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1
        return Connection(Server())

    with ConnectionPool(connect, min_size=12, max_size=12, max_connecting=3) as pool:
        pool.wait(LONG)
    assert most <= 3


@pytest.mark.parametrize("asynchronous", [False, True])
def test_draining_may_replace_all_connections_and_go_on(server, asynchronous):
    if not asynchronous:
        with threaded(server, min_size=2) as pool:
            pool.wait(LONG)
            old, lent = list(server.open), pool.acquire()
            with pytest.raises(PoolTimeout, match="1 connections had not come back after 0.01 s"):
                pool.drain(0.01, close=False)
            pool.release(lent)
            pool.drain(LONG, close=False)
            eventually(lambda: not set(old) & set(server.open))
            with pool.connection() as connection:
                assert connection not in old
        return

    async def main():
        async with AsyncConnectionPool(server.connect_async, min_size=2, timeout=LONG) as pool:
            await pool.wait(LONG)
            old, lent = list(server.open), await pool.acquire()
            with pytest.raises(PoolTimeout, match="1 connections had not come back after 0.01 s"):
                await pool.drain(0.01, close=False)
            await pool.release(lent)
            await pool.drain(LONG, close=False)
            async with pool.connection() as connection:
                assert connection not in old

    asyncio.run(main())


def test_a_function_that_returns_the_same_object_twice_is_refused_with_its_name():
    shared = object()

    def create_shared():
        return shared

    pool = ObjectPool(create_shared, initial=0, max_size=2)
    assert pool.acquire() is shared
    with pytest.raises(PoolError, match=r"create=.*create_shared returned an object that the pool holds already"):
        pool.acquire()
    pool.release(shared)
    assert pool.stats().size == 1
    with pytest.raises(PoolError, match="create_shared"):
        ObjectPool(create_shared, initial=2)

    async def main():
        pool = AsyncObjectPool(create_shared, initial=0, max_size=2)
        await pool.acquire()
        with pytest.raises(PoolError, match="create_shared"):
            await pool.acquire()

    asyncio.run(main())
    with ConnectionPool(create_shared, close=lambda _shared: None, min_size=0, max_size=2) as pool, pool.connection():
        with pytest.raises(PoolTimeout, match=r"connect=.*create_shared returned an object that the pool holds"):
            pool.acquire(timeout=0.05)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_destroy_that_exits_does_not_keep_the_others_from_being_destroyed(asynchronous):
    destroyed = []

    def destroy(thing):
        destroyed.append(thing)
        raise SystemExit(3)

    if not asynchronous:
        pool = ObjectPool(object, destroy=destroy, initial=3, max_size=3)
        with pytest.raises(SystemExit):
            pool.close()
    else:

        async def main():
            pool = AsyncObjectPool(object, destroy=destroy, initial=3, max_size=3)
            await pool.open()
            await pool.close()

        with pytest.raises(SystemExit):
            asyncio.run(main())
    assert len(destroyed) == 3


def test_a_close_that_exits_does_not_keep_the_others_from_being_closed():
    closed = []

    def close(connection):
        closed.append(connection)
        raise SystemExit(3)

    pool = ConnectionPool(object, close=close, min_size=3)
    pool.wait(LONG)
    with pytest.raises(SystemExit):
        pool.close()
    assert len(closed) == 3


@pytest.mark.parametrize("kind", [ObjectPool, ConnectionPool])
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_size": "3"}, ValueError), ({"max_size": 1.5}, ValueError), ({"max_size": True}, ValueError),
        ({"max_size": 0}, ValueError), ({"timeout": "3"}, TypeError), ({"timeout": float("nan")}, ValueError),
        ({"reset": 3}, TypeError),
    ],
)  # fmt: skip
def test_odd_parameters_are_refused_with_their_value(kind, options, error):
    with pytest.raises(error, match=str(next(iter(options.values())))):
        kind(object, **options)


@pytest.mark.parametrize("create", [None, 3, "create"])
def test_a_create_that_cannot_be_called_is_refused(create):
    with pytest.raises(TypeError, match="create is .*: give a function"):
        ObjectPool(create)


async def coroutine_function():
    return object()


def test_coroutine_functions_need_the_asynchronous_pools():
    with pytest.raises(TypeError, match="use AsyncObjectPool"):
        ObjectPool(coroutine_function)
    with pytest.raises(TypeError, match="use AsyncConnectionPool"):
        ConnectionPool(coroutine_function)


@pytest.mark.parametrize("timeout", [0, -5, 0.0, 1e-9])
def test_no_time_is_a_time_limit(timeout):
    pool = ObjectPool(object, initial=1, max_size=1)
    pool.acquire(timeout)
    with pytest.raises(PoolTimeout):
        pool.acquire(timeout)


@pytest.mark.parametrize("timeout", [float("inf"), 1e18, None])
def test_a_time_limit_may_be_longer_than_the_system_can_wait(timeout):
    pool = ObjectPool(object, initial=1, max_size=1)
    thing = pool.acquire()
    threading.Timer(0.05, pool.release, [thing]).start()
    assert pool.acquire(timeout) is thing


@pytest.mark.parametrize("timeout", ["1", float("nan"), [1]])
def test_a_time_limit_that_is_none_is_refused_and_nothing_is_lost(timeout):
    pool = ObjectPool(object, initial=1, max_size=1)
    thing = pool.acquire()
    with pytest.raises((TypeError, ValueError), match="timeout is"):
        pool.acquire(timeout)
    pool.release(thing)
    assert pool.acquire(0) is thing


def test_blocks_may_be_nested_and_left_by_any_error():
    pool = ObjectPool(object, initial=0, max_size=3)
    with pool.item() as first, pool.item() as second, pool.item() as third:
        assert len({first, second, third}) == 3
    for error in (KeyError, SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration):
        with contextlib.suppress(error), pool.item():
            raise error
    assert pool.stats().in_use == 0


def test_a_check_that_always_fails_ends_with_the_time_limit(server):
    with threaded(server, min_size=2, check=lambda _connection: False) as pool:
        pool.wait(LONG)
        with pytest.raises(PoolTimeout, match="no connection passed the check within 0 s: 1 failed it"):
            pool.acquire(timeout=0)
        assert pool.stats().timeouts == 1


def test_a_check_of_the_asynchronous_pool_that_always_fails_ends_with_the_time_limit(server):
    async def main():
        async with AsyncConnectionPool(server.connect_async, check=lambda _connection: False) as pool:
            with pytest.raises(PoolTimeout, match="check"):  # which one of its texts depends on when the time is over
                await pool.acquire(timeout=0.05)

    asyncio.run(main())


class Asynchronous:
    async def __call__(self, *_arguments):
        return False


@pytest.mark.parametrize("parameter", ["configure", "check", "reset", "commit", "close"])
def test_objects_whose_calls_must_be_awaited_are_refused_by_the_pool_for_threads(server, parameter):
    with pytest.raises(TypeError, match="is a coroutine function: use AsyncConnectionPool"):
        ConnectionPool(server.connect, **{parameter: Asynchronous()})
    with pytest.raises(TypeError, match="is a coroutine function: use AsyncConnectionPool"):
        ConnectionPool(Asynchronous())


def test_a_coroutine_is_no_connection_and_no_passed_check(server):
    with ConnectionPool(lambda: Asynchronous()(), min_size=0) as pool:
        with pytest.raises(PoolTimeout, match="returned a coroutine: use AsyncConnectionPool"):
            pool.acquire(timeout=0.05)
    with threaded(server, check=lambda _connection: Asynchronous()(), min_size=1) as pool:
        pool.wait(LONG)
        with pytest.raises(PoolTimeout, match="1 failed it"):
            pool.acquire(timeout=0)


def test_a_commit_that_returns_a_coroutine_is_an_error(server):
    with threaded(server, commit=lambda _connection: Asynchronous()(), min_size=1) as pool:
        with pytest.raises(TypeError, match="returned a coroutine: use AsyncConnectionPool"), pool.connection():
            pass
        assert pool.not_returned() == []


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_an_idle_time_before_checks_is_a_number_of_seconds(server, seconds):
    with pytest.raises(ValueError, match="check_after is .*: it must be at least 0 seconds"):
        ConnectionPool(server.connect, check_after=seconds)


@pytest.mark.parametrize("kind", [ConnectionPool, AsyncConnectionPool])
def test_other_attempts_do_not_wait_for_the_report_of_an_outage(monkeypatch, kind):
    calls = []

    def connect():
        raise ConnectionRefusedError

    pool = kind(connect, reconnect_failed=lambda _pool: calls.append("report"))
    monkeypatch.setattr(pool, "_connect_failed", lambda _target, _error: (Actions(), True))
    monkeypatch.setattr(pool, "_do", lambda _actions: calls.append("further attempts"))
    attempt = pool._connect("the server")
    if attempt is not None:
        asyncio.run(attempt)
    assert calls == ["further attempts", "report"]


def test_a_connection_stays_in_the_pool_where_no_time_is_left_to_check_it(server):
    async def main():
        async def check(_connection):
            await asyncio.sleep(0)

        async with AsyncConnectionPool(server.connect_async, check=check, min_size=1) as pool:
            await pool.wait(LONG)
            for _ in range(3):
                with pytest.raises(PoolTimeout, match="no time is left to check it within 0 s"):
                    await pool.acquire(timeout=0)
            stats = pool.stats()
            assert (stats.created, stats.destroyed, stats.available, stats.timeouts) == (1, 0, 1, 3)
            await pool.release(await pool.acquire(timeout=LONG))

    asyncio.run(main())
