"""Clear bounded caches before memory is read, because their growth ends by itself and is no leak."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeGuard

from pytest_perfguard.core.originals import gc, sys

if TYPE_CHECKING:
    from functools import _lru_cache_wrapper

#: Python 3.12 starts with some hundred frozen objects, which need not be found.
MAX_FROZEN_BY_PYTHON: Final = 1000
_LRU_CACHE_TYPE: Final[type] = type(functools.lru_cache(lambda: None))


class BoundedCaches:
    """The bounded caches of this process. `clear()` may be called repeatedly.

    A cache of functools is cleared only after it has grown, so that permanent entries stay, such as a program's
    configuration or database engine. An unbounded cache is never cleared, because growth without a limit is a leak.
    """

    def __init__(self) -> None:
        bounded = [cache for cache in _find_lru_caches() if cache.cache_info().maxsize is not None]
        self._steady: dict[_lru_cache_wrapper[object], int] = {cache: cache.cache_info().currsize for cache in bounded}
        self._grown: list[_lru_cache_wrapper[object]] = []
        self._known = list(_library_cache_clearers())

    def clear(self) -> None:
        """Clear the caches and collect garbage twice, because finalizers may create garbage."""
        grown = [cache for cache, size in self._steady.items() if cache.cache_info().currsize > size]
        for cache in grown:
            del self._steady[cache]
            self._grown.append(cache)
        for cache in self._grown:
            cache.cache_clear()
        for clear in self._known:
            clear()
        gc.collect()
        gc.collect()


@contextlib.contextmanager
def freeze_existing_objects() -> Iterator[None]:
    """Freeze the existing objects inside the block, so that a collection costs only what new objects cost.

    Does nothing if the program has frozen objects itself, because unfreezing would affect these as well.
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


def _find_lru_caches() -> list[_lru_cache_wrapper[object]]:
    frozen = gc.get_freeze_count() > MAX_FROZEN_BY_PYTHON
    if frozen:  # the garbage collector does not list frozen objects
        gc.unfreeze()
    found = [candidate for candidate in gc.get_objects() if _is_lru_cache(candidate)]
    if frozen:
        gc.collect()
        gc.freeze()
    return found


def _is_lru_cache(candidate: object) -> TypeGuard[_lru_cache_wrapper[object]]:
    return type(candidate) is _LRU_CACHE_TYPE


def _library_cache_clearers() -> Iterator[Callable[[], object]]:
    """Yield the functions that clear caches of the standard library and the interpreter, if the module is loaded."""
    for module, name in (("re", "purge"), ("linecache", "clearcache")):
        if module in sys.modules:
            yield getattr(sys.modules[module], name)
    # Python 3.13 replaced the second function by the first.
    for name in ("_clear_internal_caches", "_clear_type_cache"):
        if hasattr(sys, name):
            yield getattr(sys, name)
            return
