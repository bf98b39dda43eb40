"""The protocol of a cache level, its statistics, and the checks of arguments that all levels share."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol


class Missing(Enum):
    """The type of MISSING, which stands for "no value" where None may be a value."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING

#: `ttl` of a call that leaves the time to live to the cache. It is not a number of seconds.
DEFAULT: Final = -math.inf


class Level(Protocol):
    """A level of a `MultiLevelCache`: any object with these methods; for `AsyncMultiLevelCache` also coroutine methods."""

    def get(self, key: str, default: object = None, /) -> Any:
        """Return the value, or `default`."""

    def set(self, key: str, value: object, ttl: float | None = None, /) -> object:
        """Keep a value for `ttl` seconds; None: without a limit."""

    def delete(self, key: str, /) -> object:
        """Remove a key. A true result means that the key was there."""

    def clear(self) -> object:
        """Remove all keys."""


class CachedValue(NamedTuple):
    """A value found in a cache, with its remaining time to live."""

    value: Any
    ttl: float | None
    """Seconds; None: the value never expires."""


#: Returns the key of a call from its arguments.
MakeKey = Callable[..., Hashable]

#: Releases a lease: the right to compute a key.
Release = Callable[[], object]


@dataclass(frozen=True)
class LevelStats:
    """Statistics of one level."""

    entries: int = 0
    weight: float = 0
    """Sum over all entries, in the unit of the bound: entries, results of `getsizeof`, or bytes."""
    hits: int = 0
    misses: int = 0
    evictions: int = 0
    """Entries removed to make room."""
    expirations: int = 0
    """Entries removed because their time to live was over."""
    refusals: int = 0
    """Values that were not kept because they alone exceed the bound."""
    corrupt: int = 0
    """Entries that could not be read and were removed."""
    errors: int = 0
    """Failed calls, such as those without an answer of the server."""

    @property
    def hit_rate(self) -> float:
        """Hits per read, 0 to 1; NaN before the first read."""
        return hit_rate(self.hits, self.misses)

    def statistics(self) -> dict[str, float]:
        """Return the statistics as numbers by name."""
        return {**asdict(self), "hit_rate": self.hit_rate}


def hit_rate(hits: int, misses: int) -> float:
    """Return hits per read; NaN if nothing was read."""
    return hits / (hits + misses) if hits or misses else math.nan


def checked_ttl(ttl: float | None, default: float | None) -> float | None:
    """Return the seconds an entry may live: `ttl`, or `default` if the call leaves it to the cache; None: no limit.

    Raises
    ------
    ValueError
        if `ttl` is not a positive number.
    """
    if ttl is None:
        return None
    if ttl == DEFAULT:
        return default
    if not ttl > 0:
        raise ValueError(f"ttl is {ttl!r}: it must be more than 0 seconds, or None for no limit")
    return ttl


def checked_bound(name: str, bound: float) -> float:
    """Return a bound; raise ValueError for one under which nothing fits."""
    if not bound > 0:
        raise ValueError(f"{name} is {bound!r}: it must be more than 0")
    return bound
