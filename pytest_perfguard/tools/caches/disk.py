"""`DiskCache`: entries that outlive the process, shared by all processes that use the folder."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from sqlite3 import Connection
from types import TracebackType
from typing import Any, Final

from pytest_perfguard.core.tool_errors import CacheError, CacheValueError
from pytest_perfguard.tools.caches.disk_file import DiskFile
from pytest_perfguard.tools.caches.disk_tables import DISCARD, GET, SET, cost_of, make_room, totals_of
from pytest_perfguard.tools.caches.get_or_compute import Plain
from pytest_perfguard.tools.caches.level import DEFAULT, MISSING, Found, LevelStats, Release, checked_bound, checked_ttl
from pytest_perfguard.tools.caches.serializers import JSON, Serializer

MAXSIZE: Final = 10_000
MAX_BYTES: Final = 256_000_000
TTL: Final = 3_600.0

#: Hits whose time of use is not in the file yet.
_UNWRITTEN: Final = 256

#: Bytes of a value after which the log is written back at once, since it is as large.
_LARGE: Final = 1_000_000

_log = logging.getLogger("perfguard.cache")


class DiskCache(Plain):
    """Keeps entries in a folder, in one SQLite database. Safe for threads and processes, and after a kill at any moment.

    Keys are text. An entry that cannot be read is a miss, and is removed; a broken file is moved aside with a warning. What is used
    least goes first; the order among the last 256 hits of each process is written down with its next change.

    Parameters
    ----------
    folder
        made if need be. Nobody else may write there if the serializer trusts what it reads, as pickle does.
    maxsize, max_bytes
        the most entries, and the most bytes that they take of the disk; the log adds up to some megabytes.
    ttl
        seconds that an entry lives where `set` does not say; None: for ever.
    serializer
        anything with `dumps` and `loads`; JSON by default, which refuses what would not come back as it is.
    clock
        seconds since 1970, for tests.

    Raises
    ------
    CacheError
        the folder cannot be used.
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
        self.folder = Path(folder)
        self._serializer = serializer
        self._clock = clock
        self._file = DiskFile(self.folder)
        self._lock = threading.Lock()
        self._used: dict[bytes, float] = {}
        self._counts = dict.fromkeys(("hits", "misses", "evictions", "expirations", "refusals", "corrupt"), 0)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key that was set and has not expired, or `default`."""
        found = self.lookup(key)
        return default if found is None else found.value

    def lookup(self, key: str) -> Found | None:
        """The value and the seconds it has left; None if there is nothing."""
        name = self._name(key)
        found = self._read(name)
        self._count("misses" if found is None else "hits")
        if found is not None:
            self._used[name] = self._clock()
            if len(self._used) >= _UNWRITTEN:
                self._try_to_write(self._write_uses)
        return found

    def set(self, key: str, value: Any, ttl: float | None = DEFAULT) -> None:
        """Keep a value for `ttl` seconds, None for ever; by default as long as the cache says.

        Raises
        ------
        CacheValueError
            the serializer cannot keep such a value.
        CacheError
            the disk is full, or busy for too long.
        """
        with self._changing(key):
            self._store(key, value, ttl)

    def delete(self, key: str) -> bool:
        """Forget a key; was there anything?"""
        with self._changing(key):
            return self._remove(key)

    def clear(self) -> None:
        """Forget everything; the statistics go on."""
        with self._changing_all():
            self._file.do(lambda connection: connection.execute("delete from entries"), write=True)
        self._used.clear()

    def stats(self) -> LevelStats:
        """The numbers of this moment: entries and bytes of all processes, the other counts of this one."""
        entries, cost = self._file.do(totals_of)
        with self._lock:
            return LevelStats(entries, cost, **self._counts)

    def size_on_disk(self) -> int:
        """Bytes of the files."""
        return self._file.size()

    def close(self) -> None:
        """Write down what was used last, and close the file; the cache may be used again."""
        if self._used:
            self._try_to_write(self._write_uses)
        self._file.close()

    def claim(self, key: str) -> Release | None:
        """The right to compute a key among all processes that use the folder; None while another one has it."""
        return self._file.try_lock(self._name(key))

    def __len__(self) -> int:
        return self.stats().entries

    def __enter__(self) -> DiskCache:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<DiskCache {self.folder}>"

    def _name(self, key: str) -> bytes:
        if not isinstance(key, str):
            raise CacheValueError(str(self.folder), f"the key {key!r} is no text")
        return key.encode(errors="surrogatepass")

    def _read(self, name: bytes) -> Found | None:
        row = self._file.do(lambda connection: connection.execute(GET, (name,)).fetchone())
        if row is None:
            return None
        data, crc, expires, _used = row
        left = None if expires is None else expires - self._clock()
        if left is not None and left <= 0:
            self._discard(name, "expirations", row)
            return None
        try:
            if zlib.crc32(data) != crc:
                raise ValueError("its bytes have changed")  # noqa: TRY301 - one way out for all that is wrong with it
            return Found(self._serializer.loads(data), left)
        except Exception as error:
            _log.warning("%s: the entry %r cannot be read and is removed: %s", self.folder, name, error)
            self._discard(name, "corrupt", row)
            return None

    def _store(self, key: str, value: Any, ttl: float | None) -> None:
        name, seconds = self._name(key), checked_ttl(ttl, self.ttl)
        data = self._serializer.dumps(value)
        expires = None if seconds is None else self._clock() + seconds
        row = name, data, zlib.crc32(data), expires, self._clock(), cost_of(name, data)
        self._file.do(lambda connection: self._write(connection, row), write=True)
        if len(data) > _LARGE:
            self._file.do(lambda connection: connection.execute("pragma wal_checkpoint(truncate)").fetchall())

    def _write(self, connection: Connection, row: tuple[Any, ...]) -> None:
        name, cost = row[0], row[-1]
        if cost > self.max_bytes:
            self._count("refusals")
            connection.execute("delete from entries where key = ?", (name,))
            return
        connection.execute(SET, row)
        self._used.pop(name, None)
        self._make_room(connection)

    def _remove(self, key: str) -> bool:
        sql, name = "delete from entries where key = ?", self._name(key)
        return self._file.do(lambda connection: connection.execute(sql, (name,)).rowcount > 0, write=True)

    def _discard(self, name: bytes, reason: str, row: tuple[Any, ...]) -> None:
        """Remove an entry that is of no use, unless it was replaced meanwhile."""
        self._count(reason)
        self._try_to_write(lambda connection: connection.execute(DISCARD, (name, *row[1:])))

    def _try_to_write(self, action: Callable[[Connection], object]) -> None:
        """What reading leaves to be written can wait, where the disk is full or busy."""
        with contextlib.suppress(CacheError):
            self._file.do(action, write=True)

    def _peek(self, key: str) -> Any:
        found = self._read(self._name(key))
        return MISSING if found is None else found.value

    def _make_room(self, connection: Connection) -> None:
        if not self._too_much(connection):
            return
        self._write_uses(connection)
        gone = connection.execute("delete from entries where expires <= ?", (self._clock(),)).rowcount
        self._count("expirations", gone)
        self._count("evictions", make_room(connection, self._too_much))

    def _too_much(self, connection: Connection) -> bool:
        entries, cost = totals_of(connection)
        return bool(entries > self.maxsize or cost > self.max_bytes)

    def _write_uses(self, connection: Connection) -> None:
        used, self._used = self._used, {}
        rows = [(when, name) for name, when in list(used.items())]
        connection.executemany("update entries set used = max(used, ?) where key = ?", rows)

    def _count(self, name: str, more: int = 1) -> None:
        with self._lock:
            self._counts[name] += more

    def begin_anew(self) -> None:
        """In a child process after a fork."""
        super().begin_anew()
        self._lock = threading.Lock()
