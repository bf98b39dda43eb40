"""Lock, fork handling and introspection that all pools share."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import Any, Final, TypeVar

from pytest_perfguard.core.fork import keep_unclosed, register_at_fork
from pytest_perfguard.core.tool_errors import NotLent, PoolError, PoolTimeout
from pytest_perfguard.tools.pools.items import BorrowedItem, NotInUse, borrowed_items, not_lent

R = TypeVar("R")
ItemT = TypeVar("ItemT")

_log: Final = logging.getLogger("perfguard.pool")


def end_all(end: Callable[[ItemT], object], items: Iterable[ItemT]) -> None:
    """End all items; what ends the program, such as SystemExit, is raised after the last one."""
    interrupt: BaseException | None = None
    for item in items:
        try:
            end(item)
        except BaseException as error:
            interrupt = interrupt or error
    if interrupt is not None:
        raise interrupt


class PoolBase:
    """Base class of the pools.

    The lock can be held when the interpreter runs a finalizer or a signal handler in the same thread. Code that such a
    call runs must not change the state in the middle of a step: its releases are queued and taken in after the step.
    """

    _state: Any

    def __init__(self) -> None:
        self._parents_objects: dict[int, object] = {}
        self._renew_lock()
        register_at_fork(self)

    def stats(self) -> Any:
        """Return the statistics of this moment, a dataclass."""
        raise NotImplementedError

    def statistics(self) -> Mapping[str, float]:
        """Return the statistics as a mapping: `monitor.watch("db.pool", pool.statistics)`."""
        return asdict(self.stats())

    def not_returned(self) -> list[BorrowedItem]:
        """Return the objects in use, with the stacks of their borrowers where the pool traces."""
        return borrowed_items(self._read(lambda: list(self._state.in_use.values())))

    @property
    def name(self) -> str:
        """Return the name of the pool in errors and logs."""
        name: str = self._state.name
        return name

    @property
    def closed(self) -> bool:
        """Return whether the pool has stopped lending."""
        closed: bool = self._state.closed
        return closed

    def begin_anew(self) -> None:
        """Forget all objects without closing them, in a forked child: they belong to the parent process."""
        self._parents_objects |= {id(item.obj): item.obj for item in self._state.in_use.values()}
        keep_unclosed(item.obj for item in (*self._state.idle, *self._state.in_use.values()))
        self._state = self._state.empty()
        self._renew_lock()

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()
        self._inside = self._draining = False
        self._deferred: deque[Callable[[], object]] = deque()
        self._at_work: set[int] = set()
        """Threads in the middle of a call that others may wait for: it creates, resets, connects or waits itself."""

    def _step(self, call: Callable[..., R], *arguments: object) -> R:
        """Run one step of the state under the lock.

        Raises
        ------
        PoolTimeout
            this thread is in the middle of another step: a finalizer or a signal handler called the pool.
        """
        try:
            with self._lock:
                if self._inside:
                    raise self._nested()
                try:
                    self._inside = True
                    return call(*arguments)
                finally:
                    self._inside = False
        finally:
            if self._deferred:
                self._run_deferred()

    def _read(self, call: Callable[[], R]) -> R:
        """Read the state under the lock; within a step of the same thread, as it is then."""
        if self._inside:
            with self._lock:
                if self._inside:
                    return call()
        return self._step(call)

    def _nested(self) -> PoolTimeout:
        return PoolTimeout(
            self.name,
            "a finalizer or a signal handler called the pool while its own thread was changing it: it may release and "
            "close then, not acquire",
        )

    @contextlib.contextmanager
    def _work(self) -> Iterator[bool]:
        """Mark this thread as being at work for the pool; yield whether it was before.

        Then a finalizer, or a function of the user that the pool calls, would wait for its own thread.
        """
        thread = threading.get_ident()
        nested = thread in self._at_work
        self._at_work.add(thread)
        try:
            yield nested
        finally:
            if not nested:
                self._at_work.discard(thread)

    def _nested_wait(self) -> PoolTimeout:
        return PoolTimeout(
            self.name,
            "nothing is free, and a finalizer or a function that the pool calls would wait for its own thread: it may "
            "acquire only what is free at once",
        )

    def _deferred_if_nested(self, call: Callable[[], object]) -> bool:
        """Queue a call that a finalizer makes during a step of its own thread; False: there is no such step."""
        if not self._inside:
            return False
        with self._lock:
            if self._inside:
                self._deferred.append(call)
            return self._inside

    def _run_deferred(self) -> None:
        """Make the calls that finalizers made during a step. Those within such a call are left to the outer loop."""
        while self._deferred and not self._inside and not self._draining:
            self._draining = True
            try:
                self._drain_deferred()
            finally:
                self._draining = False

    def _drain_deferred(self) -> None:
        while not self._inside:
            try:
                call = self._deferred.popleft()
            except IndexError:
                return
            try:
                call()
            except BaseException:  # as the interpreter does in a finalizer: the thread has other work
                _log.exception("%s: a call by a finalizer, such as a release, failed", self.name)

    def _is_parents(self, obj: object) -> bool:
        """Return, once for each, whether an object was lent by the parent process: its release changes nothing here."""
        return self._parents_objects.pop(id(obj), None) is not None

    def _not_lent(self, obj: object, error: NotInUse) -> NotLent:
        return not_lent(self.name, obj, idle=error.idle)

    def _already_pooled(self, create: object, role: str) -> PoolError:
        name = getattr(create, "__qualname__", None) or repr(create)
        return PoolError(
            self.name, f"{role}={name} returned an object that the pool holds already; return a new one at each call"
        )


def wait_limit(timeout: float | None, default: float | None) -> float | None:
    """Return for how many seconds to wait; -1 stands for the pool's default, None for no limit.

    Raises
    ------
    TypeError, ValueError
        `timeout` is not a number.
    """
    seconds = default if timeout == -1 else timeout
    if seconds is None or seconds == math.inf:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"timeout is {seconds!r}: give seconds, or None for no limit")
    if math.isnan(seconds):
        raise ValueError("timeout is nan: give seconds, or None for no limit")
    return max(0.0, seconds)


def lock_timeout(seconds: float | None) -> float:
    """Return seconds as the locks of the standard library take them."""
    return -1 if seconds is None else min(max(0.0, seconds), threading.TIMEOUT_MAX)


def initial_size(initial: int | None, default: int, max_size: int) -> int:
    """Return the number of objects to start with: the given one, or the default where the pool may become so large."""
    if initial is None:
        initial = min(default, max_size) if isinstance(max_size, int) else default
    check_sizes(initial, max_size)
    return initial


def check_sizes(minimum: int, maximum: int) -> None:
    """Refuse sizes that make no pool.

    Raises
    ------
    ValueError
    """
    whole = all(isinstance(size, int) and not isinstance(size, bool) for size in (minimum, maximum))
    if not whole or not 0 <= minimum <= maximum or maximum < 1:
        raise ValueError(
            f"sizes {minimum!r} and {maximum!r}: the first is an integer of at least 0 and at most the second, which is "
            "at least 1"
        )


def check_callable(name: str, call: object, *, required: bool = False) -> None:
    """Refuse a parameter that cannot be called.

    Raises
    ------
    TypeError
    """
    if not callable(call) and (required or call is not None):
        raise TypeError(f"{name} is {call!r}: give a function{'' if required else ' or None'}")
