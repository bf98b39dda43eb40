"""Pooled items, waiting borrowers, and the actions that a pool's state requests."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import FrameType
from typing import Final, Generic, TypeVar

from pytest_perfguard.core.tool_errors import NotLent
from pytest_perfguard.tools.pools.targets import Target

T = TypeVar("T")
#: Target of plain objects.
NO_TARGET: Final = Target("")
#: Stack frames of a borrower that are recorded.
MAX_FRAMES: Final = 8
MAX_REPR: Final = 200
_OWN: Final = __name__.rpartition(".")[0]

#: Where an object was acquired: (file, line, function), the innermost frame first.
Stack = tuple[tuple[str, int, str], ...]


class PooledItem(Generic[T]):
    """One object of a pool, idle or in use."""

    __slots__ = ("expires_at", "idle_since", "in_use", "number", "obj", "stack", "target")

    def __init__(self, obj: T, now: float = 0.0, expires_at: float = math.inf, target: Target = NO_TARGET) -> None:
        self.obj = obj
        self.target = target
        self.expires_at = expires_at
        """Time on the pool's clock after which the object is not lent any more."""
        self.idle_since = now
        self.in_use = False
        self.number = 0
        """Number of the acquisition that holds the object."""
        self.stack: Stack = ()
        """Stack of the borrower, where the pool traces."""


class Waiter(Generic[T]):
    """A waiting borrower. `wake` is called once `item` is set, once the borrower may create, or when the pool closes."""

    __slots__ = ("item", "may_create", "since", "wake", "woken")

    def __init__(self, wake: Callable[[], object]) -> None:
        self.wake = wake
        self.item: PooledItem[T] | None = None
        self.may_create = False
        self.since = 0.0
        """Time on the pool's clock since which it waits, where the pool lets others pass."""
        self.woken = False
        """Whether `wake` was called since it began to wait, where the pool lets others pass."""


@dataclass(frozen=True)
class Limits:
    """Sizes of a connection pool, and durations in seconds."""

    min_size: int
    max_size: int
    max_idle: float
    max_lifetime: float
    jitter: float
    """Share by which lifetimes are shortened at random, so that connections do not expire all at once."""
    max_connecting: int = sys.maxsize
    """Connections that are made to one target at the same time."""


@dataclass
class Actions(Generic[T]):
    """Work that a step of the state requests. The shell does it outside of the lock."""

    connect: list[str] = field(default_factory=list)
    """Targets: connect to each, then call `connected` or `not_connected`."""
    close: list[PooledItem[T]] = field(default_factory=list)
    log: list[tuple[int, str]] = field(default_factory=list)
    """(level, message) of the logging module."""


@dataclass(frozen=True)
class BorrowedItem:
    """One object that has not been released yet."""

    obj: object
    number: int
    """Number of its acquisition: later acquisitions have larger numbers."""
    stack: Stack
    """Stack of the borrower; () where the pool does not trace."""

    def lines(self) -> list[str]:
        """Return the object's repr and the lines that acquired it."""
        frames = [f"    taken at {file}:{line} in {function}" for file, line, function in self.stack]
        return [short_repr(self.obj), *frames]


class NotInUse(Exception):
    """Internal: a released object is not in use. `idle` is true where the pool holds it already."""

    def __init__(self, idle: bool) -> None:
        self.idle = idle


class AlreadyPooled(Exception):
    """Internal: a created object is in the pool already."""


def not_lent(pool: str, obj: object, *, idle: bool) -> NotLent:
    """Return the error for an object that cannot be released. It calls the object's repr: not under a lock."""
    problem = "was released already" if idle else "is not one that this pool has lent"
    return NotLent(pool, f"{short_repr(obj)} {problem}")


def short_repr(obj: object) -> str:
    """Return at most 200 characters of an object's repr, or its type where the repr fails."""
    try:
        return f"{obj!r:.{MAX_REPR}}"
    except Exception:
        return f"<{type(obj).__name__} at {id(obj):#x}>"


def split_expired(
    idle: Iterable[PooledItem[T]], now: float, limits: Limits, size: int
) -> tuple[list[PooledItem[T]], list[PooledItem[T]]]:
    """Return (idle items to keep, idle items that are too old, idle for too long beyond the minimum, or too many).

    The item that has been idle for longest comes first. `size` counts all items of the pool.
    """
    kept, expired = [], []
    for item in idle:
        unused = size > limits.min_size and now - item.idle_since >= limits.max_idle
        if item.expires_at <= now or unused or size > limits.max_size:
            expired.append(item)
            size -= 1
        else:
            kept.append(item)
    return kept, expired


def borrowed_items(items: Iterable[PooledItem[T]]) -> list[BorrowedItem]:
    """Return the items in the order of their acquisition."""
    ordered = sorted(items, key=lambda item: item.number)
    return [BorrowedItem(item.obj, item.number, item.stack) for item in ordered]


def caller_stack() -> Stack:
    """Return the frames of the pool's caller, without the pool's own."""
    frame: FrameType | None = sys._getframe(1)
    stack: list[tuple[str, int, str]] = []
    while frame is not None and len(stack) < MAX_FRAMES:
        if not str(frame.f_globals.get("__name__")).startswith(_OWN):
            stack.append((frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name))
        frame = frame.f_back
    return tuple(stack)
