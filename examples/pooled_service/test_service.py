"""Tests of the service on SQLite, and on PostgreSQL and Redis where these answer at `POSTGRESQL` and `REDIS`."""

from __future__ import annotations

import os
import sqlite3
import threading
from functools import partial

import pytest
from service import Visits

from pytest_perfguard import psycopg_pool, redis_pool

POSTGRESQL = os.environ.get("POSTGRESQL", "host=127.0.0.1 user=postgres dbname=postgres connect_timeout=3")
REDIS = os.environ.get("REDIS", "redis://127.0.0.1:6379/0")


def add_from_threads(visits, threads=8, each=5):
    workers = [threading.Thread(target=lambda: [visits.add("/") for _ in range(each)]) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return threads * each


@pytest.fixture
def sqlite_visits(conn_pool, tmp_path):
    connect = partial(sqlite3.connect, tmp_path / "visits.db", check_same_thread=False, timeout=30)
    return Visits(conn_pool(connect, max_size=3, reset=sqlite3.Connection.rollback))


def test_every_visit_counts_on_sqlite(sqlite_visits):
    assert sqlite_visits.count() == 0
    assert sqlite_visits.count() + add_from_threads(sqlite_visits) == sqlite_visits.count()


@pytest.mark.perf(leaks=True)
def test_counting_is_quick_and_gives_its_connection_back(sqlite_visits):
    sqlite_visits.count()


def test_every_visit_counts_on_postgresql():
    psycopg = pytest.importorskip("psycopg", reason="needs psycopg")
    try:
        psycopg.connect(POSTGRESQL).close()
    except psycopg.Error as error:
        pytest.skip(f"no PostgreSQL server: {error}")
    with psycopg_pool(POSTGRESQL, max_size=3, timeout=30) as pool:
        visits = Visits(pool, "%s")
        assert add_from_threads(visits) == visits.count()


def test_every_visit_counts_on_redis():
    redis = pytest.importorskip("redis", reason="needs redis-py")
    try:
        redis.Redis.from_url(REDIS).ping()
    except redis.RedisError as error:
        pytest.skip(f"no Redis server: {error}")
    with redis_pool(REDIS, max_size=3, timeout=30) as pool:
        with pool.connection() as client:
            client.delete("perfguard:visits")
            client.incr("perfguard:visits")
        with pool.connection() as client:
            assert int(client.get("perfguard:visits")) == 1
