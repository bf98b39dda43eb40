"""`cached`: a decorator that keeps the results of a function in a cache."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

from pytest_perfguard.core.callables import must_be_awaited
from pytest_perfguard.core.tool_errors import CacheValueError
from pytest_perfguard.core.value_kinds import kinds_of
from pytest_perfguard.tools.caches.async_adapter import async_view
from pytest_perfguard.tools.caches.get_or_compute import AsyncComputingCache, ComputingCache, ThreadComputation
from pytest_perfguard.tools.caches.level import DEFAULT, MISSING, MakeKey, checked_ttl
from pytest_perfguard.tools.caches.lru_entries import AtomicCounter
from pytest_perfguard.tools.caches.memory import MemoryCache
from pytest_perfguard.tools.caches.serializers import JSON

P = ParamSpec("P")
R = TypeVar("R")

Function = Callable[..., Any]
#: Counts a hit or a miss.
Count = Callable[[], object]


class CacheInfo(NamedTuple):
    """Statistics of a cached function, as those of `functools.lru_cache`."""

    hits: int
    misses: int
    maxsize: float | None
    currsize: int | None
    """None where the cache does not know it without a search."""


def cached(
    cache: ComputingCache | AsyncComputingCache, ttl: float | None = DEFAULT, *, key: MakeKey | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Keep the results of a function for `ttl` seconds. Concurrent calls with the same arguments share one computation.

    For functions, other callable objects and coroutine functions. The latter work with a cache for threads as well.

    Parameters
    ----------
    key
        returns the key of a call from its arguments. By default the key consists of the function and all arguments, whose types
        count: f(1), f(1.0) and f(True) are three calls. For a `MemoryCache` arguments must be hashable. For other caches they must
        be plain data (text, numbers, lists, mappings with text as keys), and the function is identified by its name.

    Raises
    ------
    TypeError
        for a generator function, whose result could be used only once; for an object that cannot be called; for a cache for asyncio
        and a function that is not a coroutine function; if `cache` is not a cache, or `key` a coroutine function.
    CacheValueError
        if the function has no name of its own, and the cache needs one. A method that is bound to an object has none.

    Notes
    -----
    The decorated function has `forget(*args, **kwargs)`, which deletes the result of such a call, `cache_info()`, `cache_clear()`,
    which clears the whole cache, and `cache`. For coroutine functions `forget` and `cache_clear` are to be awaited. For a method
    `self` is an argument: give a `key` that identifies the object.
    """

    if not isinstance(cache, ComputingCache | AsyncComputingCache):
        raise TypeError(f"{cache!r} is not a cache of this package: write @cached(MemoryCache()), for example")
    if callable(ttl):
        raise TypeError(f"ttl is {ttl!r}: the decorator needs parentheses")
    checked_ttl(ttl, None)
    if must_be_awaited(key):
        raise TypeError(f"key is the coroutine function {key!r}: give a plain function")

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        is_async = _is_async(function)
        used: Any = cache
        if is_async:
            used = async_view(cache) if isinstance(cache, ComputingCache) else cache
        elif not isinstance(cache, ComputingCache):
            raise TypeError(
                f"{function!r} is not a coroutine function, but {cache!r} is for those: use MultiLevelCache"
            )
        make_key = key or _key_maker(cache, function)
        hits, misses = AtomicCounter(), AtomicCounter()
        wrap = _async_wrapper if is_async else _thread_wrapper
        result: Any = wrap(used, ttl, function, make_key, hits.add, misses.add)

        def cache_info() -> CacheInfo:
            size = len(cast(Any, cache)) if hasattr(cache, "__len__") else None
            return CacheInfo(hits.value(), misses.value(), getattr(cache, "maxsize", None), size)

        result.cache = used
        result.cache_key = make_key
        result.cache_info = cache_info
        result.cache_clear = used.clear
        result.forget = lambda *args, **kwargs: used.delete(make_key(*args, **kwargs))
        return cast("Callable[P, R]", result)

    return decorate


def _thread_wrapper(
    cache: Any, ttl: float | None, function: Function, make_key: MakeKey, hit: Count, miss: Count
) -> Function:
    get = cache.get

    @functools.wraps(function, updated=_copied(function))
    def wrapper(*args: object, **kwargs: object) -> object:
        key = make_key(*args, **kwargs)
        value = get(key, MISSING)
        if value is not MISSING:
            hit()
            return value
        miss()
        computation = ThreadComputation(cache, key, ttl)
        if not computation.begin():
            return computation.value
        try:
            value = function(*args, **kwargs)
        except BaseException as error:
            computation.set_error(error)
            raise
        return computation.finish(value)

    return wrapper


def _async_wrapper(
    cache: Any, ttl: float | None, function: Function, make_key: MakeKey, hit: Count, miss: Count
) -> Function:
    @functools.wraps(function, updated=_copied(function))
    async def wrapper(*args: object, **kwargs: object) -> object:
        key = make_key(*args, **kwargs)
        was_hit = True

        def compute() -> object:
            nonlocal was_hit
            was_hit = False
            return function(*args, **kwargs)

        value = await cache.get_or_compute(key, compute, ttl)
        (hit if was_hit else miss)()
        return value

    return wrapper


def _copied(function: Function) -> tuple[str, ...]:
    """Return the attributes that a wrapper updates: the fields of a callable object stay its own."""
    return ("__dict__",) if inspect.isfunction(function) else ()


def _is_async(function: Function) -> bool:
    """Return whether calls must be awaited; raise TypeError for objects whose calls cannot be cached."""
    if isinstance(function, classmethod | property) or not callable(function):
        raise TypeError(f"{function!r} cannot be called: put @cached below @classmethod or @property")
    called = function
    while isinstance(called, functools.partial):
        called = called.func
    kinds = [called] if inspect.isroutine(called) or inspect.isclass(called) else [called, type(called).__call__]
    if any(inspect.isgeneratorfunction(kind) or inspect.isasyncgenfunction(kind) for kind in kinds):
        raise TypeError(f"{function!r} is a generator function, whose result can be used only once: return a list")
    return must_be_awaited(function)


def _key_maker(cache: object, function: Function) -> MakeKey:
    if isinstance(cache, MemoryCache):
        return functools.partial(_hashable_key, _FunctionMark(function))
    called, arguments, keywords = _unbound(function)
    name = _name_of(called)
    if name is None:
        raise CacheValueError(
            repr(called), "it has no name that identifies it in another process; give cached() a key="
        )
    if "<" in name:
        raise CacheValueError(name, "other functions have this name, too; give cached() a key=")
    return functools.partial(_text_key, name, *arguments, **keywords)


def _name_of(called: Function) -> str | None:
    """Return the name of a function in all processes, or None, as for a method of an object: objects have no names."""
    owner = getattr(called, "__self__", None)
    if owner is None or inspect.ismodule(owner):
        module, name = getattr(called, "__module__", None), getattr(called, "__qualname__", None)
    elif inspect.isclass(owner):  # the class it is called with, which may be derived from the one that defines it
        module, name = owner.__module__, f"{owner.__qualname__}.{called.__name__}"
    else:
        return None
    return f"{module}.{name}" if module and name else None


class _FunctionMark:
    """Stands for one decorated function in its keys, whatever the function compares equal to."""

    __slots__ = ("_name",)

    def __init__(self, function: Function) -> None:
        self._name = getattr(function, "__qualname__", type(function).__qualname__)

    def __repr__(self) -> str:
        return self._name


def _unbound(function: Function) -> tuple[Function, tuple[object, ...], dict[str, object]]:
    """Return the function of a `functools.partial`, and its arguments, which are like those of a call."""
    if isinstance(function, functools.partial):
        return function.func, function.args, function.keywords
    return function, (), {}


def _hashable_key(mark: _FunctionMark, /, *args: object, **kwargs: object) -> Hashable:
    if not kwargs:
        return mark, args, kinds_of(args)
    names = tuple(sorted(kwargs))
    values = tuple(kwargs[name] for name in names)
    return mark, args, kinds_of(args), names, values, kinds_of(values)


def _text_key(name: str, /, *args: object, **kwargs: object) -> str:
    given = [list(args), dict(sorted(kwargs.items()))] if kwargs else [list(args)]
    try:
        return f"{name}({JSON.dumps(given).decode()})"
    except CacheValueError as error:
        raise CacheValueError(name, f"no key can be made of its arguments ({error}); give cached() a key=") from None
