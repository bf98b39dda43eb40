"""`MemoryCache`: the last used entries, in this process's memory.

The exact least recently used entry is found without moving entries at each hit. A hit only stamps its entry with the next number
of a counter. Where room must be made, the entries are sorted by their stamps once, and then go in that order; one whose stamp
has changed since is younger than all that stand in the order still, and is passed over. When the order is used up, each of its
entries has been evicted, replaced or hit once: the sort's cost is spread over so many calls. A lock would cost more than all
this. Threads that write at the same time may hold one entry each too many for a moment, and then evict one each too many.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Hashable
from operator import itemgetter
from typing import Any, Final

from pytest_perfguard.tools.caches.counter import Counter
from pytest_perfguard.tools.caches.get_or_compute import Plain
from pytest_perfguard.tools.caches.level import DEFAULT, MISSING, Found, LevelStats, checked_bound, checked_ttl

MAXSIZE: Final = 1_000
TTL: Final = 60.0


class _Entry:
    __slots__ = ("expires", "key", "stamp", "value", "weight")

    key: Hashable
    value: Any
    expires: float
    weight: float
    stamp: int


class MemoryCache(Plain):
    """Keeps the most recently used entries, each for a limited time. Safe to use from several threads.

    Reading takes no lock and 0.3 us or so; an expired entry is removed when it is read, or when room is made.

    Parameters
    ----------
    maxsize
        the most that is kept: entries, or the sum of what `weigh` says of them.
    ttl
        seconds that an entry lives where `set` does not say; None: for ever.
    weigh
        the weight of a value, such as `len` for bytes. A value that alone is above `maxsize` is not kept.
    clock
        seconds, for tests.
    """

    blocking = False

    def __init__(
        self,
        maxsize: float = MAXSIZE,
        ttl: float | None = TTL,
        *,
        weigh: Callable[[Any], float] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self.maxsize = checked_bound("maxsize", maxsize)
        self.ttl = checked_ttl(ttl, None)
        self._seconds = math.inf if self.ttl is None else self.ttl
        self._weigh = weigh
        self._clock = clock
        self._lock = threading.RLock()  # a value's finalizer may come back to this cache
        self._entries: dict[Hashable, _Entry] = {}
        self._find = self._entries.get
        self._readings = self._fresh.tokens
        self._stamp = itertools.count(1)
        self._counts = {name: Counter() for name in ("other stamps", "misses", "evictions", "expirations", "refusals")}
        self._written = self._counts["other stamps"].add  # all stamps but these are hits
        self._order: list[tuple[Hashable, int]] = []  # keys and stamps, the least recently used last
        self._weight = 0.0  # where `weigh` says it

    def get(self, key: Hashable, default: Any = None) -> Any:
        """The value of a key that was set and has not expired, or `default`."""
        entry = self._find(key)
        if entry is not None and self._clock() < entry.expires:
            entry.stamp = next(self._stamp)
            return entry.value
        self._missed(key)
        return default

    def lookup(self, key: Hashable) -> Found | None:
        """The value and the seconds it has left; None if there is nothing."""
        entry = self._find(key)
        left = 0.0 if entry is None else entry.expires - self._clock()
        if entry is None or left <= 0:
            self._missed(key)
            return None
        entry.stamp = next(self._stamp)
        return Found(entry.value, left if math.isfinite(left) else None)

    def set(self, key: Hashable, value: Any, ttl: float | None = DEFAULT) -> None:
        """Keep a value for `ttl` seconds, None for ever; by default as long as the cache says."""
        self._store(key, value, ttl)
        if self._readings:
            self._changed(key)

    def _store(self, key: Hashable, value: Any, ttl: float | None) -> None:
        seconds = self._seconds if ttl == DEFAULT else checked_ttl(ttl, None)
        entry = _Entry()
        entry.key = key
        entry.value = value
        entry.expires = math.inf if seconds is None else self._clock() + seconds
        entry.stamp = next(self._stamp)
        self._written()
        if self._weigh is not None:
            self._store_weighed(entry, self._weigh(value))
            return
        self._entries[key] = entry
        if len(self._entries) > self.maxsize:
            self._make_room()

    def _store_weighed(self, entry: _Entry, weight: float) -> None:
        if not weight >= 0:
            raise ValueError(f"weigh says {weight!r}: a weight is a number of at least 0")
        entry.weight = weight
        with self._lock:
            old: object = self._pop(entry.key)
            if weight > self.maxsize:
                self._counts["refusals"].add()
            else:
                self._entries[entry.key] = entry
                self._weight += weight
                old = old, self._make_room()
        del old  # values may end here, with finalizers of their own: outside of the lock

    def delete(self, key: Hashable) -> bool:
        """Forget a key; was there anything?"""
        gone = self._remove(key)
        self._changed(key)
        return gone

    def _remove(self, key: Hashable) -> bool:
        with self._lock:
            entry = self._pop(key)
        return entry is not None

    def clear(self) -> None:
        """Forget everything; the statistics go on."""
        with self._lock:
            gone = list(self._entries.values())
            self._entries.clear()
            self._order = []
            self._weight = 0.0
        self._flights.forget_all()
        self._fresh.changed()
        del gone

    relieve = clear

    def purge(self) -> int:
        """Remove what has expired; returns how much that was."""
        with self._lock:
            now = self._clock()
            old = [entry for entry in list(self._entries.values()) if entry.expires <= now]
            for entry in old:
                self._expire(entry)
        return len(old)

    def stats(self) -> LevelStats:
        """The numbers of this moment."""
        with self._lock:
            counts = {name: counter.value() for name, counter in self._counts.items()}
            hits = next(self._stamp) - 1 - counts.pop("other stamps")
            self._written()  # the stamp of this look
            weight = float(len(self._entries)) if self._weigh is None else self._weight
            return LevelStats(len(self._entries), weight, hits, **counts)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Hashable) -> bool:
        """Without being a hit or a miss."""
        entry = self._find(key)
        return entry is not None and self._clock() < entry.expires

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.stats().weight:g} of {self.maxsize:g}>"

    def _peek(self, key: Hashable) -> Any:
        entry = self._find(key)
        return entry.value if entry is not None and self._clock() < entry.expires else MISSING

    def _missed(self, key: Hashable) -> None:
        self._counts["misses"].add()
        entry = self._find(key)
        if entry is not None and entry.expires <= self._clock():
            with self._lock:
                self._expire(entry)

    def _changed(self, key: Hashable) -> None:
        self._flights.forget(key)
        self._fresh.changed(key)

    def _expire(self, entry: _Entry) -> None:
        if self._drop(entry):
            self._counts["expirations"].add()

    def _drop(self, entry: _Entry) -> bool:
        """Remove an entry, unless it was replaced."""
        popped = self._pop(entry.key) if self._entries.get(entry.key) is entry else None
        if popped is not None and popped is not entry:  # it was, between these two
            self._entries.setdefault(entry.key, popped)
            self._weight += 0.0 if self._weigh is None else popped.weight
        return popped is entry

    def _pop(self, key: Hashable) -> _Entry | None:
        entry = self._entries.pop(key, None)
        if entry is not None and self._weigh is not None:
            self._weight -= entry.weight
        return entry

    def _make_room(self) -> list[_Entry]:
        """Remove the least recently used entries until the rest fits; returns them."""
        entries, gone = self._entries, []
        while entries and (len(entries) if self._weigh is None else self._weight) > self.maxsize:
            order = self._order
            try:
                key, stamp = order.pop()
            except IndexError:
                self._sort(order)
                continue
            entry = entries.get(key)
            if entry is not None and entry.stamp == stamp and self._drop(entry):
                self._counts["evictions"].add()
                gone.append(entry)
        return gone

    def _sort(self, used_up: list[tuple[Hashable, int]]) -> None:
        with self._lock:
            if self._order is used_up:  # else another thread has
                self.purge()
                stamps = [(entry.key, entry.stamp) for entry in list(self._entries.values())]
                self._order = sorted(stamps, key=itemgetter(1), reverse=True)

    def begin_anew(self) -> None:
        """In a child process after a fork."""
        super().begin_anew()
        self._lock = threading.RLock()
        for counter in self._counts.values():
            counter.begin_anew()
