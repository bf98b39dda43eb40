"""Ready-made pools for common drivers. Each is a few lines, to be copied where another set-up is needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from pytest_perfguard.core.errors import MissingExtra
from pytest_perfguard.tools.pools.connection_pool import ConnectionPool
from pytest_perfguard.tools.pools.connection_pool_aio import AsyncConnectionPool

if TYPE_CHECKING:
    import psycopg
    import redis

C = TypeVar("C")


class _Cursor(Protocol):
    """A cursor of Python's DB-API."""

    def execute(self, query: str, /) -> object: ...
    def fetchall(self) -> object: ...
    def close(self) -> object: ...


class _Connection(Protocol):
    """A connection of Python's DB-API."""

    def cursor(self) -> _Cursor: ...
    def commit(self) -> object: ...
    def rollback(self) -> object: ...


def dbapi_pool(connect: Callable[[], C], **options: Any) -> ConnectionPool[C]:
    """Return a pool for a driver with Python's DB-API: `dbapi_pool(partial(sqlite3.connect, "app.db", check_same_thread=False))`.

    A block `with pool.connection()` without an error is committed. What is not committed when a connection is returned, by
    an error or by `release`, is rolled back. The check is `select 1`. `options` are those of `ConnectionPool`;
    `commit=None` leaves committing to the block.
    """
    return ConnectionPool(
        connect, **{"check": _select_1, "reset": _rollback, "commit": _commit, "name": "database pool", **options}
    )


def psycopg_pool(conninfo: str, **options: Any) -> ConnectionPool[psycopg.Connection[Any]]:
    """Return a pool for PostgreSQL by psycopg 3 (extra `psycopg`); connecting takes at most 5 s unless `conninfo` has a limit.

    Transactions end as with `psycopg_pool`: a block without an error is committed, one with an error rolled back.

    Raises
    ------
    MissingExtra
    """
    driver = _psycopg()
    connect = partial(driver.Connection.connect, _with_limit(driver, conninfo))
    defaults = {"check": _ping, "reset": _rollback, "commit": _commit, "name": "PostgreSQL pool"}
    return ConnectionPool(connect, **{**defaults, **options})


def async_psycopg_pool(conninfo: str, **options: Any) -> AsyncConnectionPool[psycopg.AsyncConnection[Any]]:
    """Return the same pool for asyncio."""
    driver = _psycopg()
    connect = partial(driver.AsyncConnection.connect, _with_limit(driver, conninfo))
    defaults = {"check": _ping_async, "reset": _rollback, "commit": _commit_async, "name": "PostgreSQL pool"}
    return AsyncConnectionPool(connect, **{**defaults, **options})


def redis_pool(url: str, **options: Any) -> ConnectionPool[redis.Redis]:
    """Return a pool for Redis by redis-py (extra `redis`): clients with one connection each, checked by PING.

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


def _select_1(connection: _Connection) -> None:
    connection.rollback()  # an error leaves a transaction in which nothing works
    cursor = connection.cursor()
    try:
        cursor.execute("select 1")
        cursor.fetchall()
    finally:
        cursor.close()
    connection.rollback()


def _ping(connection: psycopg.Connection[object]) -> None:
    """Query the server outside of a transaction that an error may have left, and leave none open."""
    connection.rollback()
    connection.execute("select 1")
    connection.rollback()


async def _ping_async(connection: psycopg.AsyncConnection[object]) -> None:
    await connection.rollback()
    await connection.execute("select 1")
    await connection.rollback()


def _rollback(connection: _Connection) -> object:
    return connection.rollback()


def _commit(connection: _Connection) -> None:
    """Commit, unless the block itself has closed the connection."""
    if _closed_by_the_block(connection):
        return
    try:
        connection.commit()
    except Exception as error:  # sqlite3 does not report otherwise that a connection is closed
        if type(error).__name__ != "ProgrammingError" or "closed database" not in str(error):
            raise


async def _commit_async(connection: psycopg.AsyncConnection[object]) -> None:
    if not _closed_by_the_block(connection):
        await connection.commit()


def _closed_by_the_block(connection: object) -> bool:
    """Return whether a connection was closed in order: one that broke has lost its transaction, which must be an error."""
    return bool(getattr(connection, "closed", False)) and not getattr(connection, "broken", False)


def _redis_ping(client: redis.Redis) -> object:
    return client.ping()
