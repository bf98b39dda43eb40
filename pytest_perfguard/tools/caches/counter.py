"""A counter that threads share without a lock."""

from __future__ import annotations

import itertools
import threading


class Counter:
    """Counts calls of `add`, which the interpreter does not divide."""

    __slots__ = ("_lock", "_looks", "_numbers", "add")

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._looks = 0
        self._lock = threading.Lock()
        self.add = self._numbers.__next__

    def value(self) -> int:
        """How often that was."""
        with self._lock:
            value = next(self._numbers) - self._looks
            self._looks += 1
        return value

    def begin_anew(self) -> None:
        """In a child process, where the lock may have been held."""
        self._lock = threading.Lock()
