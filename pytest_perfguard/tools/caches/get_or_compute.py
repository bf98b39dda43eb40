"""`get_or_compute`: return a cached value, or compute it once for all concurrent callers. For threads and for tasks."""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import partial
from types import AsyncGeneratorType, GeneratorType
from typing import Any, Final, Protocol, TypeVar

from pytest_perfguard.core.fork import register_at_fork
from pytest_perfguard.core.shared_lock import in_shared_step
from pytest_perfguard.tools.caches.invalidation import ReadToken, ReadTracker
from pytest_perfguard.tools.caches.level import DEFAULT, MISSING, Missing, Release, checked_ttl
from pytest_perfguard.tools.caches.rate_limited_log import RateLimitedLog
from pytest_perfguard.tools.caches.sansio import Calls, run, run_async
from pytest_perfguard.tools.caches.single_flight import AsyncSingleFlight, NotBegun, SingleFlight, ThreadFlight

T = TypeVar("T")

#: Seconds between two checks whether another process has computed the value: the first pause and the longest one.
FIRST_PAUSE: Final = 0.002
MAX_PAUSE: Final = 0.05

#: Objects that yield their values once: kept in a cache, they would be empty for the next caller.
_ONE_SHOT: Final[tuple[type[object], ...]] = (
    GeneratorType, AsyncGeneratorType, map, filter, zip, enumerate, reversed,
    type(iter([])), type(iter(())), type(iter({})), type(iter({}.values())), type(iter({}.items())), type(iter(set())),
    type(iter("")), type(reversed([])),
)  # fmt: skip


class Computable(Protocol):
    """The operations of a cache that a computation needs, as generators of calls."""

    def peek(self, key: Hashable) -> Calls[object]:
        """Return the value or MISSING, without counting a hit or a miss."""

    def leasing(self, key: Hashable) -> Calls[Release | Missing | None]:
        """Take the lease of a key: the right to compute it, among all processes that share the cache.

        None: another process holds it. MISSING: leases are unavailable at present.
        """

    def store(self, key: Hashable, value: object, ttl: float | None) -> Calls[None]:
        """Keep a value."""

    def removal(self, key: Hashable) -> Calls[bool]:
        """Remove a key and return whether it was there."""


class Computation:
    """The computation of one key: take the lease, look again, compute, keep the value, release the lease."""

    __slots__ = ("_cache", "_key", "_log", "_reads", "_release", "_token", "_ttl")

    def __init__(self, cache: Any, key: Hashable, ttl: float | None) -> None:
        self._cache: Computable = cache
        self._reads: ReadTracker = cache._reads
        self._log: RateLimitedLog = cache._not_kept_log
        self._key = key
        self._ttl = ttl
        self._release: Release = nothing_to_release
        self._token: ReadToken | None = None

    def prepare(self, sleep: Callable[[float], object]) -> Calls[object]:
        """Take the lease. Return the value that another process has computed meanwhile, or MISSING.

        A finalizer in the middle of a step takes no lease that another thread or process has: it must not wait.
        """
        lease, pause = (yield from self._cache.leasing(self._key)), FIRST_PAUSE
        while lease is None and not in_shared_step():
            yield partial(sleep, pause)
            pause = min(2 * pause, MAX_PAUSE)
            value = yield from self._cache.peek(self._key)
            if value is not MISSING:
                return value
            lease = yield from self._cache.leasing(self._key)
        if lease is not None and lease is not MISSING:
            self._release = lease
        self._token = self._reads.begin(self._key)
        value = yield from self._cache.peek(self._key)
        if value is not MISSING:
            yield from self.release()
        return value

    def keep(self, value: object) -> Calls[None]:
        """Keep the computed value, unless its key was modified meanwhile, and release the lease."""
        try:
            if self._token is not None:
                store = self._cache.store(self._key, value, self._ttl)
                yield from keep_if_valid(self._token, store, self._cache.removal(self._key))
        except GeneratorExit:  # the event loop has ended
            self.release_now()
            raise
        except Exception as error:
            self._log.warning("the value computed for %r could not be kept: %s", self._key, error)
        except BaseException:  # the caller was cancelled
            yield from self.release()
            raise
        yield from self.release()

    def release(self) -> Calls[None]:
        """Release the lease, with or without a value."""
        release = self._ended()
        if release is not nothing_to_release:
            yield release

    def release_now(self) -> None:
        """Release the lease where no calls can be awaited any more, such as after the end of the event loop."""
        result = self._ended()()
        if inspect.iscoroutine(result):
            result.close()  # the lease will expire

    def _ended(self) -> Release:
        if self._token is not None:
            self._reads.end(self._token)
            self._token = None
        release, self._release = self._release, nothing_to_release
        return release


def keep_if_valid(token: ReadToken, store: Calls[None], removal: Calls[bool]) -> Calls[None]:
    """Keep a value that was read, unless its key was modified meanwhile."""
    if token.valid:
        yield from store
        if not token.valid:  # the modification may have reached this level before the value did
            yield from removal


class InvalidatingCache:
    """A cache whose modifications invalidate reads and computations in progress. Base of all caches."""

    _flights: SingleFlight | AsyncSingleFlight

    def __init__(self) -> None:
        self._reads = ReadTracker()
        self._not_kept_log = RateLimitedLog()
        register_at_fork(self)

    @contextlib.contextmanager
    def _changing(self, key: Hashable) -> Iterator[None]:
        """Mark a key as being modified for the duration of the block."""
        with self._reads.changing(key):
            self._flights.forget(key)
            yield

    @contextlib.contextmanager
    def _changing_all(self) -> Iterator[None]:
        with self._reads.changing():
            self._flights.forget_all()
            yield

    def share_reads(self, cache: InvalidatingCache) -> None:
        """Invalidate reads in progress together with another cache that has the same content."""
        self._reads = cache._reads

    def begin_anew(self) -> None:
        """Reset in a forked child: other threads may have held locks, and computations belong to the parent."""
        self._reads.begin_anew()
        self._flights.begin_anew()


class ThreadComputation(Computation):
    """A computation by the calling thread. The caller makes the call between `begin` and `finish` in its own frame.

    So a recursive function needs two frames per level: as many levels fit as with `functools.lru_cache`.
    """

    __slots__ = ("_flight", "_flights", "value")

    def __init__(self, cache: ComputingCache, key: Hashable, ttl: float | None) -> None:
        super().__init__(cache, key, ttl)
        self._flights: SingleFlight = cache._flights
        self._flight: ThreadFlight
        self.value: Any = MISSING

    def begin(self) -> bool:
        """Return whether the caller must compute the value; otherwise `value` is the result of another thread or process.

        Raises
        ------
        CacheError
            if the computation in progress waits for this one.
        """
        flight, is_own = self._flights.join(self._key)
        while not is_own:
            try:
                self.value = self._flights.wait(flight)
            except NotBegun:
                flight, is_own = self._flights.join(self._key)
            else:
                return False
        self._flight = flight
        try:
            self.value = run(self.prepare(time.sleep))
        except BaseException as error:
            self.set_error(NotBegun() if isinstance(error, Exception) else error)
            raise
        if self.value is MISSING:
            return True
        self._flights.finish(flight, self.value)
        return False

    def finish(self, value: T) -> T:
        """Keep the value, pass it to waiting threads, and return it.

        Raises
        ------
        TypeError
            if the value must be awaited, or can be iterated only once.
        """
        try:
            refuse_unkeepable(value)
            run(self.keep(value))
        except BaseException as error:
            self.set_error(error)
            raise
        self._flights.finish(self._flight, value)
        return value

    def set_error(self, error: BaseException) -> None:
        """Release the lease, and pass the error to waiting threads."""
        try:
            run(self.release())
        finally:
            self._flights.set_error(self._flight, error)


class ComputingCache(InvalidatingCache):
    """A cache for threads with `get_or_compute`."""

    def __init__(self) -> None:
        super().__init__()
        self._flights: SingleFlight = SingleFlight()

    def get(self, key: Hashable, default: object = None) -> Any:
        """Return the value, or `default`."""
        raise NotImplementedError

    def multi_get(self, keys: Iterable[Hashable], default: object = None) -> list[Any]:
        """Return the values of several keys, in their order."""
        return [self.get(key, default) for key in keys]

    def get_or_compute(self, key: Hashable, function: Callable[[], T], ttl: float | None = DEFAULT) -> T:
        """Return the value of a key, or the result of `function()`, which is then kept for `ttl` seconds.

        Concurrent callers of one key share one call: threads of this process, and other processes that share a level of the
        cache. An error of the function is raised in all of them and is not kept. A value that is set or deleted meanwhile is
        not overwritten.

        Raises
        ------
        CacheError
            if the function asks, directly or through others, for the key that it computes.
        TypeError
            if the result must be awaited, or can be iterated only once, such as a generator.
        """
        found: T | Missing = self.get(key, MISSING)
        if found is not MISSING:
            return found
        checked_ttl(ttl, None)
        computation = ThreadComputation(self, key, ttl)
        if not computation.begin():
            theirs: T = computation.value
            return theirs
        try:
            value = function()
        except BaseException as error:
            computation.set_error(error)
            raise
        return computation.finish(value)


class AsyncComputingCache(InvalidatingCache):
    """A cache for tasks with `get_or_compute`."""

    def __init__(self) -> None:
        super().__init__()
        self._flights: AsyncSingleFlight = AsyncSingleFlight()

    async def get(self, key: Hashable, default: object = None) -> Any:
        """Return the value, or `default`."""
        raise NotImplementedError

    async def multi_get(self, keys: Iterable[Hashable], default: object = None) -> list[Any]:
        """Return the values of several keys, in their order."""
        return [await self.get(key, default) for key in keys]

    async def get_or_compute(self, key: Hashable, function: Callable[[], object], ttl: float | None = DEFAULT) -> Any:
        """Return the value of a key, or the result of `function()`, awaited, which is then kept for `ttl` seconds.

        Concurrent callers of one key share one call: tasks of this event loop, and other processes that share a level of the
        cache. An error of the function is raised in all of them and is not kept. A cancelled caller does not affect the
        others; when all are cancelled, the function is, too.
        """
        value = await self.get(key, MISSING)
        if value is not MISSING:
            return value
        checked_ttl(ttl, None)
        return await self._flights.run(key, partial(self._computed, key, function, ttl))

    async def _computed(self, key: Hashable, function: Callable[[], object], ttl: float | None) -> object:
        import asyncio

        computation = Computation(self, key, ttl)
        try:
            value = await run_async(computation.prepare(asyncio.sleep))
            if value is not MISSING:
                return value
            value = function()
            if inspect.isawaitable(value):
                value = await value
            refuse_unkeepable(value)
        except GeneratorExit:  # the event loop has ended
            computation.release_now()
            raise
        except BaseException:
            await run_async(computation.release())
            raise
        await run_async(computation.keep(value))
        return value


def refuse_unkeepable(value: object) -> None:
    """Raise TypeError for a result that must be awaited, or that only one caller could use."""
    if isinstance(value, _ONE_SHOT):
        raise TypeError(f"the result {value!r} can be iterated only once: return a list or a tuple")
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise TypeError(f"the result {value!r} must be awaited: use a cache for asyncio")


class LocalCache(ComputingCache):
    """A cache whose operations are plain functions, one call each."""

    blocking: bool
    """Whether operations wait for a disk or the like."""

    def delete(self, key: Hashable) -> bool:
        """Remove a key and return whether it was there."""
        raise NotImplementedError

    def peek(self, key: Hashable) -> Calls[object]:
        """Return the value or MISSING, without counting a hit or a miss."""
        value = yield partial(self._peek, key)
        return value

    def leasing(self, key: Hashable) -> Calls[Release | Missing | None]:
        """Take the lease of a key."""
        release: Release | Missing | None = yield partial(self.lease, key)
        return release

    def store(self, key: Hashable, value: object, ttl: float | None) -> Calls[None]:
        """Keep a value."""
        yield partial(self._store, key, value, ttl)

    def removal(self, key: Hashable) -> Calls[bool]:
        """Remove a key and return whether it was there."""
        removed: bool = yield partial(self._remove, key)
        return removed

    def lease(self, key: Hashable) -> Release | Missing | None:
        """Take the right to compute a key among all processes. Return its release function, or None if it is taken."""
        return nothing_to_release

    def _peek(self, key: Hashable) -> object:
        raise NotImplementedError

    def _store(self, key: Hashable, value: object, ttl: float | None) -> object:
        raise NotImplementedError

    def _remove(self, key: Hashable) -> bool:
        raise NotImplementedError


def nothing_to_release() -> None:
    """Release the lease of a key that other processes cannot compute."""
