"""Reset locks and thread state in the child after `os.fork()`.

Every lock, thread and connection belongs to one process. A child starts without the threads of its parent, with locks
that these threads may hold, and with copies of connections that the parent still uses.
"""

from __future__ import annotations

import gc
import os
import weakref
from collections.abc import Iterable
from typing import Final, Protocol


class ForkAware(Protocol):
    """An object that resets itself in a child process."""

    def begin_anew(self) -> None:
        """Replace locks, and forget threads, connections and work in progress: they belong to the parent."""


_registered: Final[weakref.WeakSet[ForkAware]] = weakref.WeakSet()
_parents_objects: Final[list[object]] = []


def register_at_fork(obj: ForkAware) -> None:
    """Call `obj.begin_anew()` in every child process that is forked while `obj` is alive."""
    _registered.add(obj)


def keep_unclosed(objects: Iterable[object]) -> None:
    """Keep objects of the parent process alive: a finalizer that ran in the child could close what the parent uses."""
    _parents_objects.extend(objects)


class _CollectorPause:
    """Pauses the garbage collector from before a fork until all objects are reset.

    A finalizer that ran earlier in the child could wait for a lock that a thread of the parent holds.
    """

    def __init__(self) -> None:
        self._forks = 0
        self._was_enabled = False

    def begin(self) -> None:
        if not self._forks:
            self._was_enabled = gc.isenabled()
        self._forks += 1
        gc.disable()

    def end(self) -> None:
        self._forks -= 1
        if not self._forks and self._was_enabled:
            gc.enable()

    def end_in_child(self) -> None:
        self._forks = 1
        self.end()


_pause: Final = _CollectorPause()


def _after_fork_in_child() -> None:
    errors: list[BaseException] = []
    try:
        for obj in list(_registered):
            try:
                obj.begin_anew()
            except BaseException as error:
                errors.append(error)  # the other objects must be reset all the same
    finally:
        _pause.end_in_child()
    if errors:
        raise errors[0]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_pause.begin, after_in_parent=_pause.end, after_in_child=_after_fork_in_child)
