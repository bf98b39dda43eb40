"""Pools in forked children: no lock, thread or object of the parent is used, and none is closed."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from functools import partial

import pytest

from pytest_perfguard import AsyncConnectionPool, AsyncObjectPool, ConnectionPool, NotLent, ObjectPool
from tests.tools.programs import ALL_FINE, outcomes_of_children

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]

#: Threads of the parent hold the pool's lock at most forks.
DEFINITIONS = """
import os, sys
from pytest_perfguard import ConnectionPool, ObjectPool

class Thing:
    def __init__(self):
        self.pid = os.getpid()
    def close(self):
        assert self.pid == os.getpid(), "closed by another process"

made = {
    "object": lambda: ObjectPool(Thing, initial=2, max_size=2, destroy=Thing.close),
    "connection": lambda: ConnectionPool(Thing, min_size=1, max_size=2, check_interval=0.001),
}[sys.argv[1]]
pool = made()
block = getattr(pool, "item", None) or pool.connection

def use():
    with block():
        pool.stats()

def check():
    with block() as first, block() as second:
        assert first.pid == second.pid == os.getpid()
    assert pool.stats().in_use == 0
    pool.shrink(0)
    pool.close()
"""


@pytest.mark.parametrize("kind", ["object", "connection"])
def test_children_of_a_busy_parent_neither_hang_nor_get_its_objects(kind):
    assert outcomes_of_children(DEFINITIONS, kind) == ALL_FINE


def in_child(check):
    """Return the exit status of a child that runs the check: 0 where it holds."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if check() in (None, True) else 2
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_block_that_forks_ends_its_transaction_in_the_parent_only():
    commits = []
    connect = partial(sqlite3.connect, ":memory:", check_same_thread=False)
    with ConnectionPool(
        connect, min_size=0, max_size=1, commit=lambda _connection: commits.append(os.getpid())
    ) as pool:

        def child_leaves_the_block():
            connection = pool.acquire()
            commits.clear()
            pool.release(connection)
            return True

        with pool.connection() as connection:
            child = os.fork()
            if child == 0:
                try:
                    pool._end_block(connection, failed=False)
                    with pool.connection() as other:
                        os._exit(0 if other is not connection and not commits else 3)
                finally:
                    os._exit(4)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert commits == [os.getpid()]
        assert in_child(child_leaves_the_block) == 0


def test_an_object_that_the_parent_has_lent_may_be_released_once_in_the_child():
    destroyed = []
    pool = ObjectPool(object, initial=2, max_size=2, destroy=destroyed.append)
    thing = pool.acquire()

    def check():
        pool.release(thing)
        try:
            pool.release(thing)
        except NotLent:
            return pool.stats().size == 0 and pool.acquire() is not thing and not destroyed
        return False

    assert in_child(check) == 0
    assert in_child(lambda: in_child(check) == 0) == 0  # in a grandchild
    pool.release(thing)
    assert pool.stats().idle == 2


def test_a_closed_pool_stays_closed_in_the_child():
    pool = ObjectPool(object, initial=0)
    pool.close()
    assert in_child(lambda: pool.closed) == 0


def test_one_object_that_cannot_be_reset_does_not_keep_others_from_it():
    from pytest_perfguard.core import fork

    class Broken:
        def begin_anew(self):
            raise ValueError("broken")

    broken = [Broken() for _ in range(5)]
    pools = [ObjectPool(object, initial=1, max_size=1) for _ in range(5)]
    for obj in broken:
        fork.register_at_fork(obj)
    assert in_child(lambda: all(pool.stats().size == 0 for pool in pools)) == 0


@pytest.mark.parametrize("kind", [AsyncObjectPool, AsyncConnectionPool])
def test_an_asynchronous_pool_makes_objects_of_its_own_in_a_child(kind):
    class Thing:
        def __init__(self):
            self.pid = os.getpid()

        async def close(self):
            assert self.pid == os.getpid(), "closed by another process"

    pool = kind(Thing, max_size=2, timeout=20)

    async def use():
        async with pool.item() if kind is AsyncObjectPool else pool.connection() as thing:
            return thing.pid

    async def in_loop():
        assert await use() == os.getpid()
        lent = await pool.acquire()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                asyncio._set_running_loop(None)  # the child leaves the parent's loop
                status = 0 if asyncio.run(use()) == os.getpid() else 2
            finally:
                os._exit(status)
        await pool.release(lent)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert pool.stats().in_use == 0
        await pool.close()

    asyncio.run(in_loop())
