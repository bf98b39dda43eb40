"""What holds locks or has threads, in a child process after a fork."""

from __future__ import annotations

import os
import weakref
from typing import Final, Protocol


class Forked(Protocol):
    """Something that a fork copies in whatever state it is."""

    def begin_anew(self) -> None:
        """In the child: locks may have been held, and what is under way is the parent's."""


_alive: Final[weakref.WeakSet[Forked]] = weakref.WeakSet()


def register_at_fork(thing: Forked) -> None:
    """Call `thing.begin_anew()` in every child process that is forked while it lives."""
    _alive.add(thing)


def _after_fork() -> None:
    for thing in list(_alive):
        thing.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
