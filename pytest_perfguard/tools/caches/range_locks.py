"""Locks between processes, one per key, as byte ranges of one file. The system releases them when their process ends."""

from __future__ import annotations

import hashlib
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Final

from pytest_perfguard.core.fork import register_at_fork
from pytest_perfguard.core.shared_lock import SHARED_LOCK
from pytest_perfguard.tools.caches.level import MISSING, Missing
from pytest_perfguard.tools.caches.single_flight import (
    CURRENT,
    Flight,
    circular_wait,
    running_flights,
    waits_for_itself,
)

#: Bits of a key's hash that are used as the offset of its lock; files end at 2**63.
_BITS: Final = 62


def _fcntl() -> ModuleType | None:
    """Return the module that locks files; None on Windows, where threads of one process share locks and processes do not.

    Imported when locks are made: a child that is forked while another thread imports waits for that for ever.
    """
    try:
        import fcntl
    except ImportError:
        return None
    return fcntl


class RangeLocks:
    """The locks that this process holds in one file. Safe to use from several threads, and after a fork.

    Made by `range_locks`: closing any descriptor of a file releases all locks that the process holds on it, so each process must
    open the file once.
    """

    def __init__(self, path: Path) -> None:
        self._fcntl = _fcntl()
        self._path = path
        self._lock = SHARED_LOCK
        self._held: dict[int, Flight | None] = {}
        """By offset: the computation that holds the lock."""
        self._parents: dict[int, Flight | None] = {}
        """The locks that the parent held at the fork."""
        self._pid = 0
        self._files: list[int] = []  # the last one is open in this process, the others are inherited
        weakref.finalize(self, _close, self._files)
        register_at_fork(self)

    def begin_anew(self) -> None:
        """Reset in a forked child: held locks belong to the parent."""
        self._lock = SHARED_LOCK
        self._parents, self._held = self._held, {}

    def try_lock(self, key: bytes) -> Callable[[], None] | Missing | None:
        """Take the lock of a key. Return its release function, or None if another process or thread holds it.

        MISSING: the computation that holds it waits for the caller, which must get on without the lock.

        Raises
        ------
        CacheError
            if the caller is a part of the computation that holds the lock, through another cache on the same file.
        """
        offset = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> (64 - _BITS)
        with self._lock:
            self._open()
            is_held = offset in self._held
            holder = self._held.get(offset)
            if not is_held:
                if not self._lock_file(offset):
                    holder = self._parents.get(offset)
                    if holder is not None and holder in running_flights():  # the parent may wait for this child
                        raise circular_wait(holder)
                    return None
                self._held[offset] = CURRENT.get()
            pid = self._pid
        if is_held:
            if holder is not None and holder in running_flights():
                raise circular_wait(holder)
            return MISSING if holder is not None and waits_for_itself(holder) else None
        return lambda: self._unlock(offset, pid)

    def _lock_file(self, offset: int) -> bool:
        """Take the lock among processes. Return False if another process holds it."""
        fcntl = self._fcntl
        if fcntl is None:
            return True
        try:
            fcntl.lockf(self._files[-1], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def _unlock(self, offset: int, pid: int) -> None:
        fcntl = self._fcntl
        with self._lock:
            if pid == os.getpid():  # otherwise the parent holds it
                if fcntl is not None:
                    fcntl.lockf(self._files[-1], fcntl.LOCK_UN, 1, offset)
                self._held.pop(offset, None)

    def _open(self) -> None:
        if self._pid != os.getpid():  # the first time, or in a child, which does not inherit locks
            self._held.clear()
            if self._fcntl is not None:
                self._files.append(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._pid = os.getpid()


def _close(files: list[int]) -> None:
    for file in files:
        os.close(file)


class _KnownFiles:
    """The locks of all files in use, shared by the caches on one folder."""

    def __init__(self) -> None:
        self._lock = SHARED_LOCK
        self._locks: weakref.WeakValueDictionary[Path, RangeLocks] = weakref.WeakValueDictionary()
        register_at_fork(self)

    def begin_anew(self) -> None:
        self._lock = SHARED_LOCK

    def of(self, path: Path) -> RangeLocks:
        with self._lock:
            locks = self._locks.get(path)
            if locks is None:
                locks = self._locks[path] = RangeLocks(path)
            return locks


_known_files: Final = _KnownFiles()


def range_locks(path: Path) -> RangeLocks:
    """Return the locks of a file, the same object as long as one caller keeps it."""
    return _known_files.of(path.resolve())
