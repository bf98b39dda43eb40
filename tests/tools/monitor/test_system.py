"""What the system and a loop tell, and the thread that asks."""

from __future__ import annotations

import asyncio
import gc
import threading

from pytest_perfguard import PerformanceMonitor


def test_the_process_is_read_on_demand():
    monitor = PerformanceMonitor()
    monitor.collect_system()
    gauges = monitor.summary().gauges
    assert gauges["process.rss_bytes"] > 1_000_000
    assert gauges['process.cpu_seconds{mode="user"}'] > 0
    assert gauges["process.threads"] >= threading.active_count()
    assert gauges["process.open_fds"] > 2
    assert gauges["process.uptime_seconds"] >= 0
    assert gauges['python.gc_collections{generation="0"}'] >= 0
    assert {"process.uss_bytes", 'process.context_switches{kind="voluntary"}'} <= set(gauges)


def test_a_watched_loop_tells_its_delay_and_tasks():
    monitor = PerformanceMonitor()

    async def main():
        monitor.watch_loop()
        monitor.collect_system()
        await asyncio.sleep(0)

    asyncio.run(main())
    summary = monitor.summary()
    assert summary.histograms["asyncio.loop_delay_seconds"].count == 1
    assert summary.gauges["asyncio.tasks"] == 1
    gc.collect()
    monitor.collect_system()  # the loop is closed, or gone
    assert monitor.summary().histograms["asyncio.loop_delay_seconds"].count == 1


def test_the_thread_looks_every_interval_and_always_ends():
    looked = threading.Event()

    class Watched(PerformanceMonitor):
        def collect_system(self):
            looked.set()

    monitor = Watched(interval=0.001)
    with monitor:
        assert looked.wait(10)
        thread = next(thread for thread in threading.enumerate() if thread.name == "perfguard-monitor")
        assert thread.daemon
    assert not thread.is_alive()
    monitor.start()
    thread = next(thread for thread in threading.enumerate() if thread.name == "perfguard-monitor")
    del monitor
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()
