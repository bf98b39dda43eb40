"""Emptying, before memory is read, what fills up and has a bound: such growth ends by itself and is no leak."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, Final

from pytest_perfguard.core.originals import gc, sys

#: Python 3.12 starts with some hundred objects frozen, which nobody misses there.
MAX_FROZEN_BY_PYTHON: Final = 1000
_LRU_CACHE_TYPE: Final[type] = type(functools.lru_cache(lambda: None))


class BoundedCaches:
    """The caches of this process that have a bound. `empty()` may be called again and again.

    A cache of functools is emptied only once it was seen to grow: what a program keeps there for good (its
    configuration, its engine) stays. One without a bound is left alone, since growing without end is what a leak is.
    """

    def __init__(self) -> None:
        bounded = [cache for cache in _find_lru_caches() if cache.cache_info().maxsize is not None]
        self._steady: dict[Any, int] = {cache: cache.cache_info().currsize for cache in bounded}
        self._restless: list[Any] = []
        self._known = list(_library_cache_clearers())

    def clear(self) -> None:
        """Empty them, and collect garbage until its finalizers have left none either."""
        grown = [cache for cache, size in self._steady.items() if cache.cache_info().currsize > size]
        for cache in grown:
            del self._steady[cache]
            self._restless.append(cache)
        for cache in self._restless:
            cache.cache_clear()
        for clear in self._known:
            clear()
        gc.collect()
        gc.collect()


@contextlib.contextmanager
def freeze_existing_objects() -> Iterator[None]:
    """Hide from the collector what lives already, so that a collection costs what new objects cost.

    Does nothing where the program froze objects itself, which could not be told from these afterwards.
    """
    gc.collect()
    if gc.get_freeze_count() > MAX_FROZEN_BY_PYTHON:
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _find_lru_caches() -> list[Any]:
    frozen = gc.get_freeze_count() > MAX_FROZEN_BY_PYTHON
    if frozen:  # the collector does not list what is frozen
        gc.unfreeze()
    found = [candidate for candidate in gc.get_objects() if type(candidate) is _LRU_CACHE_TYPE]
    if frozen:
        gc.collect()
        gc.freeze()
    return found


def _library_cache_clearers() -> Iterator[Callable[[], object]]:
    """Of the standard library and of the interpreter: where a module is not loaded, it has filled nothing."""
    for module, name in (("re", "purge"), ("linecache", "clearcache")):
        if module in sys.modules:
            yield getattr(sys.modules[module], name)
    # The second took the place of the first in Python 3.13.
    for name in ("_clear_internal_caches", "_clear_type_cache"):
        if hasattr(sys, name):
            yield getattr(sys, name)
            return
