"""Measure batches and streams beside aiodataloader, a plain loop and a ThreadPoolExecutor.

    python benchmarks/processing.py

Needs aiodataloader. All are measured in turns in one process; times are the minimum of several rounds.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import sys
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from aiodataloader import DataLoader
from tabulate import tabulate

from pytest_perfguard import AsyncBatchProcessor, BatchProcessor, StreamProcessor

ITEMS = 10_000
ROUNDS = 15
CHUNK = 64 * 1024
CHUNKS = 500


def interleaved(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the seconds of each call, the minimum of several rounds in turns.

    Without full garbage collections: 10,000 tasks are just enough for one, so that a slightly smaller number of objects
    would save a microsecond per item.
    """
    gc.set_threshold(*gc.get_threshold()[:2], 1_000_000)
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            gc.collect()
            begun = time.perf_counter()
            call()
            best[name] = min(best[name], time.perf_counter() - begun)
    return best


async def load(keys: list[int]) -> list[int]:
    return [2 * key for key in keys]


def with_futures() -> None:
    """Take what asyncio itself takes for an item of the next two."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[int]] = []

        async def one() -> int:
            future = loop.create_future()
            futures.append(future)
            return await future

        def end() -> None:
            for number, future in enumerate(futures):
                future.set_result(2 * number)

        results = asyncio.gather(*(one() for _ in range(ITEMS)))
        loop.call_soon(end)
        await results

    asyncio.run(main())


def with_loader() -> None:
    async def main() -> None:
        loader = DataLoader(load, max_batch_size=50, cache=False)

        async def one(number: int) -> int:
            return await loader.load(number)

        await asyncio.gather(*(one(number) for number in range(ITEMS)))

    asyncio.run(main())


def with_processor() -> None:
    async def main() -> None:
        async with AsyncBatchProcessor({"load": load}, max_queue=ITEMS) as batch:
            await asyncio.gather(*(batch.process("load", number) for number in range(ITEMS)))

    asyncio.run(main())


def with_load_many() -> None:
    async def main() -> None:
        await DataLoader(load, max_batch_size=50, cache=False).load_many(range(ITEMS))

    asyncio.run(main())


def with_process_many() -> None:
    async def main() -> None:
        async with AsyncBatchProcessor({"load": load}, max_queue=ITEMS) as batch:
            await batch.process_many("load", range(ITEMS))

    asyncio.run(main())


def with_threads() -> None:
    with BatchProcessor({"load": lambda keys: [2 * key for key in keys]}, max_queue=ITEMS) as batch:
        futures = [batch.submit("load", number) for number in range(ITEMS)]
        for future in futures:
            future.result()


def batches() -> None:
    calls: dict[str, Callable[[], object]] = {
        "a task and a future each, nothing else": with_futures,
        "aiodataloader, load in tasks (a batch per turn of the loop, unbounded)": with_loader,
        "AsyncBatchProcessor, process in tasks": with_processor,
        "aiodataloader, load_many": with_load_many,
        "AsyncBatchProcessor, process_many": with_process_many,
        "BatchProcessor, submit and result, one thread": with_threads,
    }
    listed = [[name, seconds / ITEMS * 1e6] for name, seconds in interleaved(calls).items()]
    print(tabulate(listed, [f"{ITEMS} items in batches of 50", "us per item"], floatfmt=".2f"))


def source() -> Iterator[bytes]:
    block = bytes(range(256)) * (CHUNK // 256)
    for _ in range(CHUNKS):
        yield bytes(bytearray(block))


def heavy(chunk: bytes) -> int:
    """Hash and compress: work that releases the interpreter lock."""
    return zlib.crc32(zlib.compress(hashlib.sha256(chunk).digest() + chunk, 1))


def of_chunk(chunk: list[bytes]) -> int:
    return heavy(chunk[0])


def by_loop() -> None:
    for block in source():
        heavy(block)


def by_pool() -> None:
    with ThreadPoolExecutor(3) as pool:
        for _ in pool.map(heavy, source()):
            pass


def by_stream() -> None:
    StreamProcessor(of_chunk, max_memory=2_000_000).drain(source())


def streams() -> None:
    rows = []
    calls: dict[str, Callable[[], object]] = {
        "a plain loop": by_loop, "ThreadPoolExecutor.map, 3 threads": by_pool, "StreamProcessor, 3 at a time": by_stream,
    }  # fmt: skip
    seconds = interleaved(calls)
    for name, call in calls.items():
        tracemalloc.start()
        call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        rows.append([name, CHUNK * CHUNKS / seconds[name] / 1e6, peak / 1e6])
    print(tabulate(rows, [f"\n{CHUNK * CHUNKS / 1e6:.0f} MB in blocks of 64 KiB", "MB/s", "peak MB"], floatfmt=".1f"))


if __name__ == "__main__":
    print(f"Python {sys.version.split()[0]}\n")
    batches()
    streams()
