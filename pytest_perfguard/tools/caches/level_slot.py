"""A level in its place in a `MultiLevelCache`: its calls, its failures and its statistics."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import partial
from typing import Any

from pytest_perfguard.tools.caches.level import DEFAULT, MISSING, CachedValue, LevelStats
from pytest_perfguard.tools.caches.lru_entries import AtomicCounter
from pytest_perfguard.tools.caches.rate_limited_log import RateLimitedLog
from pytest_perfguard.tools.caches.sansio import Calls

#: Returns the function to call for a method of a level: the method itself, or one that runs it in a thread.
Method = Callable[..., Any]
Adapter = Callable[[object, Method], Method]


class LevelSlot:
    """A level in its place, with the number of its hits, misses and errors."""

    def __init__(self, level: Any, name: str, adapter: Adapter) -> None:
        for method in ("get", "set", "delete", "clear"):
            if not callable(getattr(level, method, None)):
                raise TypeError(f"{level!r} is not a cache level: it has no method {method!r}")
        self.level = level
        self.name = name
        self._adapter = partial(adapter, level)
        self._adapter(level.get)  # refuses an asyncio level in a cache for threads
        self.hits = self.misses = self.errors = 0
        self.quick_hits = AtomicCounter()
        self._log = RateLimitedLog()

    def call(self, method: str, *arguments: object, otherwise: object = None) -> Calls[Any]:
        """Return the result of a method of the level, or `otherwise` if it fails."""
        try:
            result = yield partial(self._adapter(getattr(self.level, method)), *arguments)
        except Exception as error:
            self.failed(method, error)
            return otherwise
        return result

    def failed(self, method: str, error: Exception) -> None:
        """Count and log that a method of the level has failed."""
        self.errors += 1
        self._log.warning("cache level %s: %s failed, the others go on: %s", self.name, method, error)

    def find(self, key: Hashable) -> Calls[CachedValue | None]:
        """Return the value, with its remaining time to live if the level reports it."""
        if hasattr(self.level, "lookup"):
            found: CachedValue | None = yield from self.call("lookup", key)
            return found
        value = yield from self.call("get", key, MISSING, otherwise=MISSING)
        return None if value is MISSING else CachedValue(value, DEFAULT)

    def put(self, key: Hashable, value: object, ttl: float | None) -> Calls[None]:
        """Keep a value. If that fails, remove the older one."""
        set_ = self.call("set", key, value, *(() if ttl == DEFAULT else (ttl,)), otherwise=MISSING)
        if (yield from set_) is MISSING:
            yield from self.call("delete", key)

    def put_found(self, key: Hashable, found: CachedValue) -> Calls[None]:
        """Keep a value of a slower level for its remaining time, but not longer than this level keeps values."""
        own, left = getattr(self.level, "ttl", None), found.ttl
        if left is None or (own is not None and own < left):
            left = own
        yield from self.put(key, found.value, left)

    def stats(self) -> LevelStats:
        """Return hits, misses and errors as counted here, and the other statistics as the level reports them."""
        own = getattr(self.level, "stats", None)
        try:
            base = own() if own is not None else LevelStats()
        except Exception:
            self.errors += 1
            base = None
        if not isinstance(base, LevelStats):  # a level of the user may have statistics of another form
            base = LevelStats()
        hits = self.hits + self.quick_hits.value()
        return replace(base, hits=hits, misses=self.misses, errors=base.errors + self.errors)


def level_name(level: object, known: set[str]) -> str:
    """Return the name of a level: memory, disk, redis, or its class; memory2 for the second of a kind."""
    kind = type(level).__name__.removeprefix("Async").removesuffix("Cache").lower() or "level"
    number, name = 1, kind
    while name in known:
        number += 1
        name = f"{kind}{number}"
    return name
