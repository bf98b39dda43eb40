"""Code of the user's that runs in the middle of a cache's work: finalizers, comparisons, hashes."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading

import pytest

from pytest_perfguard import CacheError, DiskCache, MemoryCache, MultiLevelCache
from pytest_perfguard.core.shared_lock import SHARED_LOCK
from pytest_perfguard.tools.caches import database
from pytest_perfguard.tools.caches.single_flight import SingleFlight

#: Garbage in cycles, collected at any moment, whose finalizers use the same cache; in several threads.
PROGRAM = """
import gc, sys, threading, time
import pytest_perfguard as perfguard
gc.set_threshold(30)
MAKE

class Cycle:
    def __init__(self):
        self.me = self
    def __del__(self):
        use(7)

until = time.monotonic() + 2.5
def work(seed):
    number = seed
    while time.monotonic() < until:
        number += 1
        Cycle()
        use(number)

threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("fine")
"""

TOOLS = {
    "MemoryCache": """
cache = perfguard.MemoryCache(20)
weighed = perfguard.MemoryCache(50, getsizeof=lambda value: 2)
def use(number):
    cache.set(number % 40, [number]); cache.get(number % 30); cache.stats(); cache.delete(number % 40)
    weighed.set(number % 90, [number]); weighed.get(number % 90); weighed.expire(); len(weighed); list(weighed)
""",
    "computing": """
cache = perfguard.MultiLevelCache([perfguard.MemoryCache(20)])
def use(number):
    try:
        cache.get_or_compute(number % 40, lambda: [number]); cache.delete(number % 40); cache.stats()
    except perfguard.CacheError:
        pass  # the finalizer runs while its thread computes this key
""",
    "DiskCache": """
import tempfile
cache = perfguard.DiskCache(tempfile.mkdtemp(), maxsize=20)
def use(number):
    cache.set(str(number % 40), number); cache.get(str(number % 30)); cache.delete(str(number % 40)); cache.stats()
""",
    "PerformanceMonitor": """
monitor = perfguard.PerformanceMonitor()
monitor.alert("hits > 1e12", on_record=True)
def use(number):
    monitor.count("hits"); monitor.count("calls", route=number % 30); monitor.observe("size", number)
    with monitor.in_progress("open"):
        monitor.summary(); monitor.remove("calls", route=number % 30)
""",
    "MemoryManager": """
manager = perfguard.MemoryManager(collect_above=10**12, clear_above=10**12)
keep = perfguard.MemoryCache()
def use(number):
    name = f"{threading.get_ident()} {id(object())}"
    try:
        manager.register_cache(name, keep); manager.sample(); manager.unregister(name)
    except (KeyError, ValueError):
        pass  # the finalizer had the same name
""",
}


@pytest.mark.parametrize("tool", TOOLS)
def test_finalizers_may_use_the_object_that_is_at_work(tool):
    program = PROGRAM.replace("MAKE", TOOLS[tool])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "fine\n", done.stderr[-3000:]
    assert "Exception ignored" not in done.stderr


def in_time(call):
    """Run in a thread, so that a deadlock fails the test."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize("maxsize", [3, 20_000])
def test_a_comparison_may_use_the_cache(maxsize):
    cache = MultiLevelCache([MemoryCache(maxsize)])

    class Key:
        def __init__(self, number):
            self.number = number

        def __hash__(self):
            cache.set("hashed", 1)
            return 5

        def __eq__(self, other):
            cache.get_or_compute("compared", lambda: 1)
            return self.number == other.number

    def use():
        for number in range(5):
            cache.set(Key(number), number)
            assert cache.get(Key(number)) == number
            assert cache.get_or_compute(Key(number + 10), lambda: 2) == 2
            cache.delete(Key(number))

    in_time(use)


def test_a_finalizer_that_waits_for_another_thread_meets_no_lock(tmp_path):
    """The other thread uses the same cache."""
    for cache in (MemoryCache(2), MemoryCache(4, getsizeof=lambda value: 2)):

        class Waits:
            def __del__(self, cache=cache):
                in_time(lambda: (cache.get("b"), cache.set("c", 1), cache.stats()))

        def use(cache=cache, kind=Waits):
            for number in range(6):
                cache.set(number, kind())
            cache.set(0, 1)
            cache.delete(5)
            cache.clear()

        in_time(use)


@pytest.mark.parametrize("kind", [lambda _folder: MultiLevelCache([MemoryCache()]), DiskCache])
def test_a_finalizer_in_the_middle_of_a_step_does_not_wait_for_the_computation_of_another_thread(tmp_path, kind):
    """The other thread may need the lock that the interrupted step holds."""
    cache, begun, go_on = kind(tmp_path), threading.Event(), threading.Event()

    def compute():
        begun.set()
        go_on.wait(30)
        return "theirs"

    other = threading.Thread(target=cache.get_or_compute, args=("key", compute))
    other.start()
    begun.wait(30)

    def step():
        with SHARED_LOCK:  # as in a finalizer that the collector runs here
            assert cache.get_or_compute("key", lambda: "own") == "own"

    in_time(step)
    go_on.set()
    other.join(30)


def test_a_finalizer_in_the_middle_of_a_step_does_not_wait_for_the_end_of_a_fork(tmp_path):
    """The fork waits for the step."""
    disk = DiskCache(tmp_path)
    database._gate._forks += 1
    try:
        with SHARED_LOCK, pytest.raises(CacheError, match="a finalizer called it during a fork"):
            disk.get("key")
    finally:
        database._gate._forks -= 1
    assert disk.get("key") is None


def test_a_transaction_does_not_wait_for_the_step_that_a_finalizer_interrupted(tmp_path):
    """The finalizer waits for the end of the transaction. The last call of the clock is inside of it."""
    inside, go_on, times = threading.Event(), threading.Event(), itertools.count()

    def clock():
        if threading.current_thread() is not threading.main_thread() and disk._database._transaction() is not None:
            inside.set()
            go_on.wait(30)
        return next(times)

    disk = DiskCache(tmp_path, maxsize=1, clock=clock)
    disk.set("older", 1)
    writer = threading.Thread(target=disk.set, args=("newer", 2))
    writer.start()
    assert inside.wait(30)
    with SHARED_LOCK:  # as in a finalizer that the collector runs here
        go_on.set()
        disk.set("last", 3)
    writer.join(30)
    assert disk.get("last") == 3
    assert disk.stats().evictions == 2


def test_a_finalizer_writes_in_the_middle_of_a_transaction(tmp_path):
    disk = DiskCache(tmp_path)
    outcome = disk._database.do(lambda connection: disk.set("inner", 1), write=True)
    assert outcome is None
    assert disk.get("inner") == 1


def test_a_finalizer_in_the_middle_of_a_fork_does_not_wait_for_its_end(tmp_path):
    disk = DiskCache(tmp_path)
    database._gate.before_fork()
    try:
        found = disk.get("key", "none")
    finally:
        database._gate.after_in_parent()
    assert found == "none"
    assert not database.STEPS.number


def test_a_computation_that_waits_for_another_one_lets_it_go_on_without_the_lease(tmp_path):
    """As where a finalizer in the middle of a computation asks for a key that was deleted and is computed anew."""
    disk, begun = DiskCache(tmp_path), threading.Event()
    results = []

    def first():
        begun.set()
        while not disk._flights._flights:  # until the other thread has begun to compute the key
            pass
        return disk.get_or_compute("key", lambda: "never")

    def compute():
        disk._flights.forget("key")
        return first()

    thread = threading.Thread(target=lambda: results.append(disk.get_or_compute("key", compute)))
    thread.start()
    assert begun.wait(30)
    in_time(lambda: results.append(disk.get_or_compute("key", lambda: "anew")))
    thread.join(30)
    assert results == ["anew", "anew"]


def test_a_computation_that_cannot_begin_fails_its_caller_only(tmp_path, monkeypatch):
    """Such as a finalizer within the computation of the same key, after another thread has changed the key."""
    cache, results, joined = DiskCache(tmp_path), [], threading.Event()
    lease, wait, own = DiskCache.lease, SingleFlight.wait, threading.get_ident()
    other = threading.Thread(target=lambda: results.append(cache.get_or_compute("a", lambda: 5)))

    def refused(self, key):
        if threading.get_ident() != own:
            return lease(self, key)
        other.start()
        assert joined.wait(20)
        raise CacheError("get_or_compute", "computing 'a' asks for 'a' itself")

    def announced(self, flight):
        joined.set()
        return wait(self, flight)

    monkeypatch.setattr(DiskCache, "lease", refused)
    monkeypatch.setattr(SingleFlight, "wait", announced)
    with pytest.raises(CacheError, match="asks for 'a' itself"):
        cache.get_or_compute("a", lambda: 1)
    other.join(20)
    assert results == [5]


def test_a_finalizer_sees_what_its_own_thread_is_writing(tmp_path):
    """Otherwise an increment would compare with the former value again and again."""
    cache = DiskCache(tmp_path)

    def interrupted(_connection):
        assert [cache.incr("n"), cache.incr("n")] == [1, 2]  # as finalizers call it, in the middle of a transaction
        assert cache.get("n") == 2

    cache._database.do(interrupted, write=True)
    assert cache.get("n") == 2
