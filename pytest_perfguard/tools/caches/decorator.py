"""`cached`: a function whose results are kept."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from pytest_perfguard.core.tool_errors import CacheValueError
from pytest_perfguard.tools.caches.async_adapter import twin_of
from pytest_perfguard.tools.caches.get_or_compute import Computing
from pytest_perfguard.tools.caches.get_or_compute_aio import AsyncComputing
from pytest_perfguard.tools.caches.level import DEFAULT
from pytest_perfguard.tools.caches.memory import MemoryCache
from pytest_perfguard.tools.caches.serializers import JSON

P = ParamSpec("P")
R = TypeVar("R")

#: Makes the key of a call from its arguments.
MakeKey = Callable[..., Any]


def cached(
    cache: Computing | AsyncComputing, ttl: float | None = DEFAULT, *, key: MakeKey | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Keep what a function returns, for `ttl` seconds; of many who call it at the same time, one computes.

    For functions, and for coroutine functions, for which a cache for threads will do as well.

    Parameters
    ----------
    key
        makes the key from the function's arguments. By default it is made of the function and all arguments: for a `MemoryCache`
        they must be hashable; for others it is the function's name, and they must be plain data (text, numbers, lists, mappings
        with text as keys).

    Notes
    -----
    `function.forget(*args, **kwargs)` deletes the result of such a call (it is a coroutine for coroutine functions), and
    `function.cache` is the cache. Of a method `self` is an argument: give a `key` that says what it means.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        used: Any = cache
        if inspect.iscoroutinefunction(function):
            used = twin_of(cache) if isinstance(cache, Computing) else cache
        elif not isinstance(cache, Computing):
            raise TypeError(f"{function!r} is no coroutine function, and {cache!r} is for those: use MultiLevelCache")
        make = key or _key_maker(cache, function)

        @functools.wraps(function)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
            return used.get_or_compute(make(*args, **kwargs), functools.partial(function, *args, **kwargs), ttl)

        result: Any = wrapper
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def async_wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
                return await wrapper(*args, **kwargs)

            result = async_wrapper
        result.cache = used
        result.forget = lambda *args, **kwargs: used.delete(make(*args, **kwargs))
        return cast("Callable[P, R]", result)

    return decorate


def _key_maker(cache: object, function: Callable[..., Any]) -> MakeKey:
    if isinstance(cache, MemoryCache):
        return functools.partial(_hashable_key, function)
    called, arguments, keywords = _unbound(function)
    if not hasattr(called, "__qualname__"):
        raise CacheValueError(repr(called), "it has no name that another process knows it by; give cached() a key=")
    name = f"{called.__module__}.{called.__qualname__}"
    if "<" in name:
        raise CacheValueError(name, "other functions have this name, too; give cached() a key=")
    return functools.partial(_text_key, name, *arguments, **keywords)


def _unbound(function: Callable[..., Any]) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """Return the function of a `functools.partial`, and what is bound: arguments like those of a call."""
    if isinstance(function, functools.partial):
        return function.func, function.args, function.keywords
    return function, (), {}


def _hashable_key(function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return (function, args, *sorted(kwargs.items())) if kwargs else (function, args)


def _text_key(name: str, /, *args: Any, **kwargs: Any) -> str:
    given = [list(args), dict(sorted(kwargs.items()))] if kwargs else [list(args)]
    try:
        return f"{name}({JSON.dumps(given).decode()})"
    except CacheValueError as error:
        raise CacheValueError(name, f"no key can be made of its arguments ({error}); give cached() a key=") from None
