"""Caches, monitor, memory manager and lazy modules in a forked child, while threads of the parent use them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from pytest_perfguard import RedisCache

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

PROGRAM = """
import os, signal, sys, threading, time, warnings
warnings.simplefilter("ignore")
import pytest_perfguard as perfguard

folder = sys.argv[1]
MAKE

def busy():
    number = 0
    while True:
        number += 1
        use(number)

threads = [threading.Thread(target=busy, daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()
outcomes = {}
for attempt in range(ATTEMPTS):
    time.sleep(0.003)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        try:
            for number in range(3):
                use(attempt * 100 + number)
            check()
        except BaseException as error:
            os.write(2, repr(error).encode() + b"\\n")
            os._exit(2)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    outcomes[status] = outcomes.get(status, 0) + 1
os.write(1, repr(outcomes).encode())
os._exit(0)
"""

TOOLS = {
    "MemoryCache": """
cache = perfguard.MemoryCache(50)
big = perfguard.MemoryCache(10_000, getsizeof=len)
def use(number):
    cache.set(number % 90, number); cache.get_or_compute(number % 70, lambda: number); cache.stats()
    big.set(number % 90, "x" * (number % 300)); cache.increment("n"); big.expire()
def check():
    assert cache.get_or_compute("child", lambda: 5) == 5
""",
    "DiskCache": """
cache = perfguard.DiskCache(folder, maxsize=500)
def use(number):
    cache.set(str(number % 90), [number] * 50); cache.get(str(number % 70))
def check():
    cache.set("child", 1)
    assert cache.get("child") == 1
    other = perfguard.DiskCache(folder)
    other.set("other", 2)
    assert cache.get("other") == 2
    assert cache.get_or_compute("computed", lambda: 3) == 3
""",
    "MultiLevelCache": """
cache = perfguard.MultiLevelCache([perfguard.MemoryCache(20), perfguard.DiskCache(folder, maxsize=60)])
def use(number):
    cache.get_or_compute(str(number % 90), lambda: number); cache.stats()
    if number % 7 == 0:
        cache.delete(str(number % 90))
def check():
    assert cache.get_or_compute("child", lambda: 5) == 5
""",
    "PerformanceMonitor": """
monitor = perfguard.PerformanceMonitor(interval=0.002)
monitor.alert("hits > 1e12", on_record=True)
monitor.start()
def use(number):
    monitor.count("hits"); monitor.observe("size", number); monitor.gauge("level", number)
    monitor.count("calls", route=number % 50)
    with monitor.timer("load"):
        pass
    monitor.summary(); monitor.state()
def check():
    before = monitor.summary().counters["hits"]
    monitor.count("hits")
    assert monitor.summary().counters["hits"] == before + 1
    assert monitor.running
    monitor.stop()
    assert not monitor.running
""",
    "MemoryManager": """
manager = perfguard.MemoryManager(interval=0.002, collect_above=10**12, clear_above=10**12)
manager.start()
caches = [perfguard.MemoryCache() for _ in range(3)]
def use(number):
    name = str(threading.get_ident())
    manager.register_cache(name, caches[0]); manager.unregister(name); manager.sample(); manager.stats
def check():
    assert manager.running
    assert manager.sample().rss > 0
    manager.stop()
""",
    "LazyModuleLoader": """
loader = perfguard.LazyModuleLoader(["colorsys"])
loader.preload()
def use(number):
    loader.load("colorsys"); loader.loads; loader.statistics()
def check():
    assert loader.module("colorsys").rgb_to_hls(0, 0, 0) == (0, 0, 0)
""",
}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_child_works_whatever_threads_of_the_parent_were_doing(tmp_path, tool):
    attempts = 25
    program = PROGRAM.replace("MAKE", TOOLS[tool]).replace("ATTEMPTS", str(attempts))
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.stdout == repr({0: attempts}), done.stderr[-3000:]


def test_a_child_makes_a_redis_client_of_its_own():
    """A thread of the parent may hold the lock of the client's pool at the fork."""
    pytest.importorskip("redis", reason="needs redis-py")
    cache = RedisCache("redis://127.0.0.1:1/0")
    client = cache._client()
    cache.begin_anew()
    assert cache._client() is not client
    assert sys.getrefcount(client) > 2  # it is kept: its finalizer would take the lock
