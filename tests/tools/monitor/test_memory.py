"""The memory manager, on made-up samples."""

from __future__ import annotations

import gc
import logging
import threading
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard import MemoryManager
from pytest_perfguard.tools.monitor.memory_policy import Action, MemoryLimits, actions
from pytest_perfguard.tools.monitor.memory_sample import MemorySample, read_memory
from pytest_perfguard.tools.monitor.ticker import Ticker

MB = 1_000_000


class Pool:
    def __init__(self):
        self.sizes = []

    def shrink(self, size):
        self.sizes.append(size)


class Cache:
    def __init__(self):
        self.cleared = 0

    def clear(self):
        self.cleared += 1


def manager(levels, **options):
    """One that reads these levels one after the other, the last again and again."""
    left = list(levels)

    def read():
        level = left.pop(0) if len(left) > 1 else left[0]
        return MemorySample(at=0.0, rss=level, heap_used=None, heap_mapped=None, blocks=0, gc_counts=(0, 0, 0))

    return MemoryManager(read=read, **options)


class TestPressure:
    LIMITS = MemoryLimits(growth=10 * MB, collect_above=100 * MB, clear_above=200 * MB)

    @pytest.mark.parametrize(
        ("levels", "found"),
        [
            ([50 * MB], []),
            ([101 * MB], [Action.COLLECT]),
            ([201 * MB], [Action.COLLECT, Action.CLEAR]),
            ([index * 10.5 * MB for index in range(10)], [Action.WARN]),
            ([index * 9.5 * MB for index in range(10)], []),
            ([index * 10.5 * MB for index in range(9)], []),  # too few to say so
            ([1 * MB] * 9 + [99 * MB], []),  # one jump
            ([20 * MB * index for index in range(11)][::-1], []),
        ],
    )
    def test_the_defaults_of_the_specification(self, levels, found):
        assert actions(levels, self.LIMITS) == found

    @given(st.lists(st.integers(0, 10**9), min_size=1, max_size=30))
    def test_only_the_last_ten_count(self, levels):
        assert actions(levels, self.LIMITS) == actions(levels[-10:], self.LIMITS)


def test_nothing_happens_below_the_thresholds():
    watched = manager([50 * MB])
    watched.register_cache("users", cache := Cache())
    watched.sample()
    assert (watched.stats.samples, watched.stats.collections, cache.cleared) == (1, 0, 0)


def test_garbage_is_collected_above_the_first_threshold():
    watched = manager([150 * MB, 120 * MB])
    cycle = Cache()
    cycle.itself = cycle
    gone = weakref.ref(cycle)
    del cycle
    watched.sample()
    assert gone() is None
    assert (watched.stats.collections, watched.stats.clears, watched.stats.freed) == (1, 0, 30 * MB)


def test_caches_are_cleared_and_pools_cut_above_the_second():
    watched = manager([250 * MB] * 3 + [300 * MB])  # each of the two actions reads the level again
    watched.register_cache("users", cache := Cache())
    watched.register_pool("buffers", pool := Pool())
    watched.sample()
    assert (cache.cleared, pool.sizes, watched.stats.clears) == (1, [10], 1)
    watched.unregister("users")
    watched.sample()
    assert (cache.cleared, pool.sizes) == (1, [10, 10])


def test_a_pool_is_not_kept_alive():
    watched = manager([250 * MB])
    watched.register_pool("buffers", pool := Pool())
    gone = weakref.ref(pool)
    del pool
    assert gone() is None
    watched.sample()
    watched.register_pool("buffers", Pool())  # the name is free again


def test_names_are_given_once():
    watched = manager([1])
    watched.register_cache("users", cache := Cache())
    with pytest.raises(ValueError, match="'users' is registered already"):
        watched.register_pool("users", Pool())
    with pytest.raises(KeyError, match=r"no pool or cache 'user' is registered \(registered: users\)"):
        watched.unregister("user")
    with pytest.raises(TypeError, match="'table': a dict cannot be referred to weakly; subclass it"):
        watched.register_cache("table", {})
    assert cache.cleared == 0


def test_steady_growth_is_told_once_in_ten_samples(caplog):
    watched = manager([index * 11 * MB for index in range(1, 21)], collect_above=10**12, clear_above=10**12)
    told = []
    watched.on_action(lambda action, sample: told.append((action, sample.rss)))
    with caplog.at_level(logging.WARNING, "perfguard.memory"):
        for _ in range(19):
            watched.sample()
    assert told == [(Action.WARN, 110 * MB)]
    watched.sample()
    assert told == [(Action.WARN, 110 * MB), (Action.WARN, 220 * MB)]
    assert caplog.messages[0] == "memory has grown over the last 10 samples, to 110 MB"


def test_a_failing_callback_or_pool_hurts_nobody(caplog):
    class Broken(Pool):
        def shrink(self, size):
            raise RuntimeError("broken pool")

    watched = manager([250 * MB])
    watched.register_pool("broken", broken := Broken())
    watched.register_cache("users", cache := Cache())
    watched.on_action(lambda action, sample: 1 // 0)
    watched.sample()
    assert cache.cleared == 1
    assert watched.stats.failures == 3  # one pool, and the callback after collecting and after clearing
    assert "broken pool" in caplog.text
    assert broken.sizes == []


def test_a_callback_may_ask_the_manager_from_another_thread():
    watched = manager([250 * MB])
    told = []

    def ask(action, sample):
        thread = threading.Thread(target=lambda: told.append(watched.stats.samples))
        thread.start()
        thread.join(10)

    watched.on_action(ask)
    watched.sample()
    assert told == [1, 1]


def test_the_last_hundred_samples_are_kept():
    watched = manager(range(1, 151))
    for _ in range(150):
        watched.sample()
    assert [sample.rss for sample in watched.samples] == list(range(51, 151))
    assert watched.stats.highest_rss == 150


def test_thresholds_in_the_wrong_order_are_refused():
    with pytest.raises(ValueError, match="collecting comes first"):
        MemoryManager(collect_above=2, clear_above=1)
    with pytest.raises(ValueError, match="interval is 0: it must be more than 0 seconds"):
        MemoryManager(interval=0)


def test_a_real_sample():
    sample = read_memory()
    assert sample.rss > MB
    assert sample.blocks > 1000
    assert len(sample.gc_counts) == 3


def test_the_background_thread_samples_and_ends():
    sampled = threading.Event()
    watched = manager([1])
    read, watched._read = watched._read, lambda: (sampled.set(), read())[1]
    watched._ticker._interval = 0.001
    with watched:
        assert watched.running
        assert sampled.wait(10)
        watched.start()  # once more changes nothing
    assert not watched.running
    assert [thread for thread in threading.enumerate() if thread.name == "perfguard-memory"] == []


class Owner:
    def __init__(self):
        self.ticked = threading.Event()
        self.ticker = Ticker(self.tick, 0.001, "owner")
        self.fails = False

    def tick(self):
        self.ticked.set()
        if self.fails:
            raise RuntimeError("tick failed")


def test_a_forgotten_owner_ends_its_thread():
    owner = Owner()
    owner.ticker.start()
    assert owner.ticked.wait(10)
    thread = owner.ticker._thread
    del owner
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


def test_a_forgotten_owner_does_not_wait_for_its_interval():
    owner = Owner()
    owner.ticker = Ticker(owner.tick, 3600, "owner")
    owner.ticker.start()
    thread = owner.ticker._thread
    del owner
    gc.collect()
    thread.join(10)
    assert not thread.is_alive()


def test_an_error_is_logged_and_the_next_tick_comes(caplog):
    owner = Owner()
    owner.fails = True
    owner.ticker.start()
    assert owner.ticked.wait(10)
    owner.ticked.clear()
    assert owner.ticked.wait(10)
    owner.ticker.stop()
    assert "tick failed; it is tried again" in caplog.text or "failed; it is tried again in 0.001 s" in caplog.text


def test_a_ticker_can_stop_itself_and_start_again():
    class Once(Owner):
        def tick(self):
            self.ticker.stop()
            self.ticked.set()

    once = Once()
    for _ in range(2):
        once.ticked.clear()
        once.ticker.start()
        assert once.ticked.wait(10)
    assert not once.ticker.running


def test_only_a_bound_method_can_tick():
    with pytest.raises(TypeError, match="is not a bound method"):
        Ticker(lambda: None, 1, "x")


@pytest.mark.parametrize("limit", ["growth_limit", "collect_above", "clear_above"])
def test_limits_are_numbers(limit):
    with pytest.raises(ValueError, match=f"{limit} is nan: give a number of bytes"):
        MemoryManager(**{limit: float("nan")})
