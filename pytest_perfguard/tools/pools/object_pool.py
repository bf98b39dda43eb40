"""`ObjectPool`: expensive objects that are created once and used again, for threads."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

from pytest_perfguard.core.callables import must_be_awaited
from pytest_perfguard.core.tool_errors import PoolClosed, PoolTimeout
from pytest_perfguard.tools.pools.base import PoolBase, check_callable, end_all, initial_size, lock_timeout, wait_limit
from pytest_perfguard.tools.pools.items import AlreadyPooled, NotInUse, PooledItem, Waiter, caller_stack, short_repr
from pytest_perfguard.tools.pools.object_state import ObjectPoolStats, ObjectState

T = TypeVar("T")

INITIAL: Final = 10
MAX_SIZE: Final = 100
TIMEOUT: Final = 10.0
#: Seconds of waiting during which running threads may pass a waiting one.
MAX_PASSING: Final = 0.005

_log = logging.getLogger("perfguard.pool")


class ObjectPoolBase(PoolBase, Generic[T]):
    """Parameters and statistics of both object pools."""

    _state: ObjectState[T]
    _max_passing = 0.0

    def __init__(
        self,
        create: Callable[[], Any],
        *,
        reset: Callable[[T], object] | None = None,
        destroy: Callable[[T], object] | None = None,
        initial: int | None = None,
        max_size: int = MAX_SIZE,
        timeout: float | None = TIMEOUT,
        name: str = "object pool",
        trace: bool = False,
    ) -> None:
        self._initial = initial_size(initial, INITIAL, max_size)
        check_callable("create", create, required=True)
        check_callable("reset", reset)
        check_callable("destroy", destroy)
        self._create = create
        self._reset = reset
        self._destroy = destroy
        self._timeout = wait_limit(timeout, timeout)
        self._trace = trace
        self._state = ObjectState(str(name), max_size, self._max_passing)
        super().__init__()

    def stats(self) -> ObjectPoolStats:
        """Return the statistics of this moment."""
        return self._read(self._state.stats)

    def __repr__(self) -> str:
        state = self._state
        return (
            f"<{type(self).__name__} {state.name}: {len(state.idle)} idle, {len(state.in_use)} in use, "
            f"{len(state.waiting)} waiting>"
        )


class ObjectPool(ObjectPoolBase[T]):
    """Lends objects and takes them back. Safe to use from several threads.

    `with pool.item() as obj:`, or `acquire()` and `release(obj)`. Where all `max_size` objects are in use, borrowers wait
    and are served in the order of their arrival, but that running threads may pass one that has waited for less than 5 ms.
    In a finalizer, acquire with `timeout=0`. A forked child creates objects of its own.

    Parameters
    ----------
    create
        creates an object, a new one at each call, in the thread of the borrower. What it raises goes to that borrower.
    reset
        restores a released object. An object whose `reset` raises is destroyed.
    destroy
        ends an object that the pool drops.
    initial, max_size
        objects created by the constructor (10, or `max_size`), and the maximum, those in use included.
    timeout
        seconds that `acquire` waits by default; None: no limit. The time that `create` takes is not limited.
    name
        name of the pool in errors and statistics.
    trace
        record the stack of each borrower for `not_returned()`; costs some microseconds for each acquisition.
    """

    _max_passing = MAX_PASSING

    def __init__(
        self,
        create: Callable[[], T],
        *,
        reset: Callable[[T], object] | None = None,
        destroy: Callable[[T], object] | None = None,
        initial: int | None = None,
        max_size: int = MAX_SIZE,
        timeout: float | None = TIMEOUT,
        name: str = "object pool",
        trace: bool = False,
    ) -> None:
        super().__init__(
            create, reset=reset, destroy=destroy, initial=initial, max_size=max_size, timeout=timeout, name=name,
            trace=trace,
        )  # fmt: skip
        for call in (create, reset, destroy):
            if must_be_awaited(call):
                raise TypeError(f"{call!r} is a coroutine function: use AsyncObjectPool")
        try:
            for _ in range(self._initial):
                self._state.add([PooledItem(create())])
        except AlreadyPooled:
            self.close()
            raise self._already_pooled(create, "create") from None
        except BaseException:
            self.close()
            raise

    def acquire(self, timeout: float | None = -1) -> T:
        """Borrow an object; return it by `release`.

        Parameters
        ----------
        timeout
            seconds to wait for an object; None: no limit; by default the pool's.

        Raises
        ------
        PoolTimeout, PoolClosed
        """
        with self._lock:  # `_step`, in place: a call would take as long as the rest
            if self._inside:
                raise self._nested()
            try:
                self._inside = True
                item = self._state.checkout()
            finally:
                self._inside = False
        if self._deferred:
            self._run_deferred()
        if item is None:
            item = self._wait(wait_limit(timeout, self._timeout))
        if self._trace:
            item.stack = caller_stack()
        return item.obj

    def release(self, obj: T) -> None:
        """Return an object to the pool.

        Raises
        ------
        NotLent
            the pool has not lent the object: it was released already, or is not the pool's.
        """
        if self._reset is not None:
            self._release_after_reset(self._reset, obj)
            return
        error: NotInUse | None = None
        dropped = None
        with self._lock:  # `_step`, in place
            if self._inside:
                self._deferred.append(partial(self.release, obj))
                return
            try:
                self._inside = True
                dropped = self._state.release(obj)
            except NotInUse as caught:
                error = caught
            finally:
                self._inside = False
        if self._deferred:
            self._run_deferred()
        if error is not None and not self._is_parents(obj):
            raise self._not_lent(obj, error)
        if dropped is not None:
            self._end(dropped)

    def item(self, timeout: float | None = -1) -> Lease[T]:
        """Borrow an object for a block: `with pool.item() as obj:`. It is returned at the end of the block in any case."""
        lease: Lease[T] = Lease()
        lease.pool, lease.timeout = self, timeout
        return lease

    def shrink(self, size: int, /) -> int:
        """Destroy idle objects until at most `size` are left; return how many were destroyed. Safe to call from any thread."""
        removed = self._step(self._state.shrink, size)
        end_all(self._end, removed)
        return len(removed)

    def close(self) -> None:
        """Destroy the idle objects, and the others as they are released. Waiting borrowers get `PoolClosed`."""
        if not self._deferred_if_nested(self.close):
            end_all(self._end, self._step(self._state.close))

    def __enter__(self) -> ObjectPool[T]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self, seconds: float | None) -> PooledItem[T]:
        gate = threading.Lock()
        gate.acquire()
        waiter: Waiter[T] = Waiter(gate.release)
        with self._work() as nested:
            self._step(self._state.request, waiter)
            try:
                served = self._served(waiter, gate, 0 if nested else seconds)
            except BaseException:  # Ctrl-C
                dropped = self._step(self._state.cancel, waiter)
                if dropped is not None:
                    self._end(dropped)
                raise
            if not served:
                raise self._nested_wait() if nested else self._timed_out(seconds)
            if waiter.may_create:
                return self._made(waiter)
        if waiter.item is None:
            raise PoolClosed(self._state.name, "the pool was closed while it was waited for")
        return waiter.item

    def _served(self, waiter: Waiter[T], gate: threading.Lock, seconds: float | None) -> bool:
        """Wait until the waiter is served or the pool closed; False: the time is over."""
        deadline = None if seconds is None else time.monotonic() + seconds
        while gate.acquire(timeout=lock_timeout(remaining(deadline))):
            if waiter.item is not None or self._step(self._state.claim, waiter):
                return True
        return not self._step(self._state.time_out, waiter)

    def _timed_out(self, seconds: float | None) -> PoolTimeout:
        return PoolTimeout(self._state.name, self._read(lambda: self._state.timeout_text(seconds or 0.0)))

    def _made(self, waiter: Waiter[T]) -> PooledItem[T]:
        try:
            item: PooledItem[T] = PooledItem(self._create())
        except BaseException:
            self._step(self._state.not_made)
            raise
        try:
            self._step(self._state.made, item, waiter)
        except AlreadyPooled:
            raise self._already_pooled(self._create, "create") from None
        return item

    def _release_after_reset(self, reset: Callable[[T], object], obj: T) -> None:
        if self._deferred_if_nested(partial(self.release, obj)):
            return
        try:
            item = self._step(self._state.begin_release, obj)
        except NotInUse as error:
            if self._is_parents(obj):
                return
            raise self._not_lent(obj, error) from None
        try:
            with self._work():
                reset(obj)
        except BaseException as error:
            self._step(self._state.discard, item)
            self._end(item)
            if not isinstance(error, Exception):
                raise
            _log.warning("%s: %s could not be reset and was dropped", self._state.name, short_repr(obj), exc_info=True)
            return
        if not self._step(self._state.end_release, item):
            self._end(item)

    def _end(self, item: PooledItem[T]) -> None:
        if self._destroy is not None:
            try:
                self._destroy(item.obj)
            except Exception:
                problem = "%s: %s could not be destroyed"
                _log.warning(problem, self._state.name, short_repr(item.obj), exc_info=True)


class Lease(Generic[T]):
    """An object that is borrowed for a `with` block. Without `__init__`, whose call would cost a tenth of the block."""

    __slots__ = ("obj", "pool", "timeout")

    pool: ObjectPool[T]
    timeout: float | None

    def __enter__(self) -> T:
        self.obj = obj = self.pool.acquire(self.timeout)
        return obj

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pool.release(self.obj)


def remaining(deadline: float | None) -> float | None:
    """Return the seconds until a time of `time.monotonic`; None: no limit."""
    return None if deadline is None else max(0.0, deadline - time.monotonic())
