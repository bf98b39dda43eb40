"""Pools for drivers that are much used: each a few lines, to be copied where something else is wanted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from pytest_perfguard.core.errors import MissingExtra
from pytest_perfguard.tools.pools.connections import ConnectionPool
from pytest_perfguard.tools.pools.connections_aio import AsyncConnectionPool

if TYPE_CHECKING:
    import psycopg
    import redis

C = TypeVar("C")


def dbapi_pool(connect: Callable[[], C], **options: Any) -> ConnectionPool[C]:
    """For any driver with Python's DB-API: `dbapi_pool(partial(sqlite3.connect, "app.db", check_same_thread=False))`.

    What was not committed is rolled back when a connection comes back; `select 1` is the check. `options` are those of
    `ConnectionPool`.
    """
    return ConnectionPool(connect, **{"check": _select_1, "reset": _rollback, "name": "database pool", **options})


def psycopg_pool(conninfo: str, **options: Any) -> ConnectionPool[psycopg.Connection[Any]]:
    """For PostgreSQL by psycopg 3 (extra `psycopg`), with a time limit of 5 s to connect unless `conninfo` has one.

    Raises
    ------
    MissingExtra
    """
    driver = _psycopg()
    connect = partial(driver.Connection.connect, _with_limit(driver, conninfo))
    return ConnectionPool(connect, **{"check": _ping, "reset": _rollback, "name": "PostgreSQL pool", **options})


def async_psycopg_pool(conninfo: str, **options: Any) -> AsyncConnectionPool[psycopg.AsyncConnection[Any]]:
    """The same for asyncio."""
    driver = _psycopg()
    connect = partial(driver.AsyncConnection.connect, _with_limit(driver, conninfo))
    return AsyncConnectionPool(
        connect, **{"check": _ping_async, "reset": _rollback, "name": "PostgreSQL pool", **options}
    )


def redis_pool(url: str, **options: Any) -> ConnectionPool[redis.Redis]:
    """For Redis by redis-py (extra `redis`): clients with one connection each, checked by PING.

    Raises
    ------
    MissingExtra
    """
    try:
        import redis
    except ImportError:
        raise MissingExtra("redis_pool", "redis", "redis") from None

    def connect() -> redis.Redis:
        client = redis.Redis.from_url(url, single_connection_client=True, socket_connect_timeout=5)
        client.ping()
        return client

    return ConnectionPool(connect, **{"check": _redis_ping, "name": "Redis pool", **options})


def _psycopg() -> Any:
    try:
        import psycopg
    except ImportError:
        raise MissingExtra("a PostgreSQL pool", "psycopg", "psycopg") from None
    return psycopg


def _with_limit(driver: Any, conninfo: str) -> str:
    given = driver.conninfo.conninfo_to_dict(conninfo)
    made: str = driver.conninfo.make_conninfo(conninfo, connect_timeout=given.get("connect_timeout", 5))
    return made


def _select_1(connection: Any) -> None:
    connection.rollback()  # an error leaves a transaction in which nothing works
    cursor = connection.cursor()
    try:
        cursor.execute("select 1")
        cursor.fetchall()
    finally:
        cursor.close()
    connection.rollback()


def _ping(connection: Any) -> None:
    """Ask the server, outside of the transaction that an error may have left, and without leaving one open."""
    connection.rollback()
    connection.execute("select 1")
    connection.rollback()


async def _ping_async(connection: Any) -> None:
    await connection.rollback()
    await connection.execute("select 1")
    await connection.rollback()


def _rollback(connection: Any) -> object:
    return connection.rollback()


def _redis_ping(client: Any) -> object:
    return client.ping()
