"""Stress the tools with forks and finalizers, and end at once where a thread or a child hangs.

    python benchmarks/tools_stress.py                       # each tool for 600 s
    python benchmarks/tools_stress.py 60 ObjectPool DiskCache

Three threads use a tool and leave garbage in cycles, whose finalizers use the tool again, while the main thread forks. A
child uses the tool, too. A thread that makes no progress for 120 s, or a child that takes longer than 60 s, is a hang: the
stacks of all threads are printed, and the status is 1. The RedisCache needs a server (PERFGUARD_REDIS, by default on
127.0.0.1:6379). Needs `os.fork`.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from functools import partial
from typing import ClassVar, NamedTuple

import pytest_perfguard as perfguard

REDIS = os.environ.get("PERFGUARD_REDIS", "redis://127.0.0.1:6379/0")
SECONDS = 600.0
THREADS = 3
#: Seconds without progress that are a hang.
MAX_PAUSE = 60.0
#: Objects between two runs of the garbage collector, so that finalizers run anywhere.
GC_THRESHOLD = 50
#: Finalizers that are left to the collector at one time. It runs in one thread at a time, while the others leave more:
#: without a limit each collection would take longer than the one before.
MAX_GARBAGE = 10

#: Uses a tool; the number varies the keys.
Use = Callable[[int], object]


def nothing(_number: int) -> None:
    """Stand for the finalizer of a tool that finalizers cannot use."""


class Uses(NamedTuple):
    """Use of a tool by threads and children, and by finalizers."""

    in_thread: Use
    in_finalizer: Use


class Thing:
    """An object of a pool that belongs to one process."""

    def __init__(self) -> None:
        self.pid = os.getpid()

    def close(self) -> None:
        if self.pid != os.getpid():
            raise RuntimeError("closed by another process")


class Lease:
    """An object that is released by its finalizer."""

    def __init__(self, acquire: Callable[[], Thing], release: Callable[[Thing], object]) -> None:
        self.me = self
        self.release = release
        self.thing = acquire()
        if self.thing.pid != os.getpid():
            raise RuntimeError("an object of another process")

    def __del__(self) -> None:
        if hasattr(self, "thing"):
            self.release(self.thing)


def _leases(
    pool: perfguard.ObjectPool | perfguard.ConnectionPool, block: Callable[[float], AbstractContextManager[object]]
) -> Uses:
    """Return uses that leave leases to the collector; `block` lends an object to a `with` statement.

    A finalizer waits for nothing: no other collection runs meanwhile, so that the garbage keeps its leases.
    """

    def use(number: int, timeout: float, block_timeout: float) -> None:
        with contextlib.suppress(perfguard.PoolTimeout):  # in a finalizer, in the middle of another call
            Lease(partial(pool.acquire, timeout), pool.release)
            with block(block_timeout):
                pool.stats()
            if number % 50 == 0:
                pool.shrink(1)
        if number % 50 == 1:
            pool.not_returned()

    return Uses(lambda number: use(number, 20, 0.01), lambda number: use(number, 0, 0))


def object_pool() -> Uses:
    pool = perfguard.ObjectPool(Thing, initial=2, max_size=2000, destroy=Thing.close)
    return _leases(pool, pool.item)


def small_object_pool() -> Uses:
    """Return a use that waits often. Its objects are released by blocks, else all could be in garbage."""
    pool = perfguard.ObjectPool(Thing, initial=1, max_size=2, destroy=Thing.close, reset=lambda _thing: [[], []])

    def use(_number: int) -> None:
        with contextlib.suppress(perfguard.PoolTimeout), pool.item(0.5):
            pool.stats()

    def in_finalizer(_number: int) -> None:
        with contextlib.suppress(perfguard.PoolTimeout), pool.item(0):
            pool.stats()

    return Uses(use, in_finalizer)


def connection_pool() -> Uses:
    pool = perfguard.ConnectionPool(Thing, min_size=1, max_size=2000, check=lambda _thing: True, check_interval=0.01)
    return _leases(pool, pool.connection)


def in_a_loop(work: Callable[[int], Coroutine[object, object, None]]) -> Uses:
    """Return uses that run a coroutine function in a new event loop; a loop runs in no finalizer within a loop."""

    def use(number: int) -> None:
        if asyncio._get_running_loop() is None:
            asyncio.run(work(number))

    return Uses(use, nothing)


def async_object_pool() -> Uses:
    pools: dict[tuple[int, int], perfguard.AsyncObjectPool[Thing]] = {}

    async def work(_number: int) -> None:
        owner = os.getpid(), threading.get_ident()
        pool = pools.setdefault(owner, perfguard.AsyncObjectPool(Thing, initial=0, max_size=2))

        async def one() -> None:
            async with pool.item() as thing:
                await asyncio.sleep(0)
                if thing.pid != os.getpid():
                    raise RuntimeError("an object of another process")

        await asyncio.gather(*(one() for _ in range(6)))

    return in_a_loop(work)


def batch_processor() -> Uses:
    batch = perfguard.BatchProcessor(
        {"double": lambda items: [2 * item for item in items]}, max_size=5, max_delay=0.005
    )

    def use(number: int) -> None:
        with contextlib.suppress(perfguard.BatchTimeout):
            batch.process("double", number, timeout=5)
        batch.stats()

    return Uses(use, lambda number: batch.submit("double", number))


def async_batch_processor() -> Uses:
    batches: dict[tuple[int, int], perfguard.AsyncBatchProcessor] = {}

    async def work(_number: int) -> None:
        owner = os.getpid(), threading.get_ident()
        batch = batches.setdefault(
            owner, perfguard.AsyncBatchProcessor({"same": lambda items: items}, max_size=4, max_delay=0.001)
        )
        if await batch.process_many("same", range(10)) != list(range(10)):
            raise RuntimeError("wrong results")

    return in_a_loop(work)


def stream_processor() -> Uses:
    def use(_number: int) -> None:
        stream = perfguard.StreamProcessor(sum, chunk_items=3)
        if sum(stream.run(range(20))) != 190:
            raise RuntimeError("wrong sum")

    return Uses(use, nothing)  # it starts threads, and `ThreadPoolExecutor` cannot be used in a finalizer


def cache_uses(cache: perfguard.MultiLevelCache | perfguard.DiskCache | perfguard.RedisCache) -> Uses:
    def use(number: int) -> None:
        cache.set(str(number % 40), number)
        cache.get(str(number % 30))
        cache.delete(str(number % 40))
        cache.get_or_compute(str(number % 50), lambda: number)
        cache.stats()

    def in_finalizer(number: int) -> None:
        with contextlib.suppress(perfguard.CacheError):  # the thread computes this key; or a process forks
            use(number)

    return Uses(use, in_finalizer)


def memory_cache() -> Uses:
    cache, weighed = perfguard.MemoryCache(20), perfguard.MemoryCache(50, getsizeof=lambda _value: 2)

    def use(number: int) -> None:
        with contextlib.suppress(perfguard.CacheError):  # in a finalizer, while its thread computes this key
            cache.get_or_compute(str(number % 50), lambda: number)
        cache.set(number % 40, number)
        cache.delete(number % 40)
        weighed.set(number % 90, [number])
        weighed.get(number % 90)
        weighed.expire()
        list(weighed)

    return Uses(use, use)


def disk_cache() -> Uses:
    cache = perfguard.DiskCache(tempfile.mkdtemp(), maxsize=30)
    return cache_uses(cache)


def multi_level_cache() -> Uses:
    levels = [perfguard.MemoryCache(20), perfguard.DiskCache(tempfile.mkdtemp(), maxsize=60)]
    cache = perfguard.MultiLevelCache(levels)
    return cache_uses(cache)


def redis_cache() -> Uses:
    cache = perfguard.RedisCache(REDIS, prefix=f"stress {os.getpid()}:", ttl=60)
    return cache_uses(cache)


def performance_monitor() -> Uses:
    monitor = perfguard.PerformanceMonitor(interval=0.01)
    monitor.alert("hits > 1e12", on_record=True)
    monitor.start()

    def use(number: int) -> None:
        monitor.count("calls", route=number % 30)
        monitor.observe("size", number)
        with monitor.timer("load"):
            monitor.summary()
        monitor.remove("calls", route=number % 30)

    return Uses(use, use)


def memory_manager() -> Uses:
    manager = perfguard.MemoryManager(interval=0.01, collect_above=10**12, clear_above=10**12)
    manager.start()
    cache = perfguard.MemoryCache()

    def use(number: int) -> None:
        name = f"{threading.get_ident()} {number}"
        with contextlib.suppress(KeyError, ValueError):  # a finalizer has the same name
            manager.register_cache(name, cache)
            manager.sample()
            manager.unregister(name)

    return Uses(use, use)


def lazy_modules() -> Uses:
    loader = perfguard.LazyModuleLoader(["colorsys", "this_module_is_missing"])

    def use(_number: int) -> None:
        loader.module("colorsys").rgb_to_hls(0, 0, 0)
        loader.statistics()

    return Uses(use, use)


TOOLS: dict[str, Callable[[], Uses]] = {
    "ObjectPool": object_pool, "ObjectPool, waiting": small_object_pool, "ConnectionPool": connection_pool,
    "AsyncObjectPool": async_object_pool, "BatchProcessor": batch_processor,
    "AsyncBatchProcessor": async_batch_processor, "StreamProcessor": stream_processor, "MemoryCache": memory_cache,
    "DiskCache": disk_cache, "MultiLevelCache": multi_level_cache, "RedisCache": redis_cache,
    "PerformanceMonitor": performance_monitor, "MemoryManager": memory_manager, "LazyModuleLoader": lazy_modules,
}  # fmt: skip


class Garbage:
    """A cycle whose finalizer uses the tool, in the thread in which the collector finds it."""

    left: ClassVar[set[int]] = set()

    def __init__(self, use: Use, number: int) -> None:
        self.me, self.use, self.number = self, use, number
        self.left.add(id(self))

    def __del__(self) -> None:
        self.left.discard(id(self))
        self.use(self.number)


class Stress:
    """One tool under stress, in this process."""

    def __init__(self, uses: Uses, seconds: float) -> None:
        self.use, self.in_finalizer = uses
        self.end = time.monotonic() + seconds
        self.uses: Counter[int] = Counter()
        """By thread, those of finalizers included: one thread may run the finalizers of all."""
        self.outcomes: Counter[int] = Counter()
        self.errors: list[str] = []

    def run(self) -> int:
        """Return the status: 0 where no call failed and none hung."""
        sys.unraisablehook = lambda raised: self.errors.append(repr(raised.exc_value))
        self.use(0)  # imports: a child that is forked while a thread imports waits for that for ever
        faulthandler.register(signal.SIGALRM, chain=True)  # in a child: it has no thread for `dump_traceback_later`
        gc.set_threshold(GC_THRESHOLD, 5, 50)
        threads = [threading.Thread(target=self.keep_using, args=(place,), daemon=True) for place in range(THREADS)]
        for thread in threads:
            thread.start()
        seen: dict[int, int] = {}
        while any(thread.is_alive() for thread in threads):
            now = {ident: self.uses[ident] for thread in threads if (ident := thread.ident)}
            if not seen or all(now[ident] != seen[ident] for ident in now):
                faulthandler.dump_traceback_later(2 * MAX_PAUSE, exit=True)
                seen = now
            gc.collect()  # the old garbage, too; where all threads wait for objects that it holds, none of them does so
            time.sleep(0.01)
            self.outcomes[self.fork()] += 1
        faulthandler.cancel_dump_traceback_later()
        failed = self.errors or set(self.outcomes) - {0}
        print(f"{self.uses.total()} uses, status of children: {dict(self.outcomes)}", *self.errors[:5], sep="\n    ")
        return 1 if failed else 0

    def keep_using(self, place: int) -> None:
        number = place
        while time.monotonic() < self.end:
            number += 1
            try:
                if len(Garbage.left) < MAX_GARBAGE:
                    Garbage(self.finalize, number)
                self.use(number)
            except BaseException:
                self.errors.append(traceback.format_exc())
            self.uses[threading.get_ident()] += 1

    def finalize(self, number: int) -> None:
        self.in_finalizer(number)
        self.uses[threading.get_ident()] += 1

    def fork(self) -> int:
        """Return the exit status of a child that uses the tool."""
        child = os.fork()
        if child == 0:
            status = 2
            try:
                signal.alarm(int(MAX_PAUSE))
                for number in range(5):
                    self.use(number)
                status = 0
            except BaseException:
                traceback.print_exc()
            os._exit(status)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--one"]:  # a process for each tool
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 and newer warn at a fork beside threads
        logging.disable()
        status = Stress(TOOLS[arguments[2]](), float(arguments[1])).run()
        sys.stdout.flush()
        os._exit(status)  # without the work at the end of a program, which the stressed threads would hold up
    seconds = arguments[0] if arguments else str(SECONDS)
    failed = []
    for name in arguments[1:] or TOOLS:
        print(f"{name}: ", end="", flush=True)
        if subprocess.run([sys.executable, __file__, "--one", seconds, name], check=False).returncode:
            failed.append(name)
    print("failed: " + ", ".join(failed) if failed else "no hang and no error")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
