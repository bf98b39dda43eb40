"""Reset locks and thread state in the child after `os.fork()`.

Every lock, thread and connection belongs to one process. A child starts without the threads of its parent, with locks
that these threads may hold, and with copies of connections that the parent still uses.
"""

from __future__ import annotations

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


def _after_fork_in_child() -> None:
    errors: list[BaseException] = []
    for obj in list(_registered):
        try:
            obj.begin_anew()
        except BaseException as error:
            errors.append(error)  # the other objects must be reset all the same
    if errors:
        raise errors[0]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
