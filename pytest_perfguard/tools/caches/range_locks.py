"""Locks between processes, one per key, all in one file: ranges of one byte each, which the system gives back when their process ends."""

from __future__ import annotations

import hashlib
import os
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pytest_perfguard.core.fork import register_at_fork
from pytest_perfguard.tools.caches.single_flight import CURRENT, Flight, check_no_circle

#: Offsets that a key's hash is taken to; those of files end at 2**63.
_BITS: Final = 62


class RangeLocks:
    """The locks of one file in this process. Safe to use from several threads, and after a fork.

    To be had from `range_locks`: closing any descriptor of a file gives back all locks that this process has on it, so there
    must be one only.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._held: dict[int, Flight | None] = {}
        """By offset: the work that the lock is held for."""
        self._pid = 0
        self._files: list[int] = []  # the last is this process's, the others were inherited
        weakref.finalize(self, _close, self._files)
        register_at_fork(self)

    def begin_anew(self) -> None:
        """In a child process: what is held is the parent's, and the lock may have been held by a thread that is not here."""
        self._lock = threading.Lock()
        self._held = {}

    def try_lock(self, key: bytes) -> Callable[[], None] | None:
        """Take the lock of a key; returns what gives it back, or None where another process or thread has it.

        Raises
        ------
        CacheError
            the work that has it is the one that asks, by way of another cache on the same file: it would wait for itself.
        """
        import fcntl

        offset = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "big") >> (64 - _BITS)
        with self._lock:
            self._open()
            if offset in self._held:
                if (holder := self._held[offset]) is not None:
                    check_no_circle(holder)
                return None
            try:
                fcntl.lockf(self._files[-1], fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
            except (BlockingIOError, PermissionError):
                return None
            self._held[offset] = CURRENT.get()
            pid = self._pid
        return lambda: self._unlock(offset, pid)

    def _unlock(self, offset: int, pid: int) -> None:
        import fcntl

        with self._lock:
            if pid == os.getpid():  # else it was the parent's
                fcntl.lockf(self._files[-1], fcntl.LOCK_UN, 1, offset)
                self._held.pop(offset, None)

    def _open(self) -> None:
        if self._pid != os.getpid():  # the first time, or in a child, to which the parent's locks do not belong
            self._held.clear()
            self._files.append(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._pid = os.getpid()


def _close(files: list[int]) -> None:
    for file in files:
        os.close(file)


_known: weakref.WeakValueDictionary[Path, RangeLocks] = weakref.WeakValueDictionary()
_knowing: Final = threading.Lock()


def range_locks(path: Path) -> RangeLocks:
    """The locks in this file, which all who ask share as long as one of them keeps them."""
    path = path.resolve()
    with _knowing:
        locks = _known.get(path)
        if locks is None:
            locks = _known[path] = RangeLocks(path)
        return locks
