"""`MemoryCache`: the most recently used entries, in the memory of this process."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, MutableMapping
from typing import Any, Final

from pytest_perfguard.tools.caches.get_or_compute import LocalCache
from pytest_perfguard.tools.caches.level import DEFAULT, MISSING, CachedValue, LevelStats, checked_bound, checked_ttl
from pytest_perfguard.tools.caches.lru_entries import CacheEntry, LruEntries, items_of, new_entry

MAXSIZE: Final = 1_000
TTL: Final = 60.0


class MemoryCache(LruEntries, LocalCache, MutableMapping[Hashable, Any]):
    """Keep the most recently used entries, each for a limited time. Safe to use from several threads.

    Reading takes no lock. An expired entry is removed when it is read, by `expire()`, or soon after room is needed. The mapping
    protocol works as with cachetools: `cache[key]` raises KeyError, iteration visits the entries that have not expired. Caches
    compare by identity.

    Parameters
    ----------
    maxsize
        the bound: entries, or the sum of `getsizeof(value)` over all entries.
    ttl
        seconds that an entry lives unless `set` gives another time; None: no limit.
    getsizeof
        returns the weight of a value, such as `len` for bytes. A value that alone exceeds `maxsize` is not kept.
    clock
        returns seconds, for tests.
    weigh
        the former name of `getsizeof`.
    """

    blocking = False

    def __init__(
        self,
        maxsize: float = MAXSIZE,
        ttl: float | None = TTL,
        *,
        getsizeof: Callable[[Any], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
        weigh: Callable[[Any], float] | None = None,
    ) -> None:
        LocalCache.__init__(self)
        self.ttl = checked_ttl(ttl, None)
        if type(self).getsizeof is not MemoryCache.getsizeof:  # a subclass has a method for it
            getsizeof = self.getsizeof
        LruEntries.__init__(self, checked_bound("maxsize", maxsize), getsizeof or weigh, clock)
        self._seconds = math.inf if self.ttl is None else self.ttl
        self._tokens = self._reads.tokens
        self._stamp = itertools.count(1)
        self._written = self._counts["other stamps"].add  # all stamps but these are hits

    def get(self, key: Hashable, default: object = None) -> Any:
        """Return the value of a key that was set and has not expired, or `default`."""
        entry = self._find(key)
        if entry is not None:
            value = entry.value  # before `expires`: a removed entry has lost its value
            if self._clock() < entry.expires:
                try:  # noqa: SIM105 - `suppress` would take longer than all the rest
                    self._touch(key)
                except KeyError:  # removed by another thread since
                    pass
                entry.stamp = next(self._stamp)
                return value
        self._missed(key)
        return default

    def lookup(self, key: Hashable) -> CachedValue | None:
        """Return the value and its remaining seconds, or None."""
        entry = self._find(key)
        if entry is None:
            self._missed(key)
            return None
        value, left = entry.value, entry.expires - self._clock()
        if left <= 0:
            self._missed(key)
            return None
        self._touch_quietly(key)
        entry.stamp = next(self._stamp)
        return CachedValue(value, left if math.isfinite(left) else None)

    def set(self, key: Hashable, value: object, ttl: float | None = DEFAULT) -> None:
        """Keep a value for `ttl` seconds; None: without a limit; by default as long as the cache keeps values."""
        self._store(key, value, ttl)
        if self._tokens:
            self._invalidate(key)

    def delete(self, key: Hashable) -> bool:
        """Remove a key and return whether it was there."""
        removed = self._remove(key)
        self._invalidate(key)
        return removed

    def clear(self) -> None:
        """Remove all entries; the statistics go on."""
        with self._lock:
            removed = [entry for segment in self._segments for entry in list(segment.values())]
            for segment in self._segments:
                segment.clear()
            self._to_check.clear()
            self._earliest = self._next_earliest = math.inf
            self._first_used.clear()
            self._listed.clear()
            self._weight = 0.0
        self._flights.forget_all()
        self._reads.invalidate()
        del removed  # finalizers of values run here, outside of the lock

    free_memory = clear
    relieve = clear  # the former name

    def multi_set(self, pairs: Iterable[tuple[Hashable, object]], ttl: float | None = DEFAULT) -> None:
        """Set several pairs of key and value."""
        for key, value in pairs:
            self.set(key, value, ttl)

    def add(self, key: Hashable, value: object, ttl: float | None = DEFAULT) -> bool:
        """Set a value only if the key has none, and return whether it was set."""
        with self._lock:
            if key in self:
                return False
            self.set(key, value, ttl)
            return True

    def increment(self, key: Hashable, delta: float = 1, default: float = 0) -> Any:
        """Add `delta` to the number of a key, by default to `default`, and return the sum. The time to live stays."""
        with self._lock:
            entry = self._find(key)
            if entry is None:
                return self._begun(key, default + delta)
            value = entry.value  # before `expires`: a removed entry has lost its value
            if entry.expires <= self._clock():
                return self._begun(key, default + delta)
            total = value + delta
            if self._getsizeof is None:
                entry.value = total
            else:
                self._written()
                self._store_weighed(new_entry(key, total, entry.expires, next(self._stamp)), self._clock())
        self._invalidate(key)
        return total

    def touch(self, key: Hashable, ttl: float | None = DEFAULT) -> bool:
        """Give a key a new time to live, and return whether it was there."""
        seconds = self._seconds if ttl == DEFAULT else checked_ttl(ttl, None)
        with self._lock:
            entry = self._find(key)
            if entry is None or entry.expires <= self._clock():
                return False
            entry.expires = math.inf if seconds is None else self._clock() + seconds
            self._will_expire(entry.expires)
            return True

    def expire(self) -> list[tuple[Hashable, Any]]:
        """Remove all expired entries, and return their keys and values."""
        with self._lock:
            now = self._clock()
            old = [entry for segment in self._segments for entry in list(segment.values()) if entry.expires <= now]
            pairs = [(entry.key, entry.value) for entry in old]
            for entry in old:
                self._drop_expired(entry)
        for entry in old:
            entry.empty()
        return pairs

    def purge(self) -> int:
        """Remove all expired entries, and return their number."""
        return len(self.expire())

    def stats(self) -> LevelStats:
        """Return the current statistics."""
        with self._lock:
            counts = {name: counter.value() for name, counter in self._counts.items()}
            hits = next(self._stamp) - 1 - counts.pop("other stamps")
            self._written()  # the stamp that was taken by this call
            return LevelStats(self._number(), self.currsize, hits, **counts)

    # The mapping protocol

    @property
    def currsize(self) -> float:
        """The sum of the weights of all entries."""
        return self._weight if self._getsizeof is not None else float(self._number())

    def getsizeof(self, value: object) -> float:
        """Return the weight of a value: 1, unless the cache was given a function for it."""
        return 1 if self._getsizeof is None else self._getsizeof(value)

    def __getitem__(self, key: Hashable) -> Any:
        value = self.get(key, MISSING)
        return value if value is not MISSING else self.__missing__(key)

    def __missing__(self, key: Hashable) -> Any:
        raise KeyError(key)

    def __setitem__(self, key: Hashable, value: object) -> None:
        if self._getsizeof is not None and self._getsizeof(value) > self.maxsize:
            raise ValueError(f"the value is too large: it weighs more than maxsize, {self.maxsize:g}")
        self.set(key, value)

    def __delitem__(self, key: Hashable) -> None:
        if not self.delete(key):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        """Return whether a key is there, without counting a hit or a miss."""
        entry = self._find(key)
        return entry is not None and self._clock() < entry.expires

    def __iter__(self) -> Iterator[Hashable]:
        now = self._clock()
        with self._lock:
            pairs = [pair for segment in self._segments for pair in items_of(segment)]
        return iter([key for key, entry in pairs if now < entry.expires])

    def pop(self, key: Hashable, default: object = MISSING) -> Any:
        """Remove a key and return its value, or `default`; raise KeyError if there is neither."""
        value = self._peek(key)
        removed = self.delete(key)
        if value is MISSING or not removed:
            if default is MISSING:
                raise KeyError(key)
            return default
        return value

    def setdefault(self, key: Hashable, default: object = None) -> Any:
        """Return the value of a key; set it to `default` if there is none. `__missing__` is not called."""
        value = self.get(key, MISSING)
        if value is MISSING:
            self[key] = value = default
        return value

    def popitem(self) -> tuple[Hashable, Any]:
        """Remove the least recently used entry, and return its key and value; raise KeyError if the cache is empty."""
        with self._lock:
            while True:
                entry = self._take_least_recently_used()
                if entry is None:
                    raise KeyError("the cache is empty") from None
                key, value, expires = entry.key, entry.value, entry.expires
                entry.empty()
                if self._clock() < expires:
                    break
        self._invalidate(key)
        return key, value

    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __len__(self) -> int:
        return self._number()

    def __bool__(self) -> bool:
        return True

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.currsize:g} of {self.maxsize:g})"

    def begin_anew(self) -> None:
        """Reset in a forked child."""
        LocalCache.begin_anew(self)
        LruEntries.begin_anew(self)

    # Operations without invalidation

    def _peek(self, key: Hashable) -> object:
        entry = self._find(key)
        if entry is None:
            return MISSING
        value = entry.value
        return value if self._clock() < entry.expires else MISSING

    def _store(self, key: Hashable, value: object, ttl: float | None) -> None:
        seconds = self._seconds if ttl == DEFAULT else checked_ttl(ttl, None)
        now = self._clock()
        expires = math.inf if seconds is None else now + seconds
        if expires < self._earliest or expires < self._next_earliest:
            self._will_expire(expires)
        stamp = next(self._stamp)
        self._written()
        if self._is_weighed:
            self._store_weighed(new_entry(key, value, expires, stamp), now)
            return
        entries = self._segments[0]
        old = entries.get(key)
        if old is not None:
            # In place, unless it has expired: a reader that has the former value would find a time in the future.
            if now < old.expires and self._replace(old, key, value, expires, stamp):
                return
            old.empty()
            entries.pop(key, None)
        entry = entries[key] = new_entry(key, value, expires, stamp)
        self._to_check.append(entry)
        if len(entries) > self.maxsize:
            if now >= self._earliest:
                for removed in self._drop_some_expired():
                    removed.empty()
            while len(entries) > self.maxsize:
                evicted = self._take_least_recently_used()
                if evicted is None:
                    break
                self._evicted()
                evicted.empty()
        if len(self._to_check) > 2 * len(entries) + 16:
            self._limit_checks(len(entries))

    def _begun(self, key: Hashable, value: float) -> float:
        """Set the first number of a key, and return it."""
        self.set(key, value)
        return value

    def _replace(self, old: CacheEntry, key: Hashable, value: object, expires: float, stamp: int) -> bool:
        """Give an entry a new value, and return whether it is still in its place."""
        old.value, old.expires, old.stamp = value, expires, stamp
        try:
            self._touch(key)
        except KeyError:
            return False
        return self._find(key) is old

    def _remove(self, key: Hashable) -> bool:
        entry = self._pop(key)
        if entry is None:
            return False
        entry.empty()
        self._limit_checks(self._number())
        return True

    def _invalidate(self, key: Hashable) -> None:
        self._flights.forget(key)
        self._reads.invalidate(key)

    def _missed(self, key: Hashable) -> None:
        self._counts["misses"].add()
        entry = self._find(key)
        if entry is not None and entry.expires <= self._clock() and self._drop_expired(entry):
            entry.empty()
