"""What a level of a cache is, and what is found in one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol


class Missing(Enum):
    """Says "nothing", where None may be a value."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING

#: `ttl` of a call that leaves it to the cache: no number of seconds.
DEFAULT: Final = -math.inf


class Level(Protocol):
    """Any object with these four methods can be a level of a `MultiLevelCache`; for `AsyncMultiLevelCache` also as coroutines."""

    def get(self, key: str, default: Any = None, /) -> Any:
        """The value, or `default`."""

    def set(self, key: str, value: Any, ttl: float | None = None, /) -> object:
        """Keep it for `ttl` seconds; None: for ever."""

    def delete(self, key: str, /) -> object:
        """Forget it."""

    def clear(self) -> object:
        """Forget everything."""


class Found(NamedTuple):
    """What a level of ours says of a key (`lookup`)."""

    value: Any
    ttl: float | None
    """Seconds that it has left; None: it never expires."""


#: Gives back what was claimed.
Release = Callable[[], object]


@dataclass(frozen=True)
class LevelStats:
    """The numbers of one level."""

    entries: int = 0
    weight: float = 0
    """Of all entries, in the unit of the bound: entries, or what `weigh` says, or bytes."""
    hits: int = 0
    misses: int = 0
    evictions: int = 0
    """Entries that had to make room."""
    expirations: int = 0
    """Entries found to be too old."""
    refusals: int = 0
    """Entries that alone are above the bound, and were not kept."""
    corrupt: int = 0
    """Entries that could not be read, and were removed."""
    errors: int = 0
    """Calls that failed, such as for want of the server."""

    @property
    def hit_rate(self) -> float:
        """Hits per reading, 0 to 1; NaN before the first."""
        return hit_rate(self.hits, self.misses)

    def statistics(self) -> dict[str, float]:
        """As numbers by name."""
        return {**asdict(self), "hit_rate": self.hit_rate}


def hit_rate(hits: int, misses: int) -> float:
    """Hits per reading; NaN where nothing was read."""
    return hits / (hits + misses) if hits or misses else math.nan


def checked_ttl(ttl: float | None, default: float | None) -> float | None:
    """Seconds an entry may live: what the call says, or else the cache; None: for ever."""
    if ttl is None:
        return None
    if ttl == DEFAULT:
        return default
    if not ttl > 0:
        raise ValueError(f"ttl is {ttl!r}: it must be more than 0 seconds, or None for ever")
    return ttl


def checked_bound(name: str, bound: float) -> float:
    """Refuse a bound under which nothing fits."""
    if not bound > 0:
        raise ValueError(f"{name} is {bound!r}: it must be more than 0")
    return bound
