"""The behaviours of cachetools' mapping tests that hold for `MemoryCache`, as listed in docs/caching.md."""

from __future__ import annotations

import pickle

import pytest

from pytest_perfguard import MemoryCache


@pytest.fixture(params=[{}, {"getsizeof": lambda _value: 1}], ids=["entries", "weighed"])
def pair(request):
    """A cache with room for two, and two pairs in it."""
    cache = MemoryCache(2, **request.param)
    cache.update({1: 1, 2: 2})
    return cache


def test_an_empty_cache_knows_its_bound():
    cache = MemoryCache(1)
    assert (len(cache), cache.maxsize, cache.currsize) == (0, 1, 0)
    assert [cache.getsizeof(value) for value in (None, "", 0)] == [1, 1, 1]
    assert repr(cache).startswith("MemoryCache")


def test_a_new_key_evicts_one_of_a_full_cache(pair):
    for number in (3, 4):
        pair[number] = number
        assert len(pair) == 2
        assert pair[number] == number


def test_an_update_of_known_keys_evicts_none(pair):
    pair.update({1: 1, 2: 2})
    pair.update({1: "a", 2: "b"})
    assert dict(pair) == {1: "a", 2: "b"}


def test_deleting_a_missing_key_is_an_error_and_changes_nothing(pair):
    del pair[2]
    del pair[1]
    with pytest.raises(KeyError):
        del pair[1]
    assert len(pair) == 0


def test_pop_returns_the_value_the_default_or_raises(pair):
    assert (pair.pop(2), pair.pop(1), pair.pop(0, None)) == (2, 1, None)
    with pytest.raises(KeyError):
        pair.pop(1)


def test_items_are_popped_until_the_cache_is_empty(pair):
    assert sorted(pair.popitem() for _ in range(2)) == [(1, 1), (2, 2)]
    with pytest.raises(KeyError):
        pair.popitem()


@pytest.mark.parametrize("weighed", [False, True])
def test_only_the_brackets_make_missing_values(weighed):
    class Own(MemoryCache):
        def __missing__(self, key):
            if key <= self.maxsize:
                self[key] = key
            return key

    cache = Own(2, getsizeof=(lambda value: value) if weighed else None)
    assert [cache[number] for number in (1, 2, 3)] == [1, 2, 3]
    assert sorted(cache) == ([2] if weighed else [1, 2])
    assert (cache.get(5), cache.get(5, 25), cache.pop(5, None)) == (None, 25, None)
    with pytest.raises(KeyError):
        cache.pop(5)
    assert cache.setdefault(1, 1) == 1
    assert cache.setdefault(1) == 1


@pytest.mark.parametrize("by", ["parameter", "subclass"])
def test_the_bound_may_be_a_weight(by):
    class Own(MemoryCache):
        def getsizeof(self, value):
            return value

    cache = Own(3) if by == "subclass" else MemoryCache(3, getsizeof=lambda value: value)
    cache.update({1: 1, 2: 2})
    assert (len(cache), cache.currsize, cache.getsizeof(3)) == (2, 3, 3)
    cache[1] = 2
    assert dict(cache) == {1: 2}
    cache[3] = 3
    for key in (3, 4):
        with pytest.raises(ValueError, match="too large"):
            cache[key] = 4
    assert dict(cache) == {3: 3}
    assert cache.currsize == 3


def test_a_time_to_live_ends_at_its_time_and_begins_anew_with_a_value():
    now = [0]
    cache = MemoryCache(2, ttl=2, clock=lambda: now[0])
    cache[1] = 1
    now[0] = 1
    cache[2] = 2
    assert set(cache) == {1, 2}
    now[0] = 2
    assert (set(cache), 1 in cache) == ({2}, False)
    cache[2] = 3
    now[0] = 3
    assert cache[2] == 3
    now[0] = 4
    assert sorted(cache.expire()) == [(1, 1), (2, 3)]
    assert len(cache) == 0


def test_what_differs_from_cachetools():
    """A cache is shared by threads: it compares by identity and is not copied."""
    cache = MemoryCache(2)
    cache[1] = 1
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(cache)
    assert cache != MemoryCache(2)
    with pytest.raises(ValueError, match="maxsize is 0"):
        MemoryCache(0)
    now = [0]
    late = MemoryCache(2, ttl=2, clock=lambda: now[0])
    late[1] = 1
    now[0] = 2
    assert (len(late), list(late)) == (1, [])  # `len` counts entries that have expired and are not removed yet
