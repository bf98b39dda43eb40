"""Replace a test function, for the duration of one call, by a wrapper that measures it."""

from __future__ import annotations

import contextlib
import functools
import inspect
import unittest
from collections.abc import Awaitable, Callable, Iterator

import pytest

Measure = Callable[[Callable[[], object]], object]
MeasureAsync = Callable[[Callable[[], Awaitable[object]]], Awaitable[object]]


@contextlib.contextmanager
def wrapped_function(item: pytest.Function, measure: Measure, measure_async: MeasureAsync) -> Iterator[None]:
    """Within the block, pass the item's function to `measure`, as a call without arguments.

    A coroutine function is passed to `measure_async`.
    """
    function, instance = item.obj, item.instance  # in this order: older pytest derives the instance from the function
    measured = _same_kind(function, measure, measure_async)
    item.obj = measured
    if isinstance(instance, unittest.TestCase):
        setattr(instance, item.name, measured)  # unittest looks up an async method by its name
    try:
        yield
    finally:
        item.obj = function
        if isinstance(instance, unittest.TestCase):
            vars(instance).pop(item.name, None)


def _same_kind(function: Callable[..., object], measure: Measure, measure_async: MeasureAsync) -> Callable[..., object]:
    """Return the wrapper: a coroutine function for a coroutine function, otherwise a plain function."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def measured_async(*args: object, **kwargs: object) -> object:
            return await measure_async(functools.partial(function, *args, **kwargs))

        return measured_async

    @functools.wraps(function)
    def measured(*args: object, **kwargs: object) -> object:
        return measure(functools.partial(function, *args, **kwargs) if args or kwargs else function)

    return measured
