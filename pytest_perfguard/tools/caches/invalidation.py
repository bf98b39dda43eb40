"""Discard a value that was read or computed while its key was being modified."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Hashable, Iterator

#: Stands for all keys.
_ALL = object()


class ReadToken:
    """One read of a key. `valid` becomes False when the key is modified during the read."""

    __slots__ = ("valid",)

    def __init__(self, valid: bool) -> None:
        self.valid = valid


class ReadTracker:
    """The reads in progress, by key. Safe to use from several threads.

    A reader that keeps a value checks `token.valid` before and afterwards, and removes the value again if the token has become
    invalid. A modification invalidates the reads of its key that are in progress, and those that begin before it ends.
    """

    def __init__(self) -> None:
        self.tokens: dict[Hashable, list[ReadToken]] = {}
        """By key; empty while no read is in progress."""
        self._changes: dict[Hashable, int] = {}
        # Reentrant: a key's `__eq__`, or a finalizer, may use the cache in the middle of a lookup.
        self._lock = threading.RLock()

    @contextlib.contextmanager
    def reading(self, key: Hashable) -> Iterator[ReadToken]:
        """Track a read for the duration of the block."""
        token = self.begin(key)
        try:
            yield token
        finally:
            self.end(key, token)

    def begin(self, key: Hashable) -> ReadToken:
        """Begin a read."""
        with self._lock:
            token = ReadToken(key not in self._changes and _ALL not in self._changes)
            self.tokens.setdefault(key, []).append(token)
            return token

    def end(self, key: Hashable, token: ReadToken) -> None:
        """End a read."""
        with self._lock:
            tokens = self.tokens.get(key, [])
            if token in tokens:  # a forked child has forgotten the reads of its parent
                tokens.remove(token)
                if not tokens:
                    del self.tokens[key]

    @contextlib.contextmanager
    def changing(self, key: Hashable = _ALL) -> Iterator[None]:
        """Mark a key, or all keys, as being modified for the duration of the block."""
        with self._lock:
            self._changes[key] = self._changes.get(key, 0) + 1
            self._invalidate(key)
        try:
            yield
        finally:
            with self._lock:
                left = self._changes.get(key, 1) - 1
                self._changes[key] = left
                if not left:
                    del self._changes[key]

    def invalidate(self, key: Hashable = _ALL) -> None:
        """Invalidate the reads in progress after an atomic modification of a key, or of all keys."""
        with self._lock:
            self._invalidate(key)

    def begin_anew(self) -> None:
        """Reset in a forked child: the reads belong to the parent."""
        self.tokens.clear()
        self._changes.clear()
        self._lock = threading.RLock()

    def _invalidate(self, key: Hashable) -> None:
        affected = list(self.tokens.values()) if key is _ALL else [self.tokens.get(key, [])]
        for tokens in affected:
            for token in tokens:
                token.valid = False
