"""The SQLite database of a `DiskCache`: its tables, its connections, and what happens at a fork and when the file is broken."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from pytest_perfguard.core.event import ReentrantEvent
from pytest_perfguard.core.shared_lock import STEPS, holds_shared_lock, in_shared_step
from pytest_perfguard.core.tool_errors import CacheError
from pytest_perfguard.tools.caches.entries_table import PAGE, TABLES, VERSION
from pytest_perfguard.tools.caches.level import MISSING, Missing
from pytest_perfguard.tools.caches.lru_entries import AtomicCounter
from pytest_perfguard.tools.caches.range_locks import range_locks

T = TypeVar("T")

_log = logging.getLogger("perfguard.cache")

#: Seconds that a call waits while other processes write.
BUSY_TIMEOUT: Final = 10.0
#: The same for a finalizer in the middle of a step, which may hold up the thread that writes.
STEP_TIMEOUT: Final = 1.0
#: Seconds of one attempt to begin a transaction. A fork waits for it.
ATTEMPT: Final = 0.05
#: Seconds that a fork waits for calls in progress.
FORK_TIMEOUT: Final = 15.0
#: Connections that are kept open for the next calls.
MAX_IDLE: Final = 8
#: Pages of the write-ahead log after which they are copied to the main file.
LOG_PAGES: Final = 500


class BrokenFile(CacheError):
    """The file was not a database of this kind and has been moved aside. The next call begins a new one."""


class UnwritableDisk(CacheError):
    """The disk is full, or does not accept what is written."""


class _Connection(NamedTuple):
    connection: sqlite3.Connection
    file: int
    """The inode of the file that is open. Another file may have its name by now."""


class Database:
    """Connections to the database of a folder, each used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "cache.db"
        self._path = str(self.path)
        self._folder = folder
        self._idle: deque[_Connection] = deque()
        self._writing = threading.local()
        weakref.finalize(self, close_all, self._idle, os.getpid())
        _gate.databases.add(self)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._locks = range_locks(folder / "locks")
            self.do(lambda _connection: None)
        except OSError as error:
            raise CacheError(str(folder), f"cannot keep a cache here: {error.strerror or error}") from error

    def fetch(self, sql: str, arguments: tuple[object, ...]) -> Any:
        """Return the first row of a query, or None."""
        writing = self._transaction()
        if writing is not None:  # other connections do not see its changes
            return writing.execute(sql, arguments).fetchone()
        _gate.enter()
        borrowed: _Connection | None = None
        try:
            borrowed = self._borrowed()
            row = borrowed.connection.execute(sql, arguments).fetchone()
            self._idle.append(borrowed)
        except BaseException as error:
            _close(borrowed)
            if not isinstance(error, sqlite3.DatabaseError):
                raise
        else:
            if len(self._idle) > MAX_IDLE:
                self._close_one()
            return row
        finally:
            _gate.leave()
        return self.do(lambda connection: connection.execute(sql, arguments).fetchone())

    def do(self, action: Callable[[sqlite3.Connection], T], *, write: bool = False) -> T:
        """Return the result of `action(connection)`; with `write` in a transaction that an error rolls back.

        If the file turns out to be broken, it is moved aside, and the action is repeated with a new one.

        Raises
        ------
        CacheError
            if the disk is full, another process writes for too long, or the folder is read-only.
        """
        writing = self._transaction()
        if write and writing is not None:
            return action(writing)
        attempt = self._written if write else self._done
        deadline = None
        while True:
            try:
                return attempt(action)
            except BrokenFile:
                return attempt(action)
            except _Busy as error:
                now = time.monotonic()
                if deadline is None:
                    deadline = now + (STEP_TIMEOUT if holds_shared_lock() else BUSY_TIMEOUT)
                if now >= deadline:
                    raise CacheError(self._path, error.problem) from error

    def _transaction(self) -> sqlite3.Connection | None:
        """Return the connection on which this thread has begun a transaction: a finalizer is in the middle of it."""
        writing: sqlite3.Connection | None = getattr(self._writing, "connection", None)
        return writing if writing is not None and writing.in_transaction else None

    def try_lock(self, key: bytes) -> Callable[[], None] | Missing | None:
        """Lock a key among all processes. Return its release function, or None if another thread or process holds it.

        MISSING: the holder waits for the caller.

        Raises
        ------
        CacheError
            if the folder does not permit locks.
        """
        try:
            return self._locks.try_lock(key)
        except OSError as error:
            raise CacheError(str(self._folder), f"cannot lock here: {error.strerror or error}") from error

    def close(self) -> None:
        """Close idle connections. The next call opens new ones."""
        close_all(self._idle, os.getpid())

    def size(self) -> int:
        """Return the bytes that the database and its log take on the disk."""
        sizes = 0
        for file in self._folder.glob("cache.db*"):
            with contextlib.suppress(FileNotFoundError):  # the log is removed when it has been copied
                sizes += file.stat().st_size
        return sizes

    def discard(self) -> None:
        """Remove the file, and with it all entries, where the disk is too full to remove them one by one.

        Raises
        ------
        CacheError
            if it cannot be removed.
        """
        self.close()
        try:
            self._unlink()
        except OSError as error:
            raise CacheError(self._path, f"cannot be removed: {error.strerror or error}") from error
        _log.warning("%s: the disk is full; the cache was removed, so that no outdated entry stays", self._path)

    def begin_anew(self) -> None:
        """Reset in a forked child. SQLite forbids it to use or close connections that were open at the fork."""
        _inherited.extend(self._idle)
        self._idle.clear()
        self._writing = threading.local()

    def _done(self, action: Callable[[sqlite3.Connection], T]) -> T:
        borrowed: _Connection | None = None
        _gate.enter()
        try:
            borrowed = self._borrowed()
            result = action(borrowed.connection)
        except sqlite3.DatabaseError as error:
            _close(borrowed)
            raise self._problem(error) from error
        except BaseException:
            _close(borrowed)
            raise
        else:
            self._give_back(borrowed)
        finally:
            _gate.leave()
        return result

    def _written(self, action: Callable[[sqlite3.Connection], T]) -> T:
        def transaction(connection: sqlite3.Connection) -> T:
            outer = getattr(self._writing, "connection", None)
            self._writing.connection = connection  # first: another transaction of this thread would wait for it
            try:
                connection.execute("begin immediate")
                result = action(connection)
                connection.execute("commit")
            finally:
                self._writing.connection = outer
            return result

        return self._done(transaction)

    def _give_back(self, borrowed: _Connection) -> None:
        self._idle.append(borrowed)
        if len(self._idle) > MAX_IDLE:
            self._close_one()

    def _close_one(self) -> None:
        with contextlib.suppress(IndexError):  # taken by another thread
            _close(self._idle.popleft())

    def _borrowed(self) -> _Connection:
        try:
            file = os.stat(self._path).st_ino  # noqa: PTH116 - pathlib takes five times as long, at every call
        except OSError:
            file = 0
        while self._idle:
            try:
                borrowed = self._idle.pop()
            except IndexError:  # taken by another thread
                break
            if borrowed.file == file:
                return borrowed
            _close(borrowed)  # the file was moved aside or removed
        if not file:
            self._folder.mkdir(parents=True, exist_ok=True)
        return self._opened()

    def _opened(self) -> _Connection:
        timeout = min(ATTEMPT, BUSY_TIMEOUT)
        connection = sqlite3.connect(self._path, timeout=timeout, isolation_level=None, check_same_thread=False)
        try:
            if connection.execute("pragma user_version").fetchone()[0] != VERSION:
                _create_tables(connection)
            # Of the log: a kill loses nothing, a power failure the last writes.
            connection.execute("pragma synchronous = normal")
            connection.execute(f"pragma wal_autocheckpoint = {LOG_PAGES}")
            connection.execute(f"pragma journal_size_limit = {LOG_PAGES * PAGE}")
            file = self.path.stat().st_ino
        except OSError as error:
            connection.close()
            raise sqlite3.OperationalError(f"the file was removed meanwhile: {error}") from error
        except BaseException:
            connection.close()
            raise
        return _Connection(connection, file)

    def _problem(self, error: sqlite3.DatabaseError) -> CacheError:
        text = str(error)
        if "locked" in text or "busy" in text:
            return _Busy(self._path, text)
        if _is_broken(error):
            return BrokenFile(self._path, f"the file is broken ({text}){self._moved_aside()}")
        return (UnwritableDisk if "full" in text or "disk I/O" in text else CacheError)(self._path, text)

    def _moved_aside(self) -> str:
        """Move a broken file aside, once among all processes. It is kept for diagnosis."""
        self.close()
        release = self._locks.try_lock(b"\0broken")
        if release is None or release is MISSING:
            return "; another process moves it aside"
        try:
            if not _is_unreadable(self.path):
                return "; another process has moved it aside"
            aside = self.path.with_name(f"broken-{time.time_ns()}.db")
            self._unlink(aside)
        except OSError as problem:
            return f", and cannot be moved aside: {problem}"
        finally:
            release()
        _log.warning("%s was broken; it is now %s, and the cache begins anew", self.path, aside.name)
        return f"; it is now {aside.name}, and the cache begins anew"

    def _unlink(self, aside: Path | None = None) -> None:
        """Remove the files of the database, or rename the main one."""
        if aside is not None:
            self.path.rename(aside)
        else:
            self.path.unlink(missing_ok=True)
        for suffix in ("-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)


class _Busy(CacheError):
    """Another process writes."""


class _ForkGate:
    """Lets no fork happen while a call is inside of SQLite, and closes idle connections before it. Each call is a step.

    A child inherits SQLite's knowledge of the locks that its process holds, and its mutexes. It must inherit none of them.
    """

    def __init__(self) -> None:
        self.databases: weakref.WeakSet[Database] = weakref.WeakSet()
        self.reset()

    def reset(self) -> None:
        self._entered, self._left = AtomicCounter(), AtomicCounter()
        self._forks = 0
        self._no_fork = ReentrantEvent()
        self._no_fork.set()
        self._lock = threading.RLock()

    def enter(self) -> None:
        """Begin a call, after a fork in progress. Every call of `enter` is followed by one of `leave`.

        Raises
        ------
        CacheError
            a finalizer, in the middle of a step, would hold up the fork for which it waits.
        """
        self._enter()  # before the check: `before_fork` sets its mark and then counts
        while self._forks and STEPS.number == 1:  # a fork waits for a call that this one interrupts
            self.leave()
            if in_shared_step():
                raise CacheError("disk cache", "a finalizer called it during a fork, in the middle of another call")
            self._no_fork.wait(FORK_TIMEOUT)
            self._enter()

    def leave(self) -> None:
        """End a call."""
        STEPS.number -= 1
        self._left.add()

    def _enter(self) -> None:
        self._entered.add()
        STEPS.number += 1

    def before_fork(self) -> None:
        """Wait for the calls in progress, but not for ever: one of them may be of the thread that forks.

        The fork itself is a step: a finalizer that runs in the middle of it does not wait for its end.
        """
        STEPS.number += 1
        with self._lock:
            self._no_fork.clear()
            self._forks += 1
        deadline = time.monotonic() + FORK_TIMEOUT
        while self._left.value() != self._entered.value() and time.monotonic() < deadline:
            time.sleep(0.0005)
        for database in list(self.databases):
            database.close()

    def after_in_parent(self) -> None:
        with self._lock:
            self._forks -= 1
            if not self._forks:
                self._no_fork.set()
        STEPS.number -= 1

    def after_in_child(self) -> None:
        STEPS.number -= 1
        self.reset()
        for database in list(self.databases):
            database.begin_anew()


_gate: Final = _ForkGate()
#: Connections that were open at a fork. They are kept: to close them would release locks of the parent.
_inherited: Final[list[_Connection]] = []

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_gate.before_fork, after_in_parent=_gate.after_in_parent, after_in_child=_gate.after_in_child
    )


def absolute(folder: str | os.PathLike[str]) -> Path:
    """Return the absolute path of a folder: the program may change its working directory.

    Raises
    ------
    CacheError
        if the path is relative, and there is no working directory any more.
    """
    path = Path(os.fsdecode(folder))
    try:
        return path.absolute()
    except OSError as error:
        raise CacheError(str(path), f"there is no working directory: {error.strerror or error}") from error


def close_all(connections: deque[_Connection], pid: int) -> None:
    """Close connections, unless they belong to the parent of a forked child."""
    while connections and pid == os.getpid():
        with contextlib.suppress(IndexError):
            _close(connections.pop())


def _close(borrowed: _Connection | None) -> None:
    if borrowed is not None:
        with contextlib.suppress(sqlite3.Error):
            borrowed.connection.close()  # rolls back an open transaction


def _create_tables(connection: sqlite3.Connection) -> None:
    _check_version(connection)  # before anything is written into a file that may belong to another program
    connection.execute(f"pragma page_size = {PAGE}")
    connection.execute("pragma journal_mode = wal")
    connection.execute("begin immediate")
    version = _check_version(connection)
    if version == 1:
        connection.execute("drop table entries")
        connection.execute("drop table totals")
    if version != VERSION:  # otherwise another process has created them
        for statement in TABLES.strip().split(";\n"):
            connection.execute(statement)
    connection.execute("commit")


def _check_version(connection: sqlite3.Connection) -> int:
    version = int(connection.execute("pragma user_version").fetchone()[0])
    if version == 1:  # an earlier release, or another program
        connection.execute("select key, value, crc, expires, used, cost from entries limit 1")
    elif version not in (0, VERSION):
        raise sqlite3.DatabaseError(f"the tables have the unknown version {version}")
    return version


def _is_broken(error: sqlite3.DatabaseError) -> bool:
    """Return whether the file is not a database, or a malformed one. All other errors have subclasses of their own."""
    return type(error) is sqlite3.DatabaseError or "no such table" in str(error) or "no such column" in str(error)


def _is_unreadable(path: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=BUSY_TIMEOUT)) as connection:
            connection.execute("select entries from totals").fetchone()
            if connection.execute("pragma user_version").fetchone()[0] != VERSION:
                return True
            return bool(connection.execute("pragma quick_check(1)").fetchone()[0] != "ok")
    except sqlite3.Error:
        return True
