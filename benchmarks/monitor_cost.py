"""Compare the costs of records of `PerformanceMonitor` with prometheus-client and with two bare readings of the clock.

    python benchmarks/monitor_cost.py

Everything is measured in turn in one process; each figure is the minimum over many short rounds, in nanoseconds per
operation, less what the loop and a call of an empty function take. The goals: a timer below 1 us and at least twice as
fast as prometheus-client's `Histogram.time()`, a count at least twice as fast as its `Counter.inc()`.
"""

from __future__ import annotations

import asyncio
import threading
import time
import tracemalloc
from collections.abc import Callable
from time import perf_counter_ns

from prometheus_client import CollectorRegistry, Counter, Histogram
from tabulate import tabulate

from pytest_perfguard import PerformanceMonitor

CALLS = 2_000
ROUNDS = 200


def operations() -> dict[str, Callable[[], object]]:
    """One call of each does one operation."""
    monitor = PerformanceMonitor()
    registry = CollectorRegistry()
    counter = Counter("plain", "d", registry=registry)
    labelled = Counter("labelled", "d", ["table"], registry=registry)
    histogram = Histogram("times", "d", registry=registry)
    labelled_times = Histogram("labelled_times", "d", ["table"], registry=registry)

    def clock_twice() -> float:
        start = time.perf_counter()
        return time.perf_counter() - start

    def our_timer() -> None:
        with monitor.timer("db.query"):
            pass

    def our_labelled_timer() -> None:
        with monitor.timer("db.query", table="users"):
            pass

    def their_timer() -> None:
        with histogram.time():
            pass

    def their_labelled_timer() -> None:
        with labelled_times.labels(table="users").time():
            pass

    return {
        "nothing": lambda: None,
        "two clock readings": clock_twice,
        "timer": our_timer,
        "timer, prometheus": their_timer,
        "timer with a label": our_labelled_timer,
        "timer with a label, prometheus": their_labelled_timer,
        "count": lambda: monitor.count("requests"),
        "count, prometheus": lambda: counter.inc(),
        "count with a label": lambda: monitor.count("hits", table="users"),
        "count with a label, prometheus": lambda: labelled.labels(table="users").inc(),
        "observe": lambda: monitor.observe("size", 5.0),
        "observe, prometheus": lambda: histogram.observe(5.0),
    }


def ns_per_call(call: Callable[[], object]) -> float:
    start = perf_counter_ns()
    for _ in range(CALLS):
        call()
    return (perf_counter_ns() - start) / CALLS


def costs() -> dict[str, float]:
    """Return the minimum of many rounds, less the empty loop; all operations in turn, so that slow phases of the machine affect all."""
    calls = operations()
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, call in calls.items():
            best[name] = min(best[name], ns_per_call(call))
    loop = best.pop("nothing")
    return {name: ns - loop for name, ns in best.items()}


def bytes_per_series(number: int = 500) -> tuple[float, float]:
    """Return the bytes of a counter, and of a histogram whose window is full."""
    monitor = PerformanceMonitor(max_series=10 * number)
    tracemalloc.start()
    start = tracemalloc.get_traced_memory()[0]
    for index in range(number):
        monitor.count("hits", user=index)
    counters = tracemalloc.get_traced_memory()[0] - start
    for index in range(number):
        for _ in range(1000):
            monitor.observe("size", 1.5, user=index)
    histograms = tracemalloc.get_traced_memory()[0] - start - counters
    tracemalloc.stop()
    return counters / number, histograms / number


def throughput_of_threads(threads: int = 8, each: int = 50_000) -> tuple[float, bool]:
    """(counts per second, was none lost?)"""
    monitor = PerformanceMonitor()

    def work() -> None:
        for _ in range(each):
            monitor.count("hits", table="users")

    workers = [threading.Thread(target=work) for _ in range(threads)]
    start = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - start
    return threads * each / seconds, monitor.summary().counters['hits{table="users"}'] == threads * each


def throughput_of_tasks(tasks: int = 1_000, each: int = 100) -> tuple[float, bool]:
    """(timers per second, was none lost?), with every timer open across a turn of the loop."""
    monitor = PerformanceMonitor()

    async def work() -> None:
        for _ in range(each):
            with monitor.timer("turn"):
                await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(*(work() for _ in range(tasks)))

    start = time.perf_counter()
    asyncio.run(main())
    seconds = time.perf_counter() - start
    return tasks * each / seconds, monitor.summary().timers["turn"].count == tasks * each


def main() -> None:
    found = costs()
    rows = []
    for name, ns in found.items():
        peer = found.get(f"{name}, prometheus")
        rows.append([name, f"{ns:.0f}", f"{peer / ns:.2f}" if peer else ""])
    print(tabulate(rows, ["operation", "ns", "times as fast as prometheus-client"], disable_numparse=True))
    counters, histograms = bytes_per_series()
    print(f"memory per series: counter {counters:.0f} B, histogram with a full window {histograms:.0f} B")
    rate, exact = throughput_of_threads()
    print(f"8 threads: {rate / 1e6:.2f} million counts per second, {'none lost' if exact else 'SOME LOST'}")
    rate, exact = throughput_of_tasks()
    print(f"1,000 tasks: {rate / 1e6:.2f} million timers per second, {'none lost' if exact else 'SOME LOST'}")


if __name__ == "__main__":
    main()
