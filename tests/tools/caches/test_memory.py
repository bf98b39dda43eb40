"""`MemoryCache`, beside a model that is slow and plain."""

from __future__ import annotations

import gc
import math
import random
import threading
import weakref

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pytest_perfguard import MemoryCache, MemoryManager
from pytest_perfguard.tools.caches.level import DEFAULT

KEYS = st.integers(0, 9)


class BesideAModel(RuleBasedStateMachine):
    """Every reading and every eviction as in a list that is kept in the order of use."""

    @initialize(maxsize=st.integers(1, 8), ttl=st.sampled_from([None, 5.0]))
    def begin(self, maxsize, ttl):
        self.now = 100.0
        self.cache = MemoryCache(maxsize, ttl, getsizeof=lambda value: value % 4, clock=lambda: self.now)
        self.ttl = ttl
        self.model = []  # [key, value, expires], the least recently used first
        self.hits = self.misses = 0

    def find(self, key):
        return next((row for row in self.model if row[0] == key), None)

    @rule(key=KEYS, value=st.integers(0, 40), ttl=st.sampled_from([DEFAULT, None, 2.0]))
    def set(self, key, value, ttl):
        self.cache.set(key, value, ttl)
        seconds = self.ttl if ttl == DEFAULT else ttl
        self.model = [row for row in self.model if row[0] != key]
        if value % 4 > self.cache.maxsize:
            return
        self.model.append([key, value, math.inf if seconds is None else self.now + seconds])
        if sum(row[1] % 4 for row in self.model) > self.cache.maxsize and self.stale():
            self.model = [row for row in self.model if row[2] > self.now or self.cache._find(row[0]) is not None]
        while sum(row[1] % 4 for row in self.model) > self.cache.maxsize:
            self.model.pop(0)

    def stale(self):
        return [row for row in self.model if row[2] <= self.now]

    @rule(key=KEYS)
    def get(self, key):
        row = self.find(key)
        if row is None or row[2] <= self.now:
            assert self.cache.get(key, "nothing") == "nothing"
            self.misses += 1
            self.model = [other for other in self.model if other is not row]
        else:
            assert self.cache.get(key, "nothing") == row[1]
            self.hits += 1
            self.model.remove(row)
            self.model.append(row)

    @rule(key=KEYS)
    def delete(self, key):
        assert self.cache.delete(key) == (self.find(key) is not None)
        self.model = [row for row in self.model if row[0] != key]

    @rule(seconds=st.sampled_from([0.5, 3.0]))
    def wait(self, seconds):
        self.now += seconds

    @rule()
    def purge(self):
        assert self.cache.purge() == len(self.stale())
        self.model = [row for row in self.model if row[2] > self.now]

    @rule()
    def clear(self):
        self.cache.clear()
        self.model = []

    @invariant()
    def holds_the_same(self):
        if not hasattr(self, "cache"):
            return
        alive = {row[0] for row in self.model if row[2] > self.now}
        assert {key for key in range(10) if key in self.cache} == alive
        stats = self.cache.stats()
        assert (stats.hits, stats.misses) == (self.hits, self.misses)
        assert stats.weight == sum(row[1] % 4 for row in self.model) <= self.cache.maxsize
        assert stats.entries == len(self.model) == len(self.cache)


BesideAModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestBesideAModel = BesideAModel.TestCase


def test_a_thousand_entries_for_a_minute():
    now = [0.0]
    cache = MemoryCache(clock=lambda: now[0])
    for number in range(1001):
        cache.set(number, number)
    assert cache.get(0) is None
    assert cache.get(1) == 1
    now[0] = 59.9
    assert cache.get(2) == 2
    now[0] = 60.0
    assert cache.get(2, "gone") == "gone"
    stats = cache.stats()
    assert (stats.evictions, stats.expirations, stats.hits, stats.misses) == (1, 1, 2, 2)
    assert stats.hit_rate == 0.5


@pytest.mark.parametrize("value", [None, 0, False, "", []])
def test_falsy_values_and_keys_are_values_and_keys(value):
    cache = MemoryCache(2)
    for key in (None, 0, ""):
        cache.set(key, value)
    assert cache.get("", "nothing") == value
    assert cache.get(None, "nothing") == "nothing"  # evicted, though its key is falsy
    assert cache.lookup(0).value == value


def test_what_is_heavier_than_the_cache_is_not_kept():
    cache = MemoryCache(10, getsizeof=len)
    cache.set("a", b"12345")
    cache.set("a", b"x" * 11)
    assert cache.get("a") is None
    assert cache.stats().refusals == 1
    assert cache.stats().weight == 0


def test_the_remaining_time_is_told():
    now = [0.0]
    cache = MemoryCache(ttl=10, clock=lambda: now[0])
    cache.set("a", 1)
    cache.set("b", 2, ttl=None)
    now[0] = 4.0
    assert cache.lookup("a") == (1, 6.0)
    assert cache.lookup("b") == (2, None)
    assert cache.lookup("c") is None


@pytest.mark.parametrize(
    ("arguments", "problem"), [({"maxsize": 0}, "maxsize is 0"), ({"ttl": 0}, "ttl is 0"), ({"ttl": -3}, "ttl is -3")]
)
def test_bounds_under_which_nothing_is_kept_are_refused(arguments, problem):
    with pytest.raises(ValueError, match=problem):
        MemoryCache(**arguments)


def test_a_weight_below_zero_is_refused():
    with pytest.raises(ValueError, match="getsizeof returned -1"):
        MemoryCache(getsizeof=lambda value: -1).set("a", 1)


def test_a_finalizer_may_come_back_to_the_cache():
    cache = MemoryCache(1)

    class Meddler:
        def __del__(self):
            cache.set("last words", 1)

    cache.set("a", Meddler())
    cache.set("b", 2)
    gc.collect()
    assert cache.get("last words") == 1


def test_an_evicted_value_is_let_go():
    class Thing:
        pass

    cache, thing = MemoryCache(1), Thing()
    gone = weakref.ref(thing)
    cache.set("a", thing)
    del thing
    cache.set("b", 1)
    gc.collect()
    assert gone() is None


def test_threads_lose_nothing_and_stay_within_the_bound():
    cache = MemoryCache(50)
    problems = []

    def work(seed):
        chance = random.Random(seed)
        for _ in range(2000):
            key = chance.randrange(100)
            value = cache.get(key)
            if value is not None and value != -key - 1:
                problems.append((key, value))
            cache.set(key, -key - 1)
            if len(cache) > 50 + 8:  # each of the threads may be about to make room
                problems.append(len(cache))
            if chance.random() < 0.01:
                cache.delete(key)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    stats = cache.stats()
    assert stats.hits + stats.misses == 16_000
    assert stats.weight == stats.entries == len(cache) <= 50


def test_memory_pressure_clears_it(monkeypatch):
    from pytest_perfguard.tools.monitor.memory_sample import MemorySample

    fields = dict.fromkeys(MemorySample.__dataclass_fields__, 0) | {"rss": 300_000_000}
    manager = MemoryManager(read=lambda: MemorySample(**fields))
    cache = MemoryCache()
    cache.set("a", 1)
    manager.register_cache("answers", cache)
    manager.sample()
    assert cache.get("a") is None


def test_what_is_deleted_is_let_go_though_room_was_made_before():
    class Thing:
        pass

    cache, gone = MemoryCache(5), []
    for number in range(6):  # the last makes room, for which the others are put in order
        thing = Thing()
        gone.append(weakref.ref(thing))
        cache.set(number, thing)
    del thing
    for number in range(6):
        cache.delete(number)
    gc.collect()
    assert [reference() for reference in gone] == [None] * 6


@pytest.mark.parametrize("maxsize", [100, 12_000])
def test_expired_entries_leave_first_when_room_is_needed_whatever_set_their_time(maxsize):
    """The cache looks for expired entries only from the time on at which the first of them expires."""
    now = [0.0]
    cache = MemoryCache(maxsize, ttl=1_000, clock=lambda: now[0])
    for number in range(maxsize):
        cache.set(number, number)
    short = range(0, maxsize, 10)
    for number in short:
        cache.touch(number, 5)
        cache.get(number)  # used last: they would be evicted last
    for number in range(maxsize):
        cache.set(("early", number), number)
    assert cache.stats().expirations == 0
    cache.clear()
    for number in range(maxsize):
        cache.set(number, number, ttl=5 if number % 10 == 0 else None)
    now[0] = 6.0
    for number in range(maxsize):
        cache.set(("late", number), number)
    assert cache.stats().expirations >= maxsize / 20
    for number in range(3 * maxsize):
        cache.set(("later", number), number)
    assert len(cache._to_check) <= 2 * maxsize + 16


def test_an_incremented_value_has_its_new_weight():
    cache = MemoryCache(10, getsizeof=lambda value: value)
    cache["a"], cache["b"] = 2, 3
    assert cache.increment("a", 4) == 6
    assert cache.currsize == 9
    assert cache.increment("b", 4) == 7  # "a" must go
    assert dict(cache) == {"b": 7}
    assert cache.increment("b", 100) == 107  # too large to be kept
    assert cache.currsize == 0


def test_an_entry_that_another_thread_removes_during_an_increment_counts_as_before():
    during = []

    def clock():
        for call in during:
            call()
        return 100.0

    cache = MemoryCache(clock=clock)
    cache.set("n", 5)
    during.append(lambda: cache.delete("n"))
    assert cache.increment("n") == 6


def test_a_bound_may_be_infinite():
    cache = MemoryCache(math.inf, None)
    for number in range(2_000):
        cache.set(number, number)
    assert len(cache) == 2_000
    assert cache.get(0) == 0
