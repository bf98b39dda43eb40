"""The file of a `DiskCache`: its tables, its connections, and what happens when it is broken."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import time
import weakref
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from pytest_perfguard.core.tool_errors import CacheError
from pytest_perfguard.tools.caches.disk_tables import PAGE, TABLES
from pytest_perfguard.tools.caches.range_locks import range_locks

T = TypeVar("T")

_log = logging.getLogger("perfguard.cache")

#: Seconds that a call waits for other processes to be done writing.
BUSY_TIMEOUT: Final = 10.0
#: Bytes that the log of what is not in the main file yet may take before it is written back.
_LOG_PAGES: Final = 256
#: Connections that are kept for the next call.
_MOST_IDLE: Final = 8


class _Connection(NamedTuple):
    connection: sqlite3.Connection
    file: int
    """The number of the file that it has open: another one may have its name by now."""


class BrokenFile(CacheError):
    """The file was no database any more, and has been moved aside; the next call begins anew."""


#: Connections that other processes opened and this one inherited by a fork: SQLite forbids to use them, or to close them.
_inherited: Final[list[object]] = []


class DiskFile:
    """Connections to the database of a folder, each used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "cache.db"
        self._folder = folder
        self._idle: deque[_Connection] = deque()
        self._owner = [os.getpid()]
        weakref.finalize(self, _close_all, self._idle, self._owner)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._locks = range_locks(folder / "locks")
            self.do(lambda _connection: None)
        except OSError as error:
            raise CacheError(str(folder), f"cannot keep a cache here: {error.strerror or error}") from error

    def do(self, action: Callable[[sqlite3.Connection], T], *, write: bool = False) -> T:
        """What `action(connection)` returns; with `write` in one transaction, that is kept if it does not raise.

        Where the file turns out to be broken, it is moved aside, and the action is done with a new one.

        Raises
        ------
        CacheError
            the disk is full, another process writes for too long, or the folder is read-only.
        """
        try:
            return self._done(action, write)
        except BrokenFile:
            return self._done(action, write)

    def try_lock(self, key: bytes) -> Callable[[], None] | None:
        """Lock a key among all processes; None while another one, or another thread, has it.

        Raises
        ------
        CacheError
        """
        try:
            return self._locks.try_lock(key)
        except OSError as error:
            raise CacheError(str(self._folder), f"cannot lock here: {error.strerror or error}") from error

    def close(self) -> None:
        """Close what is idle; the next call opens anew."""
        self._forget_inherited()
        _close_all(self._idle, self._owner)

    def size(self) -> int:
        """Bytes on the disk, of the database and its log."""
        sizes = 0
        for file in self._folder.glob("cache.db*"):
            with contextlib.suppress(FileNotFoundError):  # the log goes when it is written back
                sizes += file.stat().st_size
        return sizes

    def _done(self, action: Callable[[sqlite3.Connection], T], write: bool) -> T:
        borrowed: _Connection | None = None
        try:
            borrowed = self._borrowed()
            connection = borrowed.connection
            if write:
                connection.execute("begin immediate")
            result = action(connection)
            if write:
                connection.execute("commit")
        except sqlite3.DatabaseError as error:
            _close(borrowed)
            raise self._problem(error) from error
        except BaseException:
            _close(borrowed)
            raise
        self._idle.append(borrowed) if len(self._idle) < _MOST_IDLE else _close(borrowed)
        return result

    def _borrowed(self) -> _Connection:
        self._forget_inherited()
        file = self._file_number()
        while self._idle:
            with contextlib.suppress(IndexError):  # another thread was quicker
                borrowed = self._idle.pop()
                if borrowed.file == file:
                    return borrowed
                _close(borrowed)  # the file was moved aside, or removed
        if not file:
            self._folder.mkdir(parents=True, exist_ok=True)
        return self._opened()

    def _forget_inherited(self) -> None:
        if self._owner != [os.getpid()]:
            _inherited.append(list(self._idle))
            self._idle.clear()
            self._owner[0] = os.getpid()

    def _file_number(self) -> int:
        try:
            return self.path.stat().st_ino
        except OSError:
            return 0

    def _opened(self) -> _Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            if connection.execute("pragma user_version").fetchone()[0] == 0:
                self._prepare(connection)
            connection.execute(
                "pragma synchronous = normal"
            )  # of the log: a kill loses nothing, a power cut the last writes
            connection.execute(f"pragma wal_autocheckpoint = {_LOG_PAGES}")
            connection.execute(f"pragma journal_size_limit = {_LOG_PAGES * PAGE}")
        except BaseException:
            connection.close()
            raise
        return _Connection(connection, self._file_number())

    @staticmethod
    def _prepare(connection: sqlite3.Connection) -> None:
        connection.execute(f"pragma page_size = {PAGE}")
        connection.execute("pragma journal_mode = wal")
        connection.execute("begin immediate")
        if connection.execute("pragma user_version").fetchone()[0] == 0:  # else another process was quicker
            for statement in TABLES.strip().split(";\n"):
                connection.execute(statement)
        connection.execute("commit")

    def _problem(self, error: sqlite3.DatabaseError) -> CacheError:
        if _is_broken(error):
            return BrokenFile(str(self.path), f"the file is broken ({error}){self._moved_aside()}")
        return CacheError(str(self.path), str(error))

    def _moved_aside(self) -> str:
        """Move a broken file out of the way, once among all processes; it is kept for whoever wants to know why."""
        self.close()
        release = self._locks.try_lock(b"\0broken")
        if release is None:
            return "; another process moves it aside"
        try:
            if not _is_unreadable(self.path):
                return "; another process has moved it aside"
            aside = self.path.with_name(f"broken-{time.time_ns()}.db")
            self.path.rename(aside)
            for suffix in ("-wal", "-shm"):
                Path(f"{self.path}{suffix}").unlink(missing_ok=True)
        except OSError as problem:
            return f", and cannot be moved aside: {problem}"
        finally:
            release()
        _log.warning("%s was broken; it is now %s, and the cache begins anew", self.path, aside.name)
        return f"; it is now {aside.name}, and the cache begins anew"


def _close_all(connections: deque[_Connection], owner: list[int]) -> None:
    while connections and owner == [os.getpid()]:  # a child must not close what it inherited
        with contextlib.suppress(IndexError):
            _close(connections.pop())


def _close(borrowed: _Connection | None) -> None:
    if borrowed is not None:
        with contextlib.suppress(sqlite3.Error):
            borrowed.connection.close()  # an open transaction is rolled back


def _is_broken(error: sqlite3.DatabaseError) -> bool:
    """The very class is raised for files that are no database, or a malformed one; all else has classes of its own."""
    return type(error) is sqlite3.DatabaseError or "no such table" in str(error)


def _is_unreadable(path: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT)) as connection:
            connection.execute("select entries from totals").fetchone()
            return bool(connection.execute("pragma quick_check(1)").fetchone()[0] != "ok")
    except sqlite3.Error:
        return True
