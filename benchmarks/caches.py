"""Compare the costs of caches with cachetools, functools.lru_cache, diskcache and shelve; pauses, and a stampede.

    python benchmarks/caches.py

Needs cachetools and diskcache. Everything is measured in turn in one process. Times in memory are minima of many rounds, those of
the disk medians of the thread's CPU time, since other programs use the disk, too.
"""

from __future__ import annotations

import asyncio
import gc
import random
import shelve
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from time import perf_counter_ns

import diskcache
from cachetools import TTLCache
from tabulate import tabulate

from pytest_perfguard import AsyncMultiLevelCache, DiskCache, MemoryCache, MultiLevelCache

ENTRIES = 1_000
ROUNDS = 60


def timed(
    calls: dict[str, tuple[Callable[[], object], int]],
    rounds: int,
    sum_up: Callable[..., float],
    clock: Callable[[], int] = perf_counter_ns,
) -> dict[str, float]:
    """Return nanoseconds per operation of each call, over rounds in turn."""
    seen: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, (call, operations) in calls.items():
            begun = clock()
            call()
            seen[name].append((clock() - begun) / operations)
    return {name: sum_up(values) for name, values in seen.items()}


def each(function: Callable[[str], object], keys: list[str]) -> tuple[Callable[[], object], int]:
    """Return a call of the function with each of the keys, and their number."""

    def call() -> None:
        for key in keys:
            function(key)

    return call, len(keys)


def each_with(
    function: Callable[[str, object], object], keys: list[str], value: object
) -> tuple[Callable[[], object], int]:
    """Return a call of the function with each of the keys and a value, and their number."""

    def call() -> None:
        for key in keys:
            function(key, value)

    return call, len(keys)


def memory() -> None:
    keys = [f"key {number}" for number in range(ENTRIES)]
    random.Random(1).shuffle(keys)
    others = [f"other {number}" for number in range(ENTRIES)]
    lock, peer = threading.Lock(), TTLCache(ENTRIES, 300)
    ours, full = MemoryCache(ENTRIES, 300), MemoryCache(ENTRIES, 300)
    levels = MultiLevelCache([MemoryCache(ENTRIES, 300)])
    function = lru_cache(ENTRIES)(lambda key: key)
    churned = lru_cache(ENTRIES)(lambda key: key)
    full_peer = TTLCache(ENTRIES, 300)

    def peer_get(key: str) -> object:
        with lock:
            return peer.get(key)

    def peer_set(key: str, value: object) -> None:
        with lock:
            peer[key] = value

    def full_peer_set(key: str, value: object) -> None:
        with lock:
            full_peer[key] = value

    for key in keys:
        ours.set(key, key)
        levels.set(key, key)
        peer[key] = key
        function(key)
    gets = timed(
        {
            "MemoryCache": each(ours.get, keys), "MultiLevelCache, first level": each(levels.get, keys),
            "cachetools.TTLCache with a lock": each(peer_get, keys), "functools.lru_cache, a hit": each(function, keys),
        },
        ROUNDS, min,
    )  # fmt: skip
    sets = timed(
        {
            "MemoryCache": each_with(ours.set, keys, 1),
            "cachetools.TTLCache with a lock": each_with(peer_set, keys, 1),
            "MemoryCache, each evicts": each_with(full.set, keys + others, 1),
            "cachetools.TTLCache with a lock, each evicts": each_with(full_peer_set, keys + others, 1),
            "functools.lru_cache, a miss that evicts": each(churned, keys + others),
        },
        ROUNDS, min,
    )  # fmt: skip
    rows = [["get", name, value] for name, value in gets.items()] + [
        ["set", name, value] for name, value in sets.items()
    ]
    print(tabulate(rows, ["memory", "", "ns"], floatfmt=".0f"))
    peer_name = "cachetools.TTLCache with a lock"
    print(
        f"\nget: {gets[peer_name] / gets['MemoryCache']:.1f} times as fast as cachetools with a lock, "
        f"{gets['MemoryCache'] / gets['functools.lru_cache, a hit']:.2f} times lru_cache; "
        f"set: {sets[peer_name] / sets['MemoryCache']:.1f} times as fast as cachetools with a lock, evicting "
        f"{sets[peer_name + ', each evicts'] / sets['MemoryCache, each evicts']:.1f} times\n"
    )


def disk(folder: Path) -> None:
    count = 500
    value = {"name": "x" * 100, "numbers": list(range(20))}
    ours, peer = DiskCache(folder / "ours"), diskcache.Cache(str(folder / "peer"))
    shelf = shelve.open(str(folder / "shelf"))  # noqa: SIM115 - closed below
    keys = [f"key {number}" for number in range(count)]
    calls = {
        "DiskCache (JSON)": each_with(ours.set, keys, value), "diskcache (pickle)": each_with(peer.set, keys, value),
        "shelve (one process, no bound)": each_with(shelf.__setitem__, keys, value),
    }  # fmt: skip
    sets = timed(calls, 7, statistics.median, time.thread_time_ns)
    calls = {
        "DiskCache (JSON)": each(ours.get, keys), "diskcache (pickle)": each(peer.get, keys),
        "shelve (one process, no bound)": each(shelf.__getitem__, keys),
    }  # fmt: skip
    gets = timed(calls, 15, statistics.median, time.thread_time_ns)
    shelf.close()
    print(
        tabulate(
            [[name, sets[name] / 1e3, gets[name] / 1e3] for name in sets], ["disk", "set us", "get us"], floatfmt=".1f"
        )
    )
    mine, theirs = "DiskCache (JSON)", "diskcache (pickle)"
    print(
        f"\nDiskCache: {sets[mine] / sets[theirs]:.2f} times the CPU time of diskcache to set, {gets[mine] / gets[theirs]:.2f} to get\n"
    )


def pauses() -> None:
    """Show the longest single `set`, in CPU time of the thread, with the garbage collector off: the best of three fillings."""
    rows = []
    for size in (1_000, 8_192, 10_000, 100_000):
        longest, means = [], []
        for _ in range(3):
            cache = MemoryCache(size, None)
            gc.collect()
            gc.disable()
            worst = total = 0
            for number in range(5 * size // 2):
                begun = time.thread_time_ns()
                cache.set(number, number)
                took = time.thread_time_ns() - begun
                worst, total = max(worst, took), total + took
            gc.enable()
            longest.append(worst)
            means.append(total / (5 * size // 2))
        rows.append([size, min(means), min(longest) / 1e3])
    print(tabulate(rows, ["MemoryCache of", "mean set ns", "longest us"], floatfmt=".0f"))


def stampede() -> None:
    calls: list[int] = []

    def compute() -> int:
        calls.append(1)
        time.sleep(0.05)
        return 1

    async def compute_async() -> int:
        calls.append(1)
        await asyncio.sleep(0.05)
        return 1

    begun = time.perf_counter()
    cache = MultiLevelCache()
    threads = [threading.Thread(target=cache.get_or_compute, args=("key", compute)) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    by_threads, calls[:] = (len(calls), time.perf_counter() - begun), []

    async def main() -> None:
        cache = AsyncMultiLevelCache()
        await asyncio.gather(*(cache.get_or_compute("key", compute_async) for _ in range(100)))

    begun = time.perf_counter()
    asyncio.run(main())
    print(f"\n100 callers of a function of 50 ms: threads {by_threads[0]} call, {by_threads[1] * 1e3:.0f} ms; tasks {len(calls)} call, "
          f"{(time.perf_counter() - begun) * 1e3:.0f} ms")  # fmt: skip


if __name__ == "__main__":
    print(f"Python {sys.version.split()[0]}\n")
    memory()
    with tempfile.TemporaryDirectory() as name:
        disk(Path(name))
    pauses()
    stampede()
