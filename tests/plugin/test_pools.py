"""The fixtures `object_pool` and `conn_pool`."""

from __future__ import annotations

import pytest

CONNECT = """
import sqlite3
from functools import partial
import pytest

connect = partial(sqlite3.connect, ":memory:", check_same_thread=False)
"""


@pytest.mark.plugins("asyncio")
def test_what_is_not_given_back_fails_its_test_and_shows_who_took_it(project, distribution):
    project.pytester.makepyfile(
        CONNECT
        + """
def test_given_back(conn_pool, object_pool):
    with conn_pool(connect).connection() as connection:
        assert connection.execute("select 1").fetchone() == (1,)
    with object_pool(dict, initial=1).item() as thing:
        assert thing == {}

def borrow(pool):
    return pool.acquire()

def test_kept(conn_pool):
    borrow(conn_pool(connect, name="db"))

def test_object_kept(object_pool):
    object_pool(dict, name="parsers").acquire()

def test_failed_anyhow(object_pool):
    object_pool(dict, name="others").acquire()
    assert False, "its own reason"

async def connect_async():
    return connect()

@pytest.mark.asyncio
async def test_async_kept(conn_pool):
    async with conn_pool(connect_async, name="async db") as pool:
        await pool.acquire()

@pytest.mark.asyncio
async def test_async_given_back(conn_pool, object_pool):
    async with conn_pool(connect_async) as pool, pool.connection():
        pass
    async with object_pool(connect_async) as pool, pool.item():
        pass
"""
    )
    result = project.run(*distribution, short=False)
    result.assert_outcomes(passed=2, failed=4)
    text = result.stdout.str()
    result.stdout.fnmatch_lines_random(
        [
            "<ConnectionPool db: * 1 in use, * waiting>: not returned: 1",
            "*taken at *test_what_is_not_given_back*.py:* in borrow",
            "<ObjectPool parsers: 9 idle, 1 in use, 0 waiting>: not returned: 1",
            "<AsyncConnectionPool async db: *closed>: not returned: 1",
            "E * AssertionError: its own reason",
        ]
    )
    assert "ObjectPool others" not in text  # a failed test is not held to it


def test_a_shared_pool_lives_through_the_run(project):
    project.pytester.makepyfile(
        CONNECT
        + """
made = []

def make():
    made.append(connect())
    return made[-1]

@pytest.mark.parametrize("turn", range(3))
def test_shared(conn_pool, turn):
    pool = conn_pool(make, shared="db", min_size=0)
    with pool.connection() as connection:
        assert connection is made[0]

def test_kept_here(conn_pool):
    conn_pool(make, shared="db").acquire()

def test_not_blamed(conn_pool):
    pool = conn_pool(make, shared="db")
    assert pool.stats().in_use == 1
"""
    )
    result = project.run("-p", "no:randomly", short=False)
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["<ConnectionPool db: *: not returned: 1"])


def test_a_fixture_may_keep_what_it_gives_back_later(project):
    project.pytester.makepyfile(
        CONNECT
        + """
@pytest.fixture
def db(conn_pool):
    with conn_pool(connect).connection() as connection:
        yield connection

def test_uses(db):
    db.execute("select 1")

@pytest.fixture
def careless(conn_pool):
    return conn_pool(connect, name="careless").acquire()

def test_careless(careless):
    careless.execute("select 1")
"""
    )
    result = project.run(short=False)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["<ConnectionPool careless: *not returned: 1"])


def test_a_shared_pool_that_a_test_closed_is_made_anew(project):
    project.pytester.makepyfile(
        CONNECT
        + """
@pytest.mark.parametrize("turn", range(2))
def test_closes(conn_pool, turn):
    with conn_pool(connect, shared="db") as pool, pool.connection() as connection:
        connection.execute("select 1")

async def connect_async():
    return connect()

def test_async_is_refused(conn_pool):
    with pytest.raises(ValueError, match="one event loop"):
        conn_pool(connect_async, shared="db2")
"""
    )
    project.run(short=False).assert_outcomes(passed=3)


def test_what_a_leak_check_leaves_lent_is_named(project):
    project.pytester.makepyfile(
        CONNECT
        + """
def test_leaking(conn_pool, memory_watch):
    pool = conn_pool(connect, max_size=10_000, min_size=0, name="db")
    with pytest.raises(AssertionError, match="connections of db per call"):
        memory_watch.check(pool.acquire)
    for lent in pool.not_returned():
        pool.release(lent.obj)
"""
    )
    project.run(short=False).assert_outcomes(passed=1)


def test_a_pool_feeds_the_monitor(project):
    project.pytester.makepyfile(
        CONNECT
        + """
def test_fed(conn_pool, perf_monitor):
    pool = conn_pool(connect, max_size=1, name="my db")
    perf_monitor.alert("pool.my_db.timeouts > 0")
    with pool.connection():
        with pytest.raises(TimeoutError):
            pool.acquire(timeout=0.01)
    assert perf_monitor.summary().gauges["pool.my_db.acquisitions"] == 1
"""
    )
    result = project.run(short=False)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(['pool.my_db.timeouts.value is 1: alert "pool.my_db.timeouts > 0"'])


def test_a_perf_test_with_a_pool_is_measured_and_checked_for_leaks(project):
    project.pytester.makepyfile(
        CONNECT
        + """
@pytest.fixture
def pool(conn_pool):
    return conn_pool(connect, min_size=0)

@pytest.mark.perf(leaks=True)
def test_query(pool):
    with pool.connection() as connection:
        connection.execute("select 1").fetchone()

@pytest.mark.perf(leaks=True)
def test_kept(pool):
    pool.resize(0, 1000)
    pool.acquire()
"""
    )
    result, report = project.report("--perf", "--perf-metrics=time", "--perf-budget=2s")
    # What is kept fails its ordinary run already, so it is never measured.
    assert {test["nodeid"].partition("::")[2]: test["verdict"] for test in report["tests"]} == {"test_query": None}
    result.assert_outcomes(passed=1, failed=1)
