"""`DiskCache`: entries that outlive the process, shared by all processes that use the folder."""

from __future__ import annotations

import contextlib
import os
import time
import zlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from sqlite3 import Connection
from typing import Any, Final, ParamSpec, TypeVar

from pytest_perfguard.core.tool_errors import CacheError
from pytest_perfguard.tools.caches import entries_table as table
from pytest_perfguard.tools.caches.database import Database, UnwritableDisk, absolute
from pytest_perfguard.tools.caches.get_or_compute import LocalCache
from pytest_perfguard.tools.caches.keys import decode_key, encode_key
from pytest_perfguard.tools.caches.level import (  # fmt: skip
    DEFAULT,
    MISSING,
    CachedValue,
    LevelStats,
    MakeKey,
    Missing,
    Release,
    checked_bound,
    checked_ttl,
)
from pytest_perfguard.tools.caches.lru_entries import AtomicCounter
from pytest_perfguard.tools.caches.rate_limited_log import RateLimitedLog
from pytest_perfguard.tools.caches.serializers import JSON, Serializer, encoded

P = ParamSpec("P")
R = TypeVar("R")

MAXSIZE: Final = 10_000
MAX_BYTES: Final = 256_000_000
TTL: Final = 3_600.0

#: Hits whose time of use is not in the file yet.
MAX_UNWRITTEN: Final = 256
#: Seconds within which two uses of an entry count as one: a hit soon after another one writes nothing.
USE_RESOLUTION: Final = 0.5
#: Bytes of a value after which the log, which has its size, is copied at once.
LARGE: Final = 1_000_000
#: Seconds between two searches for all expired entries, each of which reads the whole table.
EXPIRY_INTERVAL: Final = 10.0


class DiskCache(LocalCache):
    """Keep entries in a folder, in one SQLite database. Safe for threads and processes, at a fork, and after a kill at any moment.

    An entry that cannot be read is a miss and is removed; a broken file is moved aside with a warning. The least recently used
    entries are evicted. Each process writes the times of its last 256 hits with its next change.

    Keys are plain data: text, bytes, numbers, None, and tuples of these. Keys of different types differ: 1, 1.0, True and "1".

    Parameters
    ----------
    folder
        created if necessary; a relative path is resolved now. Nobody else may write there if the serializer trusts its input, as
        pickle does.
    maxsize, max_bytes
        the maximum number of entries, and of bytes that they take on the disk. The log adds up to some megabytes.
    ttl
        seconds that an entry lives unless `set` gives another time; None: no limit.
    serializer
        any object with `dumps` and `loads`; by default JSON, which refuses values that would come back changed.
    clock
        returns seconds since 1970, for tests.

    Raises
    ------
    CacheError
        if the folder cannot be used.
    """

    blocking = True

    def __init__(
        self,
        folder: str | os.PathLike[str],
        maxsize: int = MAXSIZE,
        ttl: float | None = TTL,
        *,
        max_bytes: int = MAX_BYTES,
        serializer: Serializer = JSON,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self.maxsize = checked_bound("maxsize", maxsize)
        self.max_bytes = checked_bound("max_bytes", max_bytes)
        self.ttl = checked_ttl(ttl, None)
        self.folder = absolute(folder)
        self._place = str(self.folder)
        self._serializer = serializer
        self._clock = clock
        self._database = Database(self.folder)
        self._used: dict[bytes, float] = {}
        self._expiry_searched = -EXPIRY_INTERVAL
        # Without a lock: a transaction that waited for one would keep a finalizer waiting that holds it and writes.
        self._counts = {name: AtomicCounter() for name in ("evictions", "expirations", "refusals", "corrupt")}
        self._hits, self._misses = AtomicCounter(), AtomicCounter()
        self._unreadable_log, self._refused_log = RateLimitedLog(), RateLimitedLog()

    def get(self, key: Hashable, default: object = None) -> Any:
        """Return the value of a key that was set and has not expired, or `default`."""
        found = self.lookup(key)
        return default if found is None else found.value

    def lookup(self, key: Hashable) -> CachedValue | None:
        """Return the value and its remaining seconds, or None."""
        name, now = self._name(key), self._clock()
        row = self._database.fetch(table.GET, (name,))
        found = None if row is None else self._decoded(name, row, now)
        if found is None:
            self._misses.add()
            return None
        self._hits.add()
        if now - row[3] >= USE_RESOLUTION:
            self._used[name] = now
            if len(self._used) >= MAX_UNWRITTEN:
                self._try_to_write(self._write_uses)
        return found

    def set(self, key: Hashable, value: object, ttl: float | None = DEFAULT, *, tag: Hashable = None) -> None:
        """Keep a value for `ttl` seconds; None: without a limit; by default as long as the cache keeps values.

        `evict(tag)` removes all entries with this tag. If the value cannot be kept, neither is the older one.

        Raises
        ------
        CacheValueError
            if the serializer refuses the value.
        CacheError
            if the disk is full, or busy for too long.
        """
        with self._changing(key):
            self._store(key, value, ttl, tag)

    def add(self, key: Hashable, value: object, ttl: float | None = DEFAULT, *, tag: Hashable = None) -> bool:
        """Set a value only if the key has none, and return whether it was set."""
        row, now = self._row(key, value, ttl, tag), self._clock()
        if not self._fits(row):
            return False

        def insert(connection: Connection) -> bool:
            connection.execute("delete from entries where key = ? and expires <= ?", (row[0], now))
            return self._write(connection, row, f"{table.INSERT} on conflict (key) do nothing")

        with self._changing(key):
            return self._database.do(insert, write=True)

    def increment(self, key: Hashable, delta: float = 1, default: float = 0) -> Any:
        """Add `delta` to the number of a key, by default to `default`, and return the sum. The time to live stays.

        Safe among processes: no increment is lost.
        """
        name = self._name(key)
        sql = "update entries set value = ?, crc = ?, used = ?, cost = ? where key = ? and value = ? and expires is ?"
        with self._changing(key):
            while True:
                found, row = self._read(name)
                if found is None:
                    total = default + delta
                    if self.add(key, total) or self._is_too_large(name, total):
                        return total
                    continue  # another process was faster
                total = found.value + delta
                data = encoded(self._serializer, total, self._place)
                new = data, zlib.crc32(data), self._clock(), table.cost_of(name, data), name, row[0], row[2]
                if self._database.do(table.change(sql, new), write=True):
                    return total

    incr = increment

    def touch(self, key: Hashable, ttl: float | None = DEFAULT) -> bool:
        """Give a key a new time to live, and return whether it was there."""
        name, seconds, now = self._name(key), checked_ttl(ttl, self.ttl), self._clock()
        sql = "update entries set expires = ? where key = ? and (expires is null or expires > ?)"
        expires = None if seconds is None else now + seconds
        return self._database.do(table.change(sql, (expires, name, now)), write=True) > 0

    def delete(self, key: Hashable) -> bool:
        """Remove a key and return whether it was there. On a full disk the whole cache is removed, if need be."""
        with self._changing(key):
            return self._remove(key)

    def pop(self, key: Hashable, default: object = None) -> Any:
        """Remove a key and return its value, or `default`. Of several processes one gets the value."""
        name = self._name(key)
        with self._changing(key):
            found, row = self._read(name)
            if found is None or not self._database.do(table.change(table.DISCARD, (name, *row[1:])), write=True):
                return default
            self._used.pop(name, None)
            return found.value

    def evict(self, tag: Hashable) -> int:
        """Remove all entries with a tag, and return their number."""
        return self._remove_all("delete from entries where tag = ?", (encode_key(tag, self._place),))

    def expire(self) -> int:
        """Remove all expired entries, and return their number."""
        removed = self._remove_all("delete from entries where expires <= ?", (self._clock(),))
        self._count("expirations", removed)
        return removed

    def clear(self) -> None:
        """Remove all entries; the statistics go on."""
        self._remove_all("delete from entries", ())
        self._used.clear()

    def multi_set(
        self, pairs: Iterable[tuple[Hashable, object]], ttl: float | None = DEFAULT, *, tag: Hashable = None
    ) -> None:
        """Set several pairs of key and value in one transaction."""
        given = list(pairs)
        rows = [self._row(key, value, ttl, tag) for key, value in given]
        with contextlib.ExitStack() as stack:
            for key, _value in given:
                stack.enter_context(self._changing(key))
            self._put(rows)

    def memoize(
        self, ttl: float | None = DEFAULT, *, key: MakeKey | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]:
        """Return a decorator that keeps the results of a function here: `cached(cache, ttl, key=key)`."""
        from pytest_perfguard.tools.caches.decorator import cached

        return cached(self, ttl, key=key)

    def stats(self) -> LevelStats:
        """Return the current statistics: entries and bytes of all processes, the other counts of this one."""
        entries, cost = self._database.fetch(table.TOTALS, ())
        counts = {name: counter.value() for name, counter in self._counts.items()}
        return LevelStats(entries, cost, self._hits.value(), self._misses.value(), **counts)

    def size_on_disk(self) -> int:
        """Return the bytes of the files."""
        return self._database.size()

    def close(self) -> None:
        """Write the times of the last hits, and close the file. The cache may be used again."""
        if self._used:
            self._try_to_write(self._write_uses)
        self._database.close()

    def lease(self, key: Hashable) -> Release | Missing | None:
        """Take the right to compute a key among all processes that use the folder.

        Return its release function, or None if another process holds it. The system releases it when the process ends.
        """
        return self._database.try_lock(self._name(key))

    def __getitem__(self, key: Hashable) -> Any:
        value = self.get(key, MISSING)
        if value is MISSING:
            raise KeyError(key)
        return value

    def __setitem__(self, key: Hashable, value: object) -> None:
        self.set(key, value)

    def __delitem__(self, key: Hashable) -> None:
        if not self.delete(key):
            raise KeyError(key)

    def __contains__(self, key: Hashable) -> bool:
        """Return whether a key is there, without counting a hit or a miss."""
        row = self._database.fetch(table.GET, (self._name(key),))
        return row is not None and (row[2] is None or row[2] > self._clock())

    def __iter__(self) -> Iterator[Any]:
        """Visit the keys that have not expired, as they are now."""
        sql, now = "select key from entries where expires is null or expires > ?", self._clock()
        rows = self._database.do(lambda connection: connection.execute(sql, (now,)).fetchall())
        return (decode_key(name) for (name,) in rows)

    def __len__(self) -> int:
        return self.stats().entries

    def __enter__(self) -> DiskCache:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<DiskCache {self.folder}>"

    def begin_anew(self) -> None:
        """Reset in a forked child."""
        super().begin_anew()
        for counter in (self._hits, self._misses, *self._counts.values()):
            counter.begin_anew()
        self._used = {}

    def _name(self, key: Hashable) -> bytes:
        return encode_key(key, self._place)

    def _read(self, name: bytes) -> tuple[CachedValue | None, table.Row]:
        """Return a value with its row (value, crc, expires, used)."""
        row = self._database.fetch(table.GET, (name,))
        return (None if row is None else self._decoded(name, row, self._clock())), row

    def _is_too_large(self, name: bytes, value: object) -> bool:
        return table.cost_of(name, encoded(self._serializer, value, self._place)) > self.max_bytes

    def _decoded(self, name: bytes, row: table.Row, now: float) -> CachedValue | None:
        """Return the value of a row, or None if it has expired or cannot be read, in which case it is removed."""
        data, crc, expires, _used = row
        left = None if expires is None else expires - now
        if left is not None and left <= 0:
            self._discard(name, "expirations", row)
            return None
        try:
            if zlib.crc32(data) != crc:
                raise ValueError("its bytes have changed")  # noqa: TRY301 - handled like all other errors of reading
            return CachedValue(self._serializer.loads(data), left)
        except Exception as error:
            self._unreadable_log.warning("%s: the entry %r cannot be read and is removed: %s", self._place, name, error)
            self._discard(name, "corrupt", row)
            return None

    def _row(self, key: Hashable, value: object, ttl: float | None, tag: Hashable) -> table.Row:
        name, seconds = self._name(key), checked_ttl(ttl, self.ttl)
        data = encoded(self._serializer, value, self._place)
        now = self._clock()
        expires = None if seconds is None else now + seconds
        label = None if tag is None else encode_key(tag, self._place)
        return name, data, zlib.crc32(data), expires, now, table.cost_of(name, data), label

    def _store(self, key: Hashable, value: object, ttl: float | None, tag: Hashable = None) -> None:
        row = self._row(key, value, ttl, tag)
        try:
            self._put([row])
        except UnwritableDisk:
            with contextlib.suppress(CacheError):
                self._remove(key)
            raise
        if len(row[1]) > LARGE:
            self._database.do(lambda connection: connection.execute("pragma wal_checkpoint(truncate)").fetchall())

    def _fits(self, row: table.Row) -> bool:
        """Return whether the cache keeps an entry of this size; count and log a refusal, which a transaction must not."""
        cost = row[5]
        if cost <= self.max_bytes:
            return True
        self._count("refusals")
        self._refused_log.warning("%s: an entry of %d bytes exceeds max_bytes and is not kept", self._place, cost)
        return False

    def _put(self, rows: Sequence[table.Row]) -> None:
        """Keep entries in one transaction. An older value of one that does not fit is removed."""
        fits = [self._fits(row) for row in rows]

        def put(connection: Connection) -> None:
            for row, kept in zip(rows, fits, strict=True):
                if kept:
                    self._write(connection, row, table.SET)
                else:
                    connection.execute("delete from entries where key = ?", (row[0],))

        self._database.do(put, write=True)

    def _write(self, connection: Connection, row: table.Row, sql: str) -> bool:
        written = connection.execute(sql, row).rowcount > 0
        self._used.pop(row[0], None)
        self._make_room(connection)
        return written

    def _remove(self, key: Hashable) -> bool:
        name = self._name(key)
        self._used.pop(name, None)
        return self._remove_or_discard("delete from entries where key = ?", (name,)) > 0

    def _remove_all(self, sql: str, arguments: tuple[object, ...]) -> int:
        with self._changing_all():
            return self._remove_or_discard(sql, arguments)

    def _remove_or_discard(self, sql: str, arguments: tuple[object, ...]) -> int:
        """Remove entries; if the disk does not accept even that, remove the file: an outdated entry must not stay."""
        try:
            return self._database.do(table.change(sql, arguments), write=True)
        except UnwritableDisk:
            entries = int(self._database.fetch(table.TOTALS, ())[0])
            self._database.discard()
            return entries

    def _discard(self, name: bytes, reason: str, row: table.Row) -> None:
        """Remove an unusable entry, unless it was replaced meanwhile."""
        self._count(reason)
        self._used.pop(name, None)
        self._try_to_write(table.change(table.DISCARD, (name, *row[1:])))

    def _try_to_write(self, action: Callable[[Connection], object]) -> None:
        """Write a consequence of reading. It can wait if the disk is full or busy."""
        with contextlib.suppress(CacheError):
            self._database.do(action, write=True)

    def _peek(self, key: Hashable) -> object:
        found, _row = self._read(self._name(key))
        return MISSING if found is None else found.value

    def _make_room(self, connection: Connection) -> None:
        if not self._exceeds(connection):
            return
        self._write_uses(connection)
        now = self._clock()
        if not 0 <= now - self._expiry_searched < EXPIRY_INTERVAL:
            self._expiry_searched = now
            removed = connection.execute("delete from entries where expires <= ?", (now,)).rowcount
            self._count("expirations", removed)
        self._count("evictions", table.evict(connection, self._exceeds))

    def _exceeds(self, connection: Connection) -> bool:
        entries, cost = connection.execute(table.TOTALS).fetchone()
        return bool(entries > self.maxsize or cost > self.max_bytes)

    def _write_uses(self, connection: Connection) -> None:
        used, self._used = self._used, {}
        table.write_uses(connection, used)

    def _count(self, name: str, number: int = 1) -> None:
        add = self._counts[name].add
        for _ in range(number):
            add()
