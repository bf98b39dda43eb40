"""Which caches are emptied, and which are left alone."""

from __future__ import annotations

import functools
import gc
import re
import sys

from pytest_perfguard.engine.leaks.bounded_caches import (
    MAX_FROZEN_BY_PYTHON,
    BoundedCaches,
    freeze_existing_objects,
)


@functools.lru_cache(maxsize=100)
def settings(name):
    return [name]


@functools.lru_cache(maxsize=100)
def parsed(text):
    return [text]


@functools.cache
def unbounded(number):
    return [number]


def test_a_bounded_cache_that_grows_is_emptied_and_one_that_is_steady_stays():
    """A program's engine or configuration is often kept in such a cache: a new one would be another program."""
    for cache in (settings, parsed, unbounded):
        cache.cache_clear()
    kept = settings("db")
    caches = BoundedCaches()
    parsed("a")
    unbounded(1)
    caches.clear()
    assert parsed.cache_info().currsize == 0
    assert unbounded.cache_info().currsize == 1  # growing without a bound is what a leak is
    assert settings("db") is kept
    parsed("a")
    caches.clear()
    assert parsed.cache_info().currsize == 0


def test_a_cache_in_a_frozen_heap_is_found():
    """Measuring processes and servers that fork freeze their heap; a cache that warms up is no leak there either."""
    parsed.cache_clear()
    gc.freeze()
    try:
        caches = BoundedCaches()
        parsed("a")
        caches.clear()
        assert gc.get_freeze_count() > MAX_FROZEN_BY_PYTHON
    finally:
        gc.unfreeze()
    assert parsed.cache_info().currsize == 0


def test_the_caches_of_the_standard_library_are_emptied():
    caches = BoundedCaches()
    re.compile("of this test alone [a-z]+")
    caches.clear()
    cached = getattr(sys.modules["re"], "_cache")  # noqa: B009  # private, and what is under test
    assert not [key for key in cached if "of this test alone" in str(key)]


def test_old_objects_are_hidden_and_come_back():
    thing = [[]]
    with freeze_existing_objects():
        assert not any(found is thing for found in gc.get_objects())
    assert any(found is thing for found in gc.get_objects())


def test_what_the_program_froze_stays_frozen():
    gc.freeze()
    try:
        before = gc.get_freeze_count()
        with freeze_existing_objects():
            pass
        assert gc.get_freeze_count() == before
    finally:
        gc.unfreeze()
