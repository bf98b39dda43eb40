"""The tables of a `DiskCache`, and what is asked of them."""

from __future__ import annotations

from collections.abc import Callable
from sqlite3 import Connection
from typing import Any, Final

PAGE: Final = 4096
#: Entries removed at a time where room must be made: little by little, but not one query for each.
_AT_ONCE: Final = 16

#: `cost` is what an entry takes of the disk, `crc` tells whether it came back as it was written. Triggers keep the totals,
#: so that they are right whoever writes, and after a kill at any moment.
TABLES: Final = """
create table entries (
  key blob primary key, value blob not null, crc integer not null, expires real, used real not null, cost integer not null
);
create index by_use on entries (used);
create index by_expiry on entries (expires) where expires is not null;
create table totals (entries integer not null, cost integer not null);
insert into totals values (0, 0);
create trigger added after insert on entries begin update totals set entries = entries + 1, cost = cost + new.cost; end;
create trigger replaced after update of cost on entries begin update totals set cost = cost + new.cost - old.cost; end;
create trigger removed after delete on entries begin update totals set entries = entries - 1, cost = cost - old.cost; end;
pragma user_version = 1;
"""

GET: Final = "select value, crc, expires, used from entries where key = ?"
DISCARD: Final = "delete from entries where key = ? and crc = ? and expires is ? and used = ?"
SET: Final = """
insert into entries values (?, ?, ?, ?, ?, ?) on conflict (key) do update
set value = excluded.value, crc = excluded.crc, expires = excluded.expires, used = excluded.used, cost = excluded.cost
"""


def cost_of(key: bytes, value: bytes) -> int:
    """Bytes of the disk that an entry takes: its key stands in an index, too, and large ones take whole pages."""
    size = 2 * len(key) + len(value) + 96
    return size if size < PAGE // 4 else -(-size // PAGE) * PAGE


def totals_of(connection: Connection) -> Any:
    """(entries, bytes) of all processes."""
    return connection.execute("select entries, cost from totals").fetchone()


def make_room(connection: Connection, too_much: Callable[[Connection], bool]) -> int:
    """Remove the least recently used entries while there is too much; returns how many that was."""
    gone = 0
    while too_much(connection):
        rows = connection.execute("select key from entries order by used limit ?", (_AT_ONCE,)).fetchall()
        if not rows:  # somebody else's hand was in the file
            connection.execute("update totals set entries = 0, cost = 0")
        for row in rows:
            connection.execute("delete from entries where key = ?", row)
            gone += 1
            if not too_much(connection):
                break
    return gone
