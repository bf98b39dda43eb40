"""Kinds of callable objects."""

from __future__ import annotations

import functools
import inspect


def must_be_awaited(call: object) -> bool:
    """Return whether the result of a call must be awaited.

    So it is for a coroutine function, an object whose `__call__` is one, and a `functools.partial` of either. A plain function that
    returns a coroutine is recognized by its result only.
    """
    while isinstance(call, functools.partial):
        call = call.func
    return inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(getattr(type(call), "__call__", None))  # noqa: B004
