"""What is being read or computed while somebody changes it must not be kept."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Hashable, Iterator

#: Stands for all keys.
_ALL = object()


class Token:
    """One reading of a key."""

    __slots__ = ("fresh",)

    def __init__(self, fresh: bool) -> None:
        self.fresh = fresh


class Freshness:
    """The readings under way, by key. Safe to use from several threads.

    Who keeps what it has read asks `token.fresh` before and afterwards, and takes it back if it is not. Whoever changes a value spoils
    its readings: those that are under way, and those that begin before the change is done.
    """

    def __init__(self) -> None:
        self.tokens: dict[Hashable, list[Token]] = {}
        """By key; empty while nothing is under way."""
        self._changes: dict[Hashable, int] = {}
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def reading(self, key: Hashable) -> Iterator[Token]:
        """A reading, from here to the end of the block."""
        with self._lock:
            token = Token(key not in self._changes and _ALL not in self._changes)
            self.tokens.setdefault(key, []).append(token)
        try:
            yield token
        finally:
            with self._lock:
                tokens = self.tokens.get(key, [])
                if token in tokens:  # else this is a child process, which began anew
                    tokens.remove(token)
                    if not tokens:
                        del self.tokens[key]

    @contextlib.contextmanager
    def changing(self, key: Hashable = _ALL) -> Iterator[None]:
        """A change of a key, or of all, from here to the end of the block."""
        with self._lock:
            self._changes[key] = self._changes.get(key, 0) + 1
            self._spoil(key)
        try:
            yield
        finally:
            with self._lock:
                left = self._changes.get(key, 1) - 1
                self._changes[key] = left
                if not left:
                    del self._changes[key]

    def changed(self, key: Hashable = _ALL) -> None:
        """A key, or all, was changed by a single operation that nobody sees the midst of."""
        with self._lock:
            self._spoil(key)

    def begin_anew(self) -> None:
        """In a child process: the readings are the parent's."""
        self.tokens.clear()
        self._changes.clear()
        self._lock = threading.Lock()

    def _spoil(self, key: Hashable) -> None:
        spoiled = self.tokens.values() if key is _ALL else [self.tokens.get(key, [])]
        for tokens in spoiled:
            for token in tokens:
                token.fresh = False
