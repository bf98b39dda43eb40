"""A service that counts visits in the database of its pool."""

from __future__ import annotations

from typing import Any


class Visits:
    """Counter of visits: a pool of DB-API connections, and the placeholder of their driver."""

    def __init__(self, pool: Any, placeholder: str = "?") -> None:
        self._pool = pool
        self._insert = f"insert into visits (page) values ({placeholder})"
        with pool.connection() as connection:
            connection.execute("create table if not exists visits (page text)")
            connection.execute("delete from visits")
            connection.commit()  # a pool without `commit`, such as a test's, leaves that to the block

    def add(self, page: str) -> None:
        with self._pool.connection() as connection:
            connection.execute(self._insert, (page,))
            connection.commit()

    def count(self) -> int:
        with self._pool.connection() as connection:
            (number,) = connection.execute("select count(*) from visits").fetchone()
            return int(number)
