"""`MemoryManager`: watch a program's memory in the background, and free some when it uses too much."""

from __future__ import annotations

import gc
import inspect
import logging
import math
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from pytest_perfguard.core.callables import must_be_awaited
from pytest_perfguard.core.fork import register_at_fork
from pytest_perfguard.core.shared_lock import SHARED_LOCK
from pytest_perfguard.core.units import format_size
from pytest_perfguard.tools.monitor.memory_policy import GROWTH_SAMPLES, Action, MemoryLimits, Repetition, actions
from pytest_perfguard.tools.monitor.memory_sample import MemorySample, imported_psutil, read_memory
from pytest_perfguard.tools.monitor.system import running_loop
from pytest_perfguard.tools.monitor.ticker import Ticker, Ticking

if TYPE_CHECKING:
    import asyncio

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
        """Keep at most `size` idle objects."""


class Clearable(Protocol):
    """A cache. If it has a method `free_memory`, such as a cache of several levels, that is called instead of `clear`."""

    def clear(self) -> object:
        """Remove all entries."""


class MemoryHolder(Protocol):
    """An object that can use less memory."""

    def free_memory(self) -> object:
        """Free memory that is not essential."""


@dataclass(frozen=True)
class MemoryStats:
    """The actions of a manager so far."""

    samples: int = 0
    warnings: int = 0
    collections: int = 0
    clears: int = 0
    freed: int = 0
    """Bytes by which the resident set shrank, over all collections and clears."""
    highest_rss: int = 0
    failures: int = 0
    """Callbacks, pools and caches that raised an error; each was logged."""


#: Called with an action and the sample that caused it.
Callback = Callable[[Action, MemorySample], object]
#: Frees memory of an object.
Free = Callable[[Any], object]


class MemoryManager(Ticking):
    """Sample memory on an interval, warn of steady growth, collect garbage, clear caches and cut pools.

    Use it as a context manager, call `start()`, or call `sample()` for single samples. The thread is a daemon that ends with
    `stop()`, with the interpreter, and when the manager itself is garbage. Safe to use from several threads; a forked child has a
    thread of its own.

    Limits are compared with the heap (psutil 7.2 and newer) or else with the resident set. An action is repeated only when memory
    fell below its limit since, or grew by a tenth.

    Parameters
    ----------
    interval
        seconds between two samples.
    growth_limit
        mean growth per sample in bytes, over the last 10 samples, above which a warning is logged.
    collect_above, clear_above
        bytes above which garbage is collected, and above which caches are cleared and pools cut.
    read
        returns a sample; for tests.
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
        limits = {"growth_limit": growth_limit, "collect_above": collect_above, "clear_above": clear_above}
        for limit, size in limits.items():
            if math.isnan(size):
                raise ValueError(f"{limit} is {size!r}: give a number of bytes")
        if collect_above > clear_above:
            raise ValueError(
                f"collect_above ({collect_above!r}) is above clear_above ({clear_above!r}): collecting comes first"
            )
        self._limits = MemoryLimits(growth_limit, collect_above, clear_above)
        self._repetition = Repetition(self._limits)
        self._read = read
        imported_psutil()
        self._ticker = Ticker(self.sample, interval, "perfguard-memory")
        self._lock = SHARED_LOCK
        self._samples: deque[MemorySample] = deque(maxlen=SAMPLES_KEPT)
        self._unwarned = 0
        self._registered: dict[str, tuple[weakref.ref[object], Free, asyncio.AbstractEventLoop | None]] = {}
        self._created: dict[str, object] = {}
        self._callbacks: list[Callback] = []
        self._stats = dict.fromkeys(MemoryStats.__dataclass_fields__, 0)
        register_at_fork(self)

    def create_pool(self, name: str, create: Callable[[], object], **options: Any) -> Any:
        """Return a new `ObjectPool` of this name, an `AsyncObjectPool` for a coroutine function; it is cut under pressure.

        The manager keeps the pool until `unregister(name)`; `pools` has all pools that were created.

        Parameters
        ----------
        options
            of the pool's class, such as `reset`, `initial` and `max_size`.
        """
        from pytest_perfguard import AsyncObjectPool, ObjectPool

        kind: Any = AsyncObjectPool if must_be_awaited(create) else ObjectPool
        pool = kind(create, name=name, **options)
        self.register_pool(name, pool)
        self._created[name] = pool
        return pool

    @property
    def pools(self) -> dict[str, Any]:
        """The pools that `create_pool` has made, by name."""
        return dict(self._created)

    def register_pool(self, name: str, pool: Shrinkable) -> None:
        """Call `pool.shrink(10)` under pressure. The manager does not keep the pool alive."""
        self._register(name, pool, lambda pool: pool.shrink(POOL_SIZE_UNDER_PRESSURE))

    def register_cache(self, name: str, cache: Clearable | MemoryHolder) -> None:
        """Call `cache.clear()` under pressure, of a cache that is not essential. The manager does not keep it alive.

        If the object has a method `free_memory`, that is called instead: a `MultiLevelCache` clears its levels in memory, a batch
        processor does not wait for full batches, and a stream processor finishes the chunks in progress. Coroutine functions run in the
        event loop in which the object was registered.
        """
        self._register(name, cache, _free_memory)

    def unregister(self, name: str) -> None:
        """Leave a pool or a cache alone from now on.

        Raises
        ------
        KeyError
            if there is no such name.
        """
        with self._lock:
            self._created.pop(name, None)
            if self._registered.pop(name, None) is None:
                names = ", ".join(self._registered) or "none"
                raise KeyError(f"no pool or cache {name!r} is registered (registered: {names})")

    def on_action(self, callback: Callback) -> None:
        """Call `callback(action, sample)` after each action, in the thread that took the sample."""
        with self._lock:
            self._callbacks.append(callback)

    @property
    def samples(self) -> tuple[MemorySample, ...]:
        """The last 100 samples, the latest last."""
        with self._lock:
            samples = list(self._samples)  # `tuple` may run the collector, and a finalizer add a sample
        return tuple(samples)

    @property
    def stats(self) -> MemoryStats:
        with self._lock:
            return MemoryStats(**self._stats)

    def sample(self) -> MemorySample:
        """Take a sample now, and act on it."""
        sample = self._read()
        with self._lock:
            self._samples.append(sample)
            self._stats["samples"] += 1
            self._stats["highest_rss"] = max(self._stats["highest_rss"], sample.rss)
            self._unwarned += 1
            wanted = actions([known.level for known in list(self._samples)], self._limits)
            if Action.WARN in wanted and self._unwarned < GROWTH_SAMPLES:  # the log has a warning of this growth
                wanted.remove(Action.WARN)
            due = self._repetition.due(wanted, sample.level)
        for action in due:  # without the lock: pools, caches and callbacks may have locks of their own
            self._act(action, sample)
        return sample

    def begin_anew(self) -> None:
        """Reset in a forked child, where another thread may have held the lock."""
        self._lock = SHARED_LOCK

    def _register(self, name: str, obj: object, free: Free) -> None:
        with self._lock:
            known = self._registered.get(name)
            if known is not None and known[0]() is not None:
                raise ValueError(f"a pool or cache {name!r} is registered already; unregister it first")
            try:
                self._registered[name] = weakref.ref(obj), free, running_loop()
            except TypeError:
                raise TypeError(f"{name!r}: a {type(obj).__name__} cannot be referred to weakly; subclass it") from None

    def _act(self, action: Action, sample: MemorySample) -> None:
        self._count(_COUNTED_AS[action])
        if action is Action.WARN:
            self._unwarned = 0
            _log.warning("memory has grown over the last %d samples, to %s", GROWTH_SAMPLES, format_size(sample.level))
        else:
            if action is Action.CLEAR:
                self._free_all()
            gc.collect()
            after = self._read()
            self._count("freed", max(0, sample.rss - after.rss))
            self._repetition.done(action, after.level)
        for callback in list(self._callbacks):
            self._call_safely(callback, action, sample)

    def _free_all(self) -> None:
        with self._lock:
            names = list(self._registered)
        for name in names:
            entry = self._registered.get(name)
            if entry is None:  # another thread has unregistered it
                continue
            reference, free, loop = entry
            obj = reference()
            if obj is not None:
                self._call_safely(_run_free, free, obj, loop)
                continue
            with self._lock:  # it is gone, unless its name was given to another object
                if self._registered.get(name) is entry:
                    del self._registered[name]

    def _call_safely(self, call: Callable[..., object], *args: object) -> None:
        try:
            call(*args)
        except Exception:
            self._count("failures")
            _log.exception("%r failed with %r", call, args)

    def _count(self, name: str, number: int = 1) -> None:
        with self._lock:
            self._stats[name] += number


def _free_memory(obj: Any) -> object:
    free = getattr(obj, "free_memory", None) or getattr(obj, "relieve", None) or obj.clear
    return free()


def _run_free(free: Free, obj: object, loop: asyncio.AbstractEventLoop | None) -> None:
    """Free memory of an object; what belongs to an event loop in the loop in which it was registered."""
    is_async = inspect.iscoroutinefunction(getattr(obj, "acquire", None))
    if is_async and loop is not None and not loop.is_closed() and running_loop() is not loop:
        loop.call_soon_threadsafe(free, obj)
        return
    result = free(obj)
    if not inspect.iscoroutine(result):
        return
    if loop is None or loop.is_closed():
        result.close()
        raise RuntimeError(f"{obj!r} must be awaited, but no event loop runs for it: register it in its event loop")
    import asyncio

    asyncio.run_coroutine_threadsafe(result, loop)
