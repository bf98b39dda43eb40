"""`cached`: every kind of callable, keys that compare equal, recursion, statistics, errors."""

from __future__ import annotations

import asyncio
import collections
import functools
import gc
import json
import math
import operator
import pickle
import sys
import weakref
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_perfguard import (
    AsyncMultiLevelCache,
    CacheError,
    CacheValueError,
    DiskCache,
    MemoryCache,
    MultiLevelCache,
    cached,
)

Pair = collections.namedtuple("Pair", "first second")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (1, True), (1, 1.0), (0, False), ((1, 2), (True, 2)), (0.0, -0.0), (((1,),), ((1.0,),)),
        (frozenset({1}), frozenset({1.0})), (1, "1"), (Pair(1, 2), Pair(True, 2)), (Pair(1, 2), (1, 2)),
        (0j, complex(-0.0, 0)),
    ],
)  # fmt: skip
def test_arguments_that_compare_equal_are_different_calls(tmp_path, first, second):
    for cache in (MemoryCache(), MultiLevelCache([MemoryCache()])):
        function = cached(cache, key=None)(repr) if isinstance(cache, MemoryCache) else None
        if function is not None:
            assert [function(first), function(second)] == [repr(first), repr(second)]
    if not isinstance(first, tuple | frozenset | complex):
        function = cached(DiskCache(tmp_path))(repr)
        assert [function(first), function(second), function(first)] == [repr(first), repr(second), repr(first)]


def test_keyword_arguments_and_positional_ones_are_told_apart():
    seen = []

    @cached(MemoryCache())
    def note(*args, **kwargs):
        seen.append((args, kwargs))
        return len(seen)

    calls = [note(1), note(a=1), note("a", 1), note(("a",), 1), note(a=True), note(b=1, a=1), note(a=1, b=1), note(1)]
    assert calls == [1, 2, 3, 4, 5, 6, 6, 1]


@dataclass
class Adder:
    """Compares by its value, and so cannot be hashed."""

    amount: int

    def __call__(self, value):
        return value + self.amount


class Equal:
    """Compares equal to all others."""

    def __init__(self, amount):
        self.amount = amount

    def __eq__(self, other):
        return True

    def __hash__(self):
        return 1

    def __call__(self, value):
        return value + self.amount


def test_functions_that_compare_equal_are_different_functions():
    cache = MemoryCache()
    assert [cached(cache)(Equal(amount))(1) for amount in (1, 2)] == [2, 3]
    assert [cached(cache)(Adder(amount))(1) for amount in (1, 2)] == [2, 3]


class Methods:
    factor = 3

    def __init__(self, number=1):
        self.number = number

    @cached(MemoryCache())
    def method(self, value):
        return [self.factor * value]

    @staticmethod
    @cached(MemoryCache())
    def static(value):
        return [value]

    @classmethod
    @cached(MemoryCache())
    def of_class(cls, value):
        return [cls.factor * value]

    @property
    @cached(MemoryCache())
    def computed(self):
        return [self.factor]


async def plus_one(value):
    return value + 1


class AsyncCallable:
    async def __call__(self, value):
        return value + 1


def test_every_kind_of_callable_is_cached():
    thing = Methods()
    for call in (lambda: thing.method(2), lambda: thing.static(2), lambda: Methods.of_class(2), lambda: thing.computed):
        assert call() is call()
    kinds = [
        (len, ("abc",), 3), (int, ("12",), 12), (operator.itemgetter(1), ("abc",), "b"), (str.upper, ("a",), "A"),
        ("x".join, (("a", "b"),), "axb"), (functools.partial(int, base=8), ("10",), 8), (Methods, (4,), None),
        (functools.lru_cache(len), ("ab",), 2), (functools.singledispatch(lambda value: 7), (1,), 7),
        (staticmethod(abs), (-1,), 1), (Adder(1), (1,), 2), (thing.method, (5,), [15]),
    ]  # fmt: skip
    for function, arguments, expected in kinds:
        wrapped = cached(MemoryCache())(function)
        assert wrapped(*arguments) is wrapped(*arguments)
        assert expected is None or wrapped(*arguments) == expected
        assert wrapped.cache_info()[:2] == (2 if expected is not None else 1, 1)
    for function in (plus_one, functools.partial(plus_one), AsyncCallable(), functools.partial(AsyncCallable())):
        wrapped = cached(MemoryCache())(function)
        assert asyncio.run(wrapped(1)) == asyncio.run(wrapped(1)) == 2
        assert wrapped.cache_info()[:2] == (1, 1)


def rows(number):
    yield from range(number)


async def async_rows(number):
    yield number


class GeneratorCallable:
    def __call__(self):
        yield 1


@pytest.mark.parametrize("function", [rows, async_rows, GeneratorCallable(), functools.partial(rows, 3)])
def test_generator_functions_are_refused_at_once(function):
    with pytest.raises(TypeError, match="is a generator function, whose result can be used only once"):
        cached(MemoryCache())(function)


@pytest.mark.parametrize(
    "make", [lambda: rows(3), lambda: map(str, [1]), lambda: zip([1], [2], strict=True), lambda: reversed([1])]
)
def test_results_that_can_be_used_once_are_refused(make):
    function = cached(MemoryCache())(make)
    for _ in range(2):
        with pytest.raises(TypeError, match="can be iterated only once: return a list"):
            function()

    async def awaited():
        return make()

    with pytest.raises(TypeError, match="can be iterated only once"):
        asyncio.run(cached(MemoryCache())(awaited)())


@pytest.mark.parametrize("value", [classmethod(len), property(len), 5, None])
def test_what_cannot_be_called_is_refused(value):
    with pytest.raises(TypeError, match="cannot be called"):
        cached(MemoryCache())(value)


def fibonacci_with(cache):
    @cached(cache, key=str)
    def fibonacci(number):
        return number if number < 2 else fibonacci(number - 1) + fibonacci(number - 2)

    return fibonacci


def test_recursion_goes_as_deep_as_with_lru_cache(tmp_path):
    """Two frames for each level: the function, and the wrapper around it."""
    depth = 0
    frame = sys._getframe()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    levels = (1000 - depth - 60) // 2
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(1000)
    try:
        for cache in (
            MemoryCache(),
            DiskCache(tmp_path),
            MultiLevelCache([MemoryCache(), DiskCache(tmp_path / "two")]),
        ):
            assert fibonacci_with(cache)(levels) > 10**60
    finally:
        sys.setrecursionlimit(before)
    assert levels >= 400


def test_statistics_are_those_of_lru_cache():
    square = cached(MemoryCache(50))(lambda number: number * number)
    reference = functools.lru_cache(50)(lambda number: number * number)
    for number in (1, 2, 1, 3, 1):
        assert square(number) == reference(number)
    assert square.cache_info() == reference.cache_info() == (2, 3, 50, 3)
    square.cache_clear()
    assert square.cache_info().currsize == 0
    square(1)
    assert square.cache_info().misses == 4


def test_an_async_function_can_be_cleared(tmp_path):
    for cache in (
        MemoryCache(),
        DiskCache(tmp_path / "a"),
        MultiLevelCache(folder=tmp_path / "b"),
        AsyncMultiLevelCache(),
    ):
        function = cached(cache, key=str)(plus_one)

        async def main(function=function):
            assert await function(1) == 2
            await function.cache_clear()
            assert await function(1) == 2
            return function.cache_info()

        assert asyncio.run(main())[:2] == (0, 2)


@pytest.mark.parametrize(
    "make", [str, Path, lambda path: str(path).encode(), lambda path: path / "a" / ".." / "ü \u20ac"]
)
def test_every_kind_of_path_is_a_folder(tmp_path, make):
    with DiskCache(make(tmp_path)) as cache:
        cache.set("a", 1)
        assert cache.get("a") == 1
        assert "DiskCache" in repr(cache)


class Unpicklable:
    def __reduce__(self):
        raise RuntimeError("no")


class Recursive(list):
    pass


def endless():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize("value", [lambda: 1, Unpicklable(), (i for i in ()), sys._getframe()])
def test_pickles_errors_are_the_documented_one(tmp_path, value):
    cache = DiskCache(tmp_path, serializer=pickle)
    cache.set("a", "old")
    with pytest.raises(CacheValueError, match="the serializer cannot convert"):
        cache.set("a", value)
    levels = MultiLevelCache([MemoryCache(), cache])
    levels.set("a", value)
    assert cache.get("a") is None


def test_the_module_json_is_a_serializer(tmp_path):
    cache = DiskCache(tmp_path, serializer=json)
    cache.set("a", {"x": [1, "é\udc80"]})
    assert cache.get("a") == {"x": [1, "é\udc80"]}
    for value in ({1}, endless()):
        with pytest.raises(CacheValueError):
            cache.set("b", value)


@pytest.mark.parametrize("value", [endless(), {"a": endless()}, {("a",): 1}, Recursive(), {"a": {1: 2}}, [[(1,)]]])
def test_json_refuses_odd_values_with_the_documented_error(tmp_path, value):
    cache = DiskCache(tmp_path)
    with pytest.raises(CacheValueError):
        cache.set("a", value)


def test_json_refuses_a_number_that_is_too_long(tmp_path):
    with pytest.raises(CacheValueError, match="give the cache a serializer"):
        DiskCache(tmp_path).set("a", 10**5000)


def test_a_serializer_that_returns_nonsense_is_named(tmp_path):
    class Nonsense:
        def dumps(self, value):
            return 5

        def loads(self, data):
            return data

    with pytest.raises(CacheValueError, match="the serializer returned 5, expected bytes"):
        DiskCache(tmp_path, serializer=Nonsense()).set("a", 1)


def test_the_wrapper_of_a_level_is_a_level(tmp_path):
    class Logged:
        def __init__(self, cache):
            self.cache, self.calls = cache, []

        def __getattr__(self, name):
            self.calls.append(name)
            return getattr(self.cache, name)

    inner = Logged(DiskCache(tmp_path))
    cache = MultiLevelCache([MemoryCache(), inner])
    assert cache.get_or_compute("a", lambda: 1) == 1
    nested = MultiLevelCache([MemoryCache(), cache])
    assert nested.get("a") == 1
    assert nested.get_or_compute("b", lambda: 2) == inner.get("b") == 2
    nested.delete("a")
    assert cache.get("a") is None

    async def main():
        outer = AsyncMultiLevelCache([MemoryCache(), inner])
        assert await outer.get("b") == 2
        assert await outer.get_or_compute("c", lambda: 3) == 3

    asyncio.run(main())


def test_deleted_keys_and_values_are_freed(tmp_path):
    class Key:
        pass

    for cache in (MemoryCache(5), MemoryCache(5, getsizeof=lambda value: 1), MemoryCache(5000)):
        keys = [Key() for _ in range(8)]
        for key in keys:
            cache.set(key, Key())
            cache.get(key)
        gone = [weakref.ref(key) for key in keys]
        for key in keys:
            cache.delete(key)
            assert cache.get_or_compute(key, lambda: 1) == 1
            cache.delete(key)
        del keys, key
        gc.collect()
        assert [reference() for reference in gone] == [None] * 8
    disk = DiskCache(tmp_path)
    for number in range(50):
        disk.set(str(number), 1)
        disk.get(str(number))
        disk.delete(str(number))
    assert not disk._used


def test_a_wrong_ttl_is_an_error_at_once():
    with pytest.raises(ValueError, match="ttl is 0"):
        cached(MemoryCache(), ttl=0)(len)


def test_a_key_is_not_shown_while_a_lock_is_held():
    """Its `repr` may use the cache."""
    cache = MemoryCache()

    class Key:
        def __repr__(self):
            return f"key with {cache.stats().entries} {cache.get_or_compute('inner', lambda: 1)}"

    key = Key()

    def compute():
        return cache.get_or_compute(key, compute)

    with pytest.raises(CacheError, match="computing key with 0 1 asks for key with"):
        cache.get_or_compute(key, compute)


def test_nan_is_found_again():
    function = cached(MemoryCache())(lambda value: [value])
    assert function(math.nan) is function(math.nan)


def test_attributes_of_a_function_are_kept_and_fields_of_an_object_are_not():
    def function():
        return 1

    function.mark = "slow"
    assert cached(MemoryCache())(function).mark == "slow"
    assert not hasattr(cached(MemoryCache())(Adder(1)), "amount")


class Named:
    def __init__(self, name):
        self.name = name

    def method(self, number):
        return [self.name, number]

    @classmethod
    def of_class(cls, number):
        return [cls.__name__, number]


class Derived(Named):
    pass


def test_a_method_of_an_object_has_no_name_outside_of_the_process(tmp_path):
    """Two objects would share their results."""
    cache = DiskCache(tmp_path)
    for method in (Named("a").method, functools.partial(Named("a").method), ", ".join, str.upper):
        with pytest.raises(CacheValueError, match="no name that identifies it.*key="):
            cached(cache)(method)
    with_key = [cached(cache, key=lambda number, name=name: f"{name} {number}")(Named(name).method) for name in "ab"]
    assert [function(1) for function in with_key] == [["a", 1], ["b", 1]]


def test_class_methods_of_derived_classes_are_different_functions(tmp_path):
    cache = DiskCache(tmp_path)
    assert cached(cache)(Named.of_class)(1) == ["Named", 1]
    assert cached(cache)(Derived.of_class)(1) == ["Derived", 1]


def test_a_decorator_without_a_cache_is_refused_at_once():
    for not_a_cache in (repr, None, {}, MemoryCache):
        with pytest.raises(TypeError, match=r"is not a cache of this package: write @cached\(MemoryCache\(\)\)"):
            cached(not_a_cache)


def test_a_time_to_live_is_checked_at_once(tmp_path):
    with pytest.raises(TypeError, match="the decorator needs parentheses"):
        DiskCache(tmp_path).memoize(repr)
    with pytest.raises(ValueError, match="ttl is 0"):
        cached(MemoryCache(), 0)


def test_a_coroutine_function_as_key_is_refused():
    async def key(number):
        return number

    with pytest.raises(TypeError, match="key is the coroutine function"):
        cached(MemoryCache(), key=key)
