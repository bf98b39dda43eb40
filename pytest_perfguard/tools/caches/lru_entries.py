"""Entries of a `MemoryCache` in the order of their use.

They stand in an `OrderedDict`: a hit moves its entry to the end, and the first entry is evicted. Both take constant time and are
atomic, so that a small cache needs no lock. A dictionary that grows is copied now and then, which takes long for a large one. A large
cache therefore consists of many small dictionaries, and a heap of their first entries finds the least recently used one.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from heapq import heappop, heappush, heapreplace
from typing import Any, Final

from pytest_perfguard.core.shared_lock import SHARED_LOCK

#: Entries up to which one dictionary is copied within a millisecond: above, its table is twice as large. Its writes take
#: half of the time of those of several.
MAX_SINGLE: Final = 8_192
#: Entries per dictionary of a larger cache, on average.
SEGMENT_SIZE: Final = 512
MAX_SEGMENTS: Final = 4_096
#: Dictionaries of a cache whose bound is a weight or infinite, and that may hold any number of entries.
WEIGHED_SEGMENTS: Final = 128
#: Entries whose expiry is checked each time room is made: all of a small cache, a few of a larger one.
_ALL_CHECKED: Final = 48
_CHECKED: Final = 2
#: `expires` of an entry that was removed.
_REMOVED: Final = -math.inf


class AtomicCounter:
    """A counter that threads share without a lock: a call of `add` is atomic."""

    __slots__ = ("_lock", "_numbers", "_reads", "add")

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._reads = 0
        self._lock = SHARED_LOCK
        self.add = self._numbers.__next__

    def value(self) -> int:
        """Return the number of calls of `add`."""
        with self._lock:
            value = next(self._numbers) - self._reads
            self._reads += 1
        return value

    def begin_anew(self) -> None:
        """Reset in a forked child, where another thread may have held the lock."""
        self._lock = SHARED_LOCK


class CacheEntry:
    """A key with its value. A removed entry loses both, since the deque of expiry checks may hold it for a while."""

    __slots__ = ("expires", "key", "stamp", "value", "weight")

    key: Hashable
    value: Any
    expires: float
    weight: float
    stamp: int

    def empty(self) -> None:
        self.expires = _REMOVED  # first: a reader reads the value before this, and then finds it removed
        self.value = self.key = None


def new_entry(key: Hashable, value: object, expires: float, stamp: int) -> CacheEntry:
    """Return an entry. Not a constructor: a call of a class with `__init__` takes longer."""
    entry = CacheEntry()
    entry.key = key
    entry.value = value
    entry.expires = expires
    entry.stamp = stamp
    return entry


class LruEntries:
    """The entries of one cache, and the room that they take."""

    def __init__(self, maxsize: float, getsizeof: Callable[[Any], float] | None, clock: Callable[[], float]) -> None:
        self.maxsize = maxsize
        self._getsizeof = getsizeof
        self._clock = clock
        self._lock = SHARED_LOCK
        names = ("other stamps", "misses", "evictions", "expirations", "refusals")
        self._counts = {name: AtomicCounter() for name in names}
        self._to_check: deque[CacheEntry] = deque()
        """Entries in the order in which their expiry is checked; among them removed ones."""
        self._earliest = self._next_earliest = math.inf
        """No entry expires before the first of these times; the second is that of the entries seen in this round."""
        self._left_to_check = 0
        """Entries that this round of checks has not seen."""
        self._evicted = self._counts["evictions"].add
        self._is_weighed = getsizeof is not None or maxsize > MAX_SINGLE
        """Whether changes take the lock and keep the sum of the weights."""
        self._weight = 0.0
        is_counted = getsizeof is None and maxsize < math.inf
        number = _number_of_segments(maxsize) if is_counted else WEIGHED_SEGMENTS
        self._segments: list[OrderedDict[Hashable, CacheEntry]] = [
            OrderedDict() for _ in range(number if self._is_weighed else 1)
        ]
        self._first_used: list[tuple[int, int, CacheEntry]] = []
        """A heap of the first entry of each segment, or a former one: its stamp, the segment and the entry."""
        self._listed: set[int] = set()
        """The segments in the heap."""
        only = self._segments[0]
        self._find: Callable[[Hashable], CacheEntry | None] = self._find_in_segment if self._is_weighed else only.get
        self._touch: Callable[[Hashable], None] = self._touch_in_segment if self._is_weighed else only.move_to_end

    def begin_anew(self) -> None:
        """Reset in a forked child, where another thread may have held the lock."""
        self._lock = SHARED_LOCK
        for counter in self._counts.values():
            counter.begin_anew()

    def _number(self) -> int:
        return sum(map(len, self._segments)) if self._is_weighed else len(self._segments[0])

    def _segment_number(self, key: Hashable) -> int:
        number = hash(key)
        return (number ^ number >> 9 ^ number >> 20) & (len(self._segments) - 1)

    def _find_in_segment(self, key: Hashable) -> CacheEntry | None:
        return self._segments[self._segment_number(key)].get(key)

    def _touch_in_segment(self, key: Hashable) -> None:
        self._segments[self._segment_number(key)].move_to_end(key)

    def _touch_quietly(self, key: Hashable) -> None:
        try:  # noqa: SIM105 - faster than `suppress`
            self._touch(key)
        except KeyError:
            pass

    def _store_weighed(self, entry: CacheEntry, now: float) -> None:
        if self._getsizeof is None:
            weight = 1.0
        elif not (weight := self._getsizeof(entry.value)) >= 0:
            raise ValueError(f"getsizeof returned {weight!r}, expected a number of at least 0")
        entry.weight = weight
        key = entry.key
        removed: list[CacheEntry] = []
        number = self._segment_number(key)
        segment = self._segments[number]
        with self._lock:
            old = segment.pop(key, None)
            if old is not None:
                self._weight -= old.weight
                removed.append(old)
            if weight > self.maxsize:
                self._counts["refusals"].add()
            else:
                segment[key] = entry
                if number not in self._listed:
                    self._listed.add(number)
                    heappush(self._first_used, (entry.stamp, number, entry))
                self._weight += weight
                self._to_check.append(entry)
                if self._weight > self.maxsize:
                    self._make_room(now, removed)
                self._limit_checks(self._number_roughly())
        for entry in removed:  # finalizers of values run here, outside of the lock
            entry.empty()

    def _number_roughly(self) -> int:
        """Return the number of entries from one segment, without visiting all of them."""
        return len(self._segments[0]) * len(self._segments) if self._getsizeof is not None else int(self._weight)

    def _pop(self, key: Hashable) -> CacheEntry | None:
        if not self._is_weighed:
            return self._segments[0].pop(key, None)
        with self._lock:
            entry = self._segments[self._segment_number(key)].pop(key, None)
            if entry is not None:
                self._weight -= entry.weight
            return entry

    def _drop(self, entry: CacheEntry) -> bool:
        """Remove an entry, unless it was replaced or removed, and return whether it was there."""
        with self._lock:
            key = entry.key
            if entry.expires == _REMOVED or self._find(key) is not entry:
                return False
            popped = self._pop(key)
            if popped is not None and popped is not entry:  # replaced by another thread between the two lines
                self._segments[self._segment_number(key)].setdefault(key, popped)
                self._weight += popped.weight if self._is_weighed else 0.0
            return popped is entry

    def _drop_expired(self, entry: CacheEntry) -> bool:
        dropped = self._drop(entry)
        if dropped:
            self._counts["expirations"].add()
        return dropped

    def _make_room(self, now: float, removed: list[CacheEntry]) -> None:
        """Remove expired entries, a few at a time, and then the least recently used ones; add them to the list."""
        if now >= self._earliest:
            removed += self._drop_some_expired()
        while self._weight > self.maxsize:
            entry = self._take_least_recently_used()
            if entry is None:
                break
            self._evicted()
            removed.append(entry)

    def _take_least_recently_used(self) -> CacheEntry | None:
        if not self._is_weighed:
            try:
                return self._segments[0].popitem(last=False)[1]
            except KeyError:  # emptied by another thread
                return None
        first_used, taken = self._first_used, None
        while first_used and taken is None:
            stamp, number, entry = first_used[0]
            segment = self._segments[number]
            if entry.stamp == stamp and segment.get(entry.key) is entry:  # else it was used or removed since
                taken = segment.pop(entry.key)
                self._weight -= taken.weight
            first = _first(segment)
            if first is None:
                heappop(first_used)
                self._listed.discard(number)
            else:
                heapreplace(first_used, (first.stamp, number, first))
        return taken

    def _drop_some_expired(self) -> list[CacheEntry]:
        now, dropped = self._clock(), []
        number = len(self._to_check)
        for _ in range(number if number <= _ALL_CHECKED else _CHECKED):
            if self._left_to_check <= 0 and now < self._begin_round():
                break
            try:
                entry = self._to_check.popleft()
            except IndexError:
                break
            self._left_to_check -= 1
            if entry.expires > now:
                self._to_check.append(entry)
                self._next_earliest = min(self._next_earliest, entry.expires)
            elif self._drop_expired(entry):
                dropped.append(entry)
        return dropped

    def _begin_round(self) -> float:
        """Begin a round of checks; return the time before which no entry expires, known by the last round."""
        self._earliest, self._next_earliest = self._next_earliest, math.inf
        self._left_to_check = len(self._to_check)
        return self._earliest

    def _will_expire(self, expires: float) -> None:
        """Record that an entry has a new time to live."""
        self._earliest = min(self._earliest, expires)
        self._next_earliest = min(self._next_earliest, expires)

    def _limit_checks(self, number: int) -> None:
        """Forget removed entries, a few at a time, so that the deque holds no more of them than of the others."""
        to_check = self._to_check
        if len(to_check) <= 2 * number + 16:
            return
        for _ in range(2 * _CHECKED):
            try:
                entry = to_check.popleft()
            except IndexError:
                return
            if entry.expires != _REMOVED:
                to_check.append(entry)


def _number_of_segments(maxsize: float) -> int:
    wanted = min(MAX_SEGMENTS, max(1, int(maxsize // SEGMENT_SIZE)))
    return 1 << (wanted - 1).bit_length()


def _first(segment: OrderedDict[Hashable, CacheEntry]) -> CacheEntry | None:
    while segment:
        try:
            return next(iter(segment.values()))
        except (RuntimeError, StopIteration, KeyError):  # a hit moved an entry meanwhile
            continue
    return None


def items_of(segment: OrderedDict[Hashable, CacheEntry]) -> list[tuple[Hashable, CacheEntry]]:
    while True:
        with contextlib.suppress(RuntimeError, KeyError):  # another thread changed it meanwhile
            return list(segment.items())
