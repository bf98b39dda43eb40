"""What caches of several levels do, as steps: one level after the other, and on where one fails."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from pytest_perfguard.tools.caches.get_or_compute import Changing, keep
from pytest_perfguard.tools.caches.level import DEFAULT, MISSING, Found, LevelStats, Missing, Release, hit_rate
from pytest_perfguard.tools.caches.memory import MemoryCache
from pytest_perfguard.tools.caches.sansio import Steps

_log = logging.getLogger("perfguard.cache")

#: Seconds between two warnings of one level.
_QUIET: Final = 60.0


@dataclass(frozen=True)
class CacheStats:
    """The numbers of a cache of several levels."""

    hits: int
    """Readings that some level answered."""
    misses: int
    """Readings that none did."""
    evictions: int
    errors: int
    levels: dict[str, LevelStats]
    """Of each level, by its name; hits and misses there are of the readings that came so far."""

    @property
    def hit_rate(self) -> float:
        """Hits per reading, 0 to 1; NaN before the first."""
        return hit_rate(self.hits, self.misses)


class Slot:
    """A level in its place: what it was asked, and how that went."""

    def __init__(self, level: Any, name: str, way: Callable[[Any, Callable[..., Any]], Callable[..., Any]]) -> None:
        for method in ("get", "set", "delete", "clear"):
            if not callable(getattr(level, method, None)):
                raise TypeError(f"{level!r} is no level of a cache: it has no method {method!r}")
        self.level = level
        self.name = name
        self._way = partial(way, level)
        self._way(level.get)  # a level for asyncio in a cache for threads is told now
        self.hits = self.misses = self.errors = 0
        self._warned = -_QUIET

    def call(self, method: str, *arguments: Any, otherwise: Any = None) -> Steps[Any]:
        """What a method of the level returns; `otherwise` where it fails."""
        try:
            result = yield partial(self._way(getattr(self.level, method)), *arguments)
        except Exception as error:
            self.errors += 1
            if time.monotonic() - self._warned >= _QUIET:
                self._warned = time.monotonic()
                _log.warning("cache level %s: %s failed, the others go on: %s", self.name, method, error)
            return otherwise
        return result

    def find(self, key: Any) -> Steps[Found | None]:
        """The value, and how long it will live where the level says so."""
        if hasattr(self.level, "lookup"):
            found: Found | None = yield from self.call("lookup", key)
            return found
        value = yield from self.call("get", key, MISSING, otherwise=MISSING)
        return None if value is MISSING else Found(value, DEFAULT)

    def put(self, key: Any, value: Any, ttl: float | None) -> Steps[None]:
        """Keep a value; where that fails, do not keep an older one either."""
        set_ = self.call("set", key, value, *(() if ttl == DEFAULT else (ttl,)), otherwise=MISSING)
        if (yield from set_) is MISSING:
            yield from self.call("delete", key)

    def put_found(self, key: Any, found: Found) -> Steps[None]:
        """Keep what a slower level had for as long as it has left, but not longer than this level keeps things."""
        own, left = getattr(self.level, "ttl", None), found.ttl
        if left is None or (own is not None and own < left):
            left = own
        yield from self.put(key, found.value, left)

    def stats(self) -> LevelStats:
        """As seen from here; entries, evictions and the like as the level itself says."""
        own = getattr(self.level, "stats", None)
        try:
            base = own() if own is not None else LevelStats()
        except Exception:
            self.errors += 1
            base = None
        if not isinstance(base, LevelStats):  # a level of the user's may have statistics of its own
            base = LevelStats()
        return replace(base, hits=self.hits, misses=self.misses, errors=base.errors + self.errors)


class LevelsBase(Changing):
    """Not to be used by itself."""

    def __init__(self, levels: Iterable[Any], way: Callable[[Any, Callable[..., Any]], Callable[..., Any]]) -> None:
        super().__init__()
        given = list(levels)
        if not given:
            raise ValueError("a cache needs at least one level")
        self._slots = [Slot(level, name, way) for level, name in zip(given, _names(given), strict=True)]
        self._lock = threading.Lock()
        self._misses = 0
        memory = given[0] if isinstance(given[0], MemoryCache) else None
        self._quick: Callable[[Any, Any], Any] | None = None if memory is None else memory.get
        self._quick_hits = itertools.count()
        self._quick_hits_read = 0

    @property
    def levels(self) -> tuple[Any, ...]:
        """The levels, the fastest first."""
        return tuple(slot.level for slot in self._slots)

    def stats(self) -> CacheStats:
        """The numbers of this moment."""
        with self._lock:
            quick = next(self._quick_hits) - self._quick_hits_read
            self._quick_hits_read += 1
            levels = {slot.name: slot.stats() for slot in self._slots}
            first = self._slots[0].name
            levels[first] = replace(levels[first], hits=levels[first].hits + quick)
            return CacheStats(
                hits=sum(level.hits for level in levels.values()),
                misses=self._misses,
                evictions=sum(level.evictions for level in levels.values()),
                errors=sum(level.errors for level in levels.values()),
                levels=levels,
            )

    def statistics(self) -> dict[str, float]:
        """The same as numbers by name: `monitor.watch("cache", cache.statistics)`."""
        stats = self.stats()
        numbers: dict[str, float] = {name: getattr(stats, name) for name in ("hits", "misses", "evictions", "errors")}
        for name, level in stats.levels.items():
            numbers[f"{name}_hits"] = level.hits
            numbers[f"{name}_entries"] = level.entries
        return numbers if stats.hits + stats.misses == 0 else {**numbers, "hit_rate": stats.hit_rate}

    def relieve(self) -> None:
        """Forget what is kept in memory; the other levels have it still. `MemoryManager` calls this when memory is short."""
        for slot in self._slots:
            relieve = getattr(slot.level, "relieve", None)
            if relieve is not None:
                relieve()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {' '.join(slot.name for slot in self._slots)}>"

    def reading(self, key: Any, first: int = 0) -> Steps[Any]:
        """Ask one level after the other from `first` on; what is found goes to the faster ones. MISSING if there is nothing."""
        with self._lock:
            for slot in self._slots[:first]:
                slot.misses += 1
        value = yield from self._through(key, first, count=True)
        return value

    def again(self, key: Any) -> Steps[Any]:
        """The value or MISSING, without being a hit or a miss."""
        value = yield from self._through(key, 0, count=False)
        return value

    def _through(self, key: Any, first: int, count: bool) -> Steps[Any]:
        with self._fresh.reading(key) as token:
            for number, slot in enumerate(self._slots[first:], first):
                found = yield from slot.find(key)
                if count:
                    with self._lock:
                        slot.hits += found is not None
                        slot.misses += found is None
                if found is not None:
                    for faster in self._slots[:number]:
                        yield from keep(token, faster.put_found(key, found), faster.call("delete", key))
                    return found.value
        if count:
            with self._lock:
                self._misses += 1
        return MISSING

    def store(self, key: Any, value: Any, ttl: float | None) -> Steps[None]:
        """Keep a value on all levels."""
        for slot in self._slots:
            yield from slot.put(key, value, ttl)

    def removal(self, key: Any) -> Steps[bool]:
        """Forget a key on all levels, the slowest first, so that no faster one takes it from there again."""
        gone = False
        for slot in reversed(self._slots):
            there = yield from slot.call("delete", key)
            gone = gone or bool(there)
        return gone

    def clearing(self) -> Steps[None]:
        """Forget everything on all levels."""
        for slot in reversed(self._slots):
            yield from slot.call("clear")

    def claiming(self, key: Any) -> Steps[Release | Missing | None]:
        """The right to compute a key, of the level that most share; of the next one where that fails."""
        for slot in reversed(self._slots):
            if hasattr(slot.level, "claim"):
                release: Release | Missing | None = yield from slot.call("claim", key, otherwise=MISSING)
                if release is not MISSING:
                    return release
        return MISSING


def _names(levels: list[Any]) -> list[str]:
    """What levels are called: memory, disk, redis, or their class; the second of a kind is memory2."""
    names: list[str] = []
    for level in levels:
        kind = type(level).__name__.removeprefix("Async").removesuffix("Cache").lower() or "level"
        number = 1
        while (name := kind if number == 1 else f"{kind}{number}") in names:
            number += 1
        names.append(name)
    return names
