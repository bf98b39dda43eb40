"""Measure the pools beside `queue.LifoQueue`, SQLAlchemy's QueuePool and psycopg_pool.

    python benchmarks/pools.py

Needs sqlalchemy and psycopg_pool. psycopg_pool is skipped where no PostgreSQL server answers at PERFGUARD_POSTGRESQL (by
default on 127.0.0.1:5432). All pools are measured in turns in one process.
"""

from __future__ import annotations

import asyncio
import os
import queue
import statistics
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from time import perf_counter, perf_counter_ns

from tabulate import tabulate

from pytest_perfguard import AsyncConnectionPool, AsyncObjectPool, ConnectionPool, ObjectPool

POSTGRESQL = os.environ.get(
    "PERFGUARD_POSTGRESQL", "host=127.0.0.1 port=5432 user=postgres dbname=postgres connect_timeout=3"
)
CALLS = 1_000
ROUNDS = 100
RUNS = 5


class Thing:
    """A connection that does nothing."""

    def close(self) -> None:
        pass

    def rollback(self) -> None:
        pass


def uncontended() -> dict[str, float]:
    """Return the microseconds to acquire and release, the minimum of many rounds."""
    lifo: queue.LifoQueue[Thing] = queue.LifoQueue()
    for _ in range(4):
        lifo.put(Thing())
    objects, connections = ObjectPool(Thing, initial=4, max_size=4), ConnectionPool(Thing, min_size=4, max_size=4)
    connections.release(connections.acquire())

    def from_lifo() -> None:
        lifo.put(lifo.get())

    def from_objects() -> None:
        objects.release(objects.acquire())

    def from_items() -> None:
        with objects.item():
            pass

    def from_connections() -> None:
        connections.release(connections.acquire())

    calls: dict[str, Callable[[], None]] = {
        "queue.LifoQueue": from_lifo, "ObjectPool": from_objects, "ObjectPool.item()": from_items,
        "ConnectionPool": from_connections,
    }  # fmt: skip
    calls |= {"SQLAlchemy QueuePool": sqlalchemy_call()}
    psycopg = psycopg_pools()
    if psycopg is not None:
        calls["psycopg_pool"] = psycopg
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            start = perf_counter_ns()
            for _ in range(CALLS):
                call()
            best[name] = min(best[name], (perf_counter_ns() - start) / CALLS / 1e3)
    connections.close()
    return best


def sqlalchemy_call() -> Callable[[], None]:
    from sqlalchemy.pool import QueuePool

    pool = QueuePool(Thing, pool_size=4, max_overflow=0, reset_on_return=None)

    def call() -> None:
        pool.connect().close()

    return call


def psycopg_pools() -> Callable[[], None] | None:
    import psycopg
    import psycopg_pool

    try:
        psycopg.connect(POSTGRESQL).close()
    except psycopg.Error:
        return None
    pool = psycopg_pool.ConnectionPool(POSTGRESQL, min_size=4, max_size=4, open=True)
    pool.wait()

    def call() -> None:
        pool.putconn(pool.getconn())

    return call


def contended(take: Callable[[], Thing], give: Callable[[Thing], None], threads: int = 16) -> tuple[float, ...]:
    """Return the rate, CPU time and waits of threads that hold an object for 50 us.

    (thousand acquisitions per second, us of CPU time for each, p99 of the waits in ms, their maximum in ms)
    """
    waits: list[float] = []
    end = perf_counter() + 1.0

    def work() -> None:
        mine = []
        while (start := perf_counter()) < end:
            thing = take()
            mine.append(perf_counter() - start)
            time.sleep(50e-6)
            give(thing)
        waits.extend(mine)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    start, cpu_start = perf_counter(), time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds, cpu = perf_counter() - start, time.process_time() - cpu_start
    p99 = statistics.quantiles(waits, n=100)[98]
    return len(waits) / seconds / 1e3, cpu / len(waits) * 1e6, p99 * 1e3, max(waits) * 1e3


async def asynchronous() -> dict[str, tuple[float, float]]:
    """Return (us to acquire and release, seconds for 1,000 tasks that share 10 objects, five acquisitions each)."""
    import psycopg
    import psycopg_pool

    found = {}

    async def measure(name: str, take: Callable[[], object], give: Callable[[object], object]) -> None:
        best = float("inf")
        for _ in range(50):
            start = perf_counter_ns()
            for _ in range(CALLS):
                await give(await take())  # type: ignore[misc]
            best = min(best, (perf_counter_ns() - start) / CALLS / 1e3)

        async def work() -> None:
            for _ in range(5):
                thing = await take()  # type: ignore[misc]
                await asyncio.sleep(0)
                await give(thing)  # type: ignore[misc]

        start = perf_counter()
        await asyncio.gather(*(work() for _ in range(1000)))
        found[name] = best, perf_counter() - start

    async with AsyncObjectPool(Thing, initial=10, max_size=10) as objects:
        await measure("AsyncObjectPool", objects.acquire, objects.release)
    async with AsyncConnectionPool(Thing, min_size=10, max_size=10, timeout=60) as connections:
        await connections.release(await connections.acquire())
        await measure("AsyncConnectionPool", connections.acquire, connections.release)
    lifo: asyncio.LifoQueue[Thing] = asyncio.LifoQueue()
    for _ in range(10):
        lifo.put_nowait(Thing())
    await measure("asyncio.LifoQueue", lifo.get, lifo.put)
    try:
        async with psycopg_pool.AsyncConnectionPool(
            POSTGRESQL, min_size=10, max_size=10, timeout=60, open=False
        ) as pool:
            await pool.wait()
            await measure("psycopg_pool (async)", pool.getconn, pool.putconn)
    except (psycopg.Error, psycopg_pool.PoolTimeout):
        print("no PostgreSQL server: psycopg_pool is skipped")
    return found


def bytes_per_idle(number: int = 1000) -> float:
    tracemalloc.start()
    start = tracemalloc.get_traced_memory()[0]
    pool = ObjectPool(object, initial=number, max_size=number)
    used = tracemalloc.get_traced_memory()[0] - start
    tracemalloc.stop()
    pool.close()
    return used / number - sys.getsizeof(object())


def main() -> None:
    rows = [[name, f"{us:.2f}"] for name, us in uncontended().items()]
    print(tabulate(rows, ["uncontended, threads", "us to acquire and release"], disable_numparse=True), end="\n\n")
    objects = ObjectPool(Thing, initial=4, max_size=4)
    lifo: queue.LifoQueue[Thing] = queue.LifoQueue()
    for _ in range(4):
        lifo.put(Thing())
    rows = []
    with ConnectionPool(Thing, min_size=4, max_size=4) as connections:
        from sqlalchemy.pool import QueuePool

        alchemy = QueuePool(Thing, pool_size=4, max_overflow=0, reset_on_return=None, timeout=60)
        pools = (
            ("queue.LifoQueue", lifo.get, lifo.put),
            ("ObjectPool", objects.acquire, objects.release),
            ("ConnectionPool", connections.acquire, connections.release),
            ("SQLAlchemy QueuePool", alchemy.connect, lambda connection: connection.close()),
        )
        runs = [[contended(take, give) for _name, take, give in pools] for _ in range(RUNS)]
        for (name, _take, _give), found in zip(pools, zip(*runs, strict=True), strict=True):
            rate, cpu, p99, longest = (statistics.median(values) for values in zip(*found, strict=True))
            rows.append([name, f"{rate:.1f}", f"{cpu:.0f}", f"{p99:.2f}", f"{longest:.0f}"])
    titles = ["16 threads, 4 objects", "thousand per second", "CPU us each", "p99 wait, ms", "longest wait, ms"]
    print(tabulate(rows, titles, disable_numparse=True), end="\n\n")
    rows = [[name, f"{us:.2f}", f"{seconds:.3f}"] for name, (us, seconds) in asyncio.run(asynchronous()).items()]
    print(tabulate(rows, ["asyncio", "us to acquire and release", "1,000 tasks x 5 on 10, s"], disable_numparse=True))
    print(f"\nmemory per idle object: {bytes_per_idle():.0f} B")


if __name__ == "__main__":
    main()
