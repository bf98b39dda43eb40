"""The nouns of pools: an entry is one pooled thing, a ticket one borrower who waits."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import FrameType
from typing import Final, Generic, TypeVar

from pytest_perfguard.core.tool_errors import NotLent
from pytest_perfguard.tools.pools.targets import Target

T = TypeVar("T")
#: Of objects, which come from nowhere.
NO_TARGET: Final = Target("")

#: Frames of a borrower that are remembered.
FRAMES: Final = 8
_OWN: Final = __name__.rpartition(".")[0]

#: Where a borrower stood: (file, line, function), the innermost first.
Stack = tuple[tuple[str, int, str], ...]


class PooledItem(Generic[T]):
    """One thing of a pool, idle or lent."""

    __slots__ = ("dies", "idle_since", "lent", "number", "stack", "target", "thing")

    def __init__(self, thing: T, now: float = 0.0, dies: float = float("inf"), target: Target = NO_TARGET) -> None:
        self.thing = thing
        self.target = target
        self.dies = dies
        """When it is too old to be lent again, on the pool's clock."""
        self.idle_since = now
        self.lent = False
        self.number = 0
        """Of the acquisition that has it."""
        self.stack: Stack = ()
        """Of who took it, where that is kept."""


class Waiter(Generic[T]):
    """A borrower who waits. `call` wakes it up, once `entry` is set, or once it may make one itself."""

    __slots__ = ("call", "entry", "may_create")

    def __init__(self, call: Callable[[], object]) -> None:
        self.call = call
        self.entry: PooledItem[T] | None = None
        self.may_create = False


@dataclass(frozen=True)
class Limits:
    """Sizes, and seconds."""

    min_size: int
    max_size: int
    max_idle: float
    max_lifetime: float
    jitter: float
    """Lifetimes are shortened by up to this share, so that connections do not all end at once."""


@dataclass
class Actions(Generic[T]):
    """What the shell must do, outside of the lock."""

    connect: list[str] = field(default_factory=list)
    """A connection to each of these targets; then `connected` or `not_connected`."""
    close: list[PooledItem[T]] = field(default_factory=list)


@dataclass(frozen=True)
class Lent:
    """One thing that has not come back yet."""

    thing: object
    number: int
    """Of its acquisition: later ones have larger numbers."""
    stack: Stack
    """Of who took it; () where the pool does not trace."""

    def lines(self) -> list[str]:
        """What it is and where it was taken."""
        frames = [f"    taken at {file}:{line} in {function}" for file, line, function in self.stack]
        return [f"{self.thing!r:.200}", *frames]


def not_lent(pool: str, thing: object, idle: Iterable[PooledItem[T]]) -> NotLent:
    """The error that says why something cannot be given back."""
    known = any(entry.thing is thing for entry in idle)
    what = "was given back already" if known else "is not one that this pool has lent"
    return NotLent(pool, f"{thing!r:.200} {what}")


def sorted_out(
    idle: Iterable[PooledItem[T]], now: float, limits: Limits, size: int
) -> tuple[list[PooledItem[T]], list[PooledItem[T]]]:
    """(those of the idle that stay, those that are too old, idle for too long beyond the minimum, or too many).

    The one that has been idle for longest comes first; `size` counts the others of the pool, too.
    """
    kept, gone = [], []
    for entry in idle:
        unused = size > limits.min_size and now - entry.idle_since >= limits.max_idle
        if entry.dies <= now or unused or size > limits.max_size:
            gone.append(entry)
            size -= 1
        else:
            kept.append(entry)
    return kept, gone


def lent_things(entries: Iterable[PooledItem[T]]) -> list[Lent]:
    """These entries for a reader, in the order in which they were taken."""
    ordered = sorted(entries, key=lambda entry: entry.number)
    return [Lent(entry.thing, entry.number, entry.stack) for entry in ordered]


def caller_stack() -> Stack:
    """The frames of whoever called the pool, without the pool's own."""
    frame: FrameType | None = sys._getframe(1)
    stack: list[tuple[str, int, str]] = []
    while frame is not None and len(stack) < FRAMES:
        if not str(frame.f_globals.get("__name__")).startswith(_OWN):
            stack.append((frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
        frame = frame.f_back
    return tuple(stack)
