"""The table of a `DiskCache`, and the statements on it."""

from __future__ import annotations

from collections.abc import Callable
from sqlite3 import Connection
from typing import Any, Final

PAGE: Final = 4096
#: The version of the tables.
VERSION: Final = 2
#: Entries that are evicted with one query.
EVICTED_AT_ONCE: Final = 16

#: `cost` is the space that an entry takes on the disk, `crc` reveals changed bytes. Triggers keep the totals: they are right whichever
#: process writes, and after a kill at any moment. There is no index by expiry: it would make every write slower.
TABLES: Final = f"""
create table entries (
  key blob primary key, value blob not null, crc integer not null, expires real, used real not null, cost integer not null, tag blob
) without rowid;
create index by_use on entries (used);
create index by_tag on entries (tag) where tag is not null;
create table totals (entries integer not null, cost integer not null);
insert into totals values (0, 0);
create trigger added after insert on entries begin update totals set entries = entries + 1, cost = cost + new.cost; end;
create trigger replaced after update of cost on entries when new.cost <> old.cost
  begin update totals set cost = cost + new.cost - old.cost; end;
create trigger removed after delete on entries begin update totals set entries = entries - 1, cost = cost - old.cost; end;
pragma user_version = {VERSION};
"""

#: The columns of a row, as SQLite takes and returns them.
Row = tuple[Any, ...]

GET: Final = "select value, crc, expires, used from entries where key = ?"
INSERT: Final = "insert into entries (key, value, crc, expires, used, cost, tag) values (?, ?, ?, ?, ?, ?, ?)"
SET: Final = f"""{INSERT} on conflict (key) do update set value = excluded.value, crc = excluded.crc,
expires = excluded.expires, used = excluded.used, cost = excluded.cost, tag = excluded.tag"""
DISCARD: Final = "delete from entries where key = ? and crc = ? and expires is ? and used = ?"
TOTALS: Final = "select entries, cost from totals"


def cost_of(key: bytes, value: bytes) -> int:
    """Return the bytes that an entry takes on the disk: its key stands in an index, too, and large ones take whole pages."""
    size = 2 * len(key) + len(value) + 96
    return size if size < PAGE // 4 else -(-size // PAGE) * PAGE


def change(sql: str, arguments: tuple[object, ...]) -> Callable[[Connection], int]:
    """Return an action that changes entries and returns their number."""
    return lambda connection: connection.execute(sql, arguments).rowcount


def evict(connection: Connection, exceeds: Callable[[Connection], bool]) -> int:
    """Remove the least recently used entries until the rest fits, and return their number."""
    number = 0
    while exceeds(connection):
        rows = connection.execute("select key from entries order by used limit ?", (EVICTED_AT_ONCE,)).fetchall()
        if not rows:  # another program has changed the totals
            connection.execute("update totals set entries = 0, cost = 0")
        for row in rows:
            connection.execute("delete from entries where key = ?", row)
            number += 1
            if not exceeds(connection):
                break
    return number


def write_uses(connection: Connection, used: dict[bytes, float]) -> None:
    """Write the times of last use, unless a later one is known."""
    rows = [(when, name) for name, when in list(used.items())]
    connection.executemany("update entries set used = max(used, ?) where key = ?", rows)
