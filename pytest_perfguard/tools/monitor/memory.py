"""`MemoryManager`: watches a program's memory in the background, and gives some back when there is too much of it."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pytest_perfguard.core.units import format_size
from pytest_perfguard.tools.monitor.memory_policy import GROWTH_SAMPLES, Action, Limits, actions
from pytest_perfguard.tools.monitor.memory_sample import MemorySample, read_memory
from pytest_perfguard.tools.monitor.ticker import Ticker, Ticking

INTERVAL: Final = 30.0
SAMPLES_KEPT: Final = 100
GROWTH_LIMIT: Final = 10_000_000
COLLECT_ABOVE: Final = 100_000_000
CLEAR_ABOVE: Final = 200_000_000
#: Objects that a pool keeps when memory is short.
POOL_SIZE_UNDER_PRESSURE: Final = 10

_log = logging.getLogger("perfguard.memory")
_COUNTED_AS: Final = {Action.WARN: "warnings", Action.COLLECT: "collections", Action.CLEAR: "clears"}


class Shrinkable(Protocol):
    """A pool."""

    def shrink(self, size: int, /) -> object:
        """Keep at most so many idle objects."""


class Clearable(Protocol):
    """A cache; one that has a method `relieve` as well, such as those of several levels, is asked for that."""

    def clear(self) -> object:
        """Forget everything."""


class Relievable(Protocol):
    """Something that can make do with less memory."""

    def relieve(self) -> object:
        """Let go of what is not essential."""


@dataclass(frozen=True)
class MemoryStats:
    """What a manager has done so far."""

    samples: int = 0
    warnings: int = 0
    collections: int = 0
    clears: int = 0
    freed: int = 0
    """Bytes that the resident set shrank by, over all collections and clears."""
    highest_rss: int = 0
    failures: int = 0
    """Callbacks, pools and caches that raised; each was logged."""


#: Called with what was done, and the sample that called for it.
Callback = Callable[[Action, MemorySample], object]


class MemoryManager(Ticking):
    """Samples memory on an interval, warns of steady growth, collects garbage, clears caches and cuts pools.

    `start()` it, or use it as a context manager; without either, `sample()` does one round. The thread is a daemon that
    ends with `stop()`, with the interpreter, and when the manager itself is no longer referred to. Safe to use from
    several threads.

    Parameters
    ----------
    interval
        seconds between two samples.
    growth_limit
        mean growth per sample, over the last 10 of them, above which steady growth is logged as a warning, in bytes.
    collect_above, clear_above
        bytes of the resident set above which garbage is collected, and above which caches are cleared and pools cut.
    read
        takes a sample; for tests.
    """

    def __init__(
        self,
        *,
        interval: float = INTERVAL,
        growth_limit: float = GROWTH_LIMIT,
        collect_above: float = COLLECT_ABOVE,
        clear_above: float = CLEAR_ABOVE,
        read: Callable[[], MemorySample] = read_memory,
    ) -> None:
        if collect_above > clear_above:
            raise ValueError(
                f"collect_above ({collect_above!r}) is above clear_above ({clear_above!r}): collecting comes first"
            )
        self._limits = Limits(growth_limit, collect_above, clear_above)
        self._read = read
        self._ticker = Ticker(self.sample, interval, "perfguard-memory")
        self._lock = threading.Lock()
        self._samples: deque[MemorySample] = deque(maxlen=SAMPLES_KEPT)
        self._unwarned = 0
        self._relief: dict[str, tuple[weakref.ref[Any], Callable[[Any], object]]] = {}
        self._callbacks: list[Callback] = []
        self._stats = dict.fromkeys(MemoryStats.__dataclass_fields__, 0)

    def register_pool(self, name: str, pool: Shrinkable) -> None:
        """Call `pool.shrink(10)` under pressure. The manager does not keep the pool alive."""
        self._register(name, pool, lambda pool: pool.shrink(POOL_SIZE_UNDER_PRESSURE))

    def register_cache(self, name: str, cache: Clearable | Relievable) -> None:
        """Call `cache.clear()` under pressure, of a cache that is not essential; it is not kept alive.

        Anything with a method `relieve` can be registered as well: that is called instead. A `MultiLevelCache` then forgets what
        it has in memory, a batch processor does not wait for full batches, and a stream processor finishes what it has begun.
        """
        self._register(name, cache, lambda cache: (getattr(cache, "relieve", None) or cache.clear)())

    def _register(self, name: str, thing: object, relief: Callable[[Any], object]) -> None:
        with self._lock:
            known = self._relief.get(name)
            if known is not None and known[0]() is not None:
                raise ValueError(f"a pool or cache {name!r} is registered already; unregister it first")
            try:
                self._relief[name] = weakref.ref(thing), relief
            except TypeError:
                raise TypeError(
                    f"{name!r}: a {type(thing).__name__} cannot be referred to weakly; subclass it"
                ) from None

    def unregister(self, name: str) -> None:
        """Leave a pool or a cache alone from now on."""
        with self._lock:
            if self._relief.pop(name, None) is None:
                raise KeyError(
                    f"no pool or cache {name!r} is registered (registered: {', '.join(self._relief) or 'none'})"
                )

    def on_action(self, callback: Callback) -> None:
        """Call `callback(action, sample)` after each action, in the thread that took the sample."""
        with self._lock:
            self._callbacks.append(callback)

    @property
    def samples(self) -> tuple[MemorySample, ...]:
        """The last 100, the latest last."""
        with self._lock:
            return tuple(self._samples)

    @property
    def stats(self) -> MemoryStats:
        with self._lock:
            return MemoryStats(**self._stats)

    def sample(self) -> MemorySample:
        """Take a sample now, and do what it calls for."""
        with self._lock:
            sample = self._read()
            self._samples.append(sample)
            self._stats["samples"] += 1
            self._stats["highest_rss"] = max(self._stats["highest_rss"], sample.rss)
            self._unwarned += 1
            wanted = actions([known.rss for known in self._samples], self._limits)
            if Action.WARN in wanted and self._unwarned < GROWTH_SAMPLES:  # told already of this growth
                wanted.remove(Action.WARN)
        for action in wanted:  # without the lock: what is called may have locks of its own
            self._act(action, sample)
        return sample

    def _act(self, action: Action, sample: MemorySample) -> None:
        self._count(_COUNTED_AS[action])
        if action is Action.WARN:
            self._unwarned = 0
            _log.warning("memory has grown over the last %d samples, to %s", GROWTH_SAMPLES, format_size(sample.rss))
        else:
            if action is Action.CLEAR:
                self._relieve()
            gc.collect()
            self._count("freed", max(0, sample.rss - self._read().rss))
        for callback in list(self._callbacks):
            self._safely(callback, action, sample)

    def _relieve(self) -> None:
        with self._lock:
            reliefs = list(self._relief.items())
        for name, (reference, relief) in reliefs:
            thing = reference()
            if thing is not None:
                self._safely(relief, thing)
                continue
            with self._lock:  # it is gone, unless its name was given anew
                if self._relief.get(name) == (reference, relief):
                    del self._relief[name]

    def _safely(self, call: Callable[..., object], *args: object) -> None:
        try:
            call(*args)
        except Exception:
            self._count("failures")
            _log.exception("%r failed with %r", call, args)

    def _count(self, name: str, more: int = 1) -> None:
        with self._lock:
            self._stats[name] += more
