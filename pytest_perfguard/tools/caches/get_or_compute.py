"""`get_or_compute`: what is not there is computed, by one of all who want it."""

from __future__ import annotations

import contextlib
import inspect
import logging
import time
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import Any, Final, Protocol

from pytest_perfguard.core.fork import register_at_fork
from pytest_perfguard.tools.caches.invalidation import Freshness, Token
from pytest_perfguard.tools.caches.level import DEFAULT, MISSING, Missing, Release, checked_ttl
from pytest_perfguard.tools.caches.sansio import Steps, run
from pytest_perfguard.tools.caches.single_flight import Flights

_log = logging.getLogger("perfguard.cache")

#: Seconds between two looks whether another process is done: the first, and the longest.
_FIRST_LOOK: Final = 0.002
_LAST_LOOK: Final = 0.05


class Computable(Protocol):
    """What `compute` needs of a cache; each is one step, or several."""

    def again(self, key: Any) -> Steps[Any]:
        """The value or MISSING, without being a hit or a miss."""

    def claiming(self, key: Any) -> Steps[Release | Missing | None]:
        """The right to compute a key among all processes; None while another one has it; MISSING: nobody can be asked."""

    def store(self, key: Any, value: Any, ttl: float | None) -> Steps[None]:
        """Keep a value."""

    def removal(self, key: Any) -> Steps[bool]:
        """Forget it; was there anything?"""


def compute(
    cache: Computable,
    fresh: Freshness,
    key: Hashable,
    function: Callable[[], Any],
    ttl: float | None,
    sleep: Callable[[float], object],
) -> Steps[Any]:
    """Compute a value and keep it, unless somebody was quicker, or changes it meanwhile."""
    release, pause = (yield from cache.claiming(key)), _FIRST_LOOK
    while release is None:
        yield partial(sleep, pause)
        pause = min(2 * pause, _LAST_LOOK)
        value = yield from cache.again(key)
        if value is not MISSING:
            return value
        release = yield from cache.claiming(key)
    if release is MISSING:
        release = nothing_to_release
    try:
        value = yield from _computed(cache, fresh, key, function, ttl)
    except GeneratorExit:  # given up from outside, such as with its event loop: nobody makes calls any more
        _released_now(release)
        raise
    except BaseException:
        yield release
        raise
    yield release
    return value


def _computed(
    cache: Computable, fresh: Freshness, key: Hashable, function: Callable[[], Any], ttl: float | None
) -> Steps[Any]:
    with fresh.reading(key) as token:
        value = yield from cache.again(key)
        if value is MISSING:
            value = yield function
            try:
                yield from keep(token, cache.store(key, value, ttl), cache.removal(key))
            except Exception as error:
                _log.warning("what was computed for %r could not be kept: %s", key, error)
    return value


def keep(token: Token, store: Steps[None], removal: Steps[bool]) -> Steps[None]:
    """Keep what was read, unless it was changed meanwhile."""
    if token.fresh:
        yield from store
        if not token.fresh:  # whoever changed it may have come to this level before us
            yield from removal


def _released_now(release: Release) -> None:
    result = release()
    if inspect.iscoroutine(result):
        result.close()  # nobody can await it: the lease will end


class Changing:
    """A cache whose readings are spoiled by changes. Not to be used by itself."""

    _flights: Any

    def __init__(self) -> None:
        self._fresh = Freshness()
        register_at_fork(self)

    @contextlib.contextmanager
    def _changing(self, key: Any) -> Iterator[None]:
        """A change by anybody but `get_or_compute`: the block makes it."""
        with self._fresh.changing(key):
            self._flights.forget(key)
            yield

    @contextlib.contextmanager
    def _changing_all(self) -> Iterator[None]:
        with self._fresh.changing():
            self._flights.forget_all()
            yield

    def begin_anew(self) -> None:
        """In a child process after a fork: locks may have been held, and what is under way is the parent's."""
        self._fresh.begin_anew()
        self._flights.begin_anew()


class Computing(Changing):
    """A `Computable` for threads. Not to be used by itself."""

    def get(self, key: Any, default: Any = None) -> Any:
        """The value, or `default`."""
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self._flights = Flights()

    def get_or_compute(self, key: Any, function: Callable[[], Any], ttl: float | None = DEFAULT) -> Any:
        """The value; where there is none, what `function()` returns, which is then kept for `ttl` seconds.

        Of all who ask for a key at the same time one computes it, and the others wait for that: threads of this process,
        and other processes where a level of the cache is shared with them. What the function raises goes to all who
        wait, and is not remembered. What is set or deleted meanwhile is not overwritten.

        Raises
        ------
        CacheError
            the function asks, by whatever detour, for what it computes.
        """
        cache: Any = self
        value = cache.get(key, MISSING)
        if value is not MISSING:
            return value
        checked_ttl(ttl, None)
        plain = partial(_not_awaitable, function)
        return self._flights.run(key, lambda: run(compute(cache, self._fresh, key, plain, ttl, time.sleep)))


def _not_awaitable(function: Callable[[], Any]) -> Any:
    value = function()
    if inspect.isawaitable(value):
        if inspect.iscoroutine(value):
            value.close()
        raise TypeError(f"{function!r} returned {value!r}, which is to be awaited: use a cache for asyncio")
    return value


class Plain(Computing):
    """A cache of plain functions, which are one step each. Not to be used by itself."""

    blocking: bool
    """Does it wait for a disk or the like?"""

    def delete(self, key: Any) -> bool:
        """Forget a key; was there anything?"""
        raise NotImplementedError

    def again(self, key: Any) -> Steps[Any]:
        """The value or MISSING, without being a hit or a miss."""
        value = yield partial(self._peek, key)
        return value

    def claiming(self, key: Any) -> Steps[Release | Missing | None]:
        """The right to compute a key among all processes."""
        release: Release | Missing | None = yield partial(self.claim, key)
        return release

    def store(self, key: Any, value: Any, ttl: float | None) -> Steps[None]:
        """Keep a value."""
        yield partial(self._store, key, value, ttl)

    def removal(self, key: Any) -> Steps[bool]:
        """Forget it; was there anything?"""
        gone: bool = yield partial(self._remove, key)
        return gone

    def claim(self, key: Any) -> Release | None:
        """The right to compute a key among all processes, to be given back; None while another one has it."""
        return nothing_to_release

    def _peek(self, key: Any) -> Any:
        raise NotImplementedError

    def _store(self, key: Any, value: Any, ttl: float | None) -> object:
        raise NotImplementedError

    def _remove(self, key: Any) -> bool:
        raise NotImplementedError


def nothing_to_release() -> None:
    """Gives back what nobody else could take."""
