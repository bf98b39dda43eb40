"""Discard a value that was read or computed while its key was being modified."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator

#: Stands for all keys.
_ALL = object()


class ReadToken:
    """One read of a key. `valid` becomes False when the key is modified during the read."""

    __slots__ = ("valid",)

    def __init__(self, valid: bool) -> None:
        self.valid = valid


class ReadTracker:
    """The reads in progress. Safe to use from several threads, and in the middle of its own work by a finalizer.

    A reader that keeps a value checks `token.valid` before and afterwards, and removes the value again if the token has become
    invalid. A modification invalidates the reads of its key that are in progress, and those that begin before it ends.

    It needs no lock, under which a key's `__eq__` or a finalizer would run: a read is noted before the modifications are checked, and
    a modification before the reads are. So one of the two notices the other.
    """

    def __init__(self) -> None:
        self.tokens: dict[ReadToken, Hashable] = {}
        """The reads in progress, with their keys."""
        self._changes: dict[object, Hashable] = {}
        """The modifications in progress, with their keys."""

    @contextlib.contextmanager
    def reading(self, key: Hashable) -> Iterator[ReadToken]:
        """Track a read for the duration of the block."""
        token = self.begin(key)
        try:
            yield token
        finally:
            self.end(token)

    def begin(self, key: Hashable) -> ReadToken:
        """Begin a read."""
        token = ReadToken(True)
        self.tokens[token] = key
        if self._changes and any(changed is _ALL or changed == key for changed in list(self._changes.values())):
            token.valid = False
        return token

    def end(self, token: ReadToken) -> None:
        """End a read."""
        self.tokens.pop(token, None)  # a forked child has forgotten the reads of its parent

    @contextlib.contextmanager
    def changing(self, key: Hashable = _ALL) -> Iterator[None]:
        """Mark a key, or all keys, as being modified for the duration of the block."""
        hash(key)  # refuses a key that no cache accepts
        change = object()
        self._changes[change] = key
        try:
            self.invalidate(key)
            yield
        finally:
            self._changes.pop(change, None)

    def invalidate(self, key: Hashable = _ALL) -> None:
        """Invalidate the reads in progress of a key, or of all keys."""
        for token, read in list(self.tokens.items()):
            if key is _ALL or read == key:
                token.valid = False

    def begin_anew(self) -> None:
        """Reset in a forked child: the reads belong to the parent."""
        self.tokens.clear()
        self._changes.clear()
