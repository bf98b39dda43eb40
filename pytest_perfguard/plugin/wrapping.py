"""Putting a measurement around a test function where pytest looks it up, for the time of its call only."""

from __future__ import annotations

import contextlib
import functools
import inspect
import unittest
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

Measure = Callable[[Callable[[], Any]], Any]
MeasureAsync = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]


@contextlib.contextmanager
def wrapped_function(item: pytest.Function, measure: Measure, measure_async: MeasureAsync) -> Iterator[None]:
    """The item's function is handed to `measure`, as a call without arguments; a coroutine function to `measure_async`."""
    function, instance = item.obj, item.instance  # in this order: older pytest derives the one from the other
    measured = _of_the_same_colour(function, measure, measure_async)
    item.obj = measured
    if isinstance(instance, unittest.TestCase):
        setattr(instance, item.name, measured)  # unittest looks an async method up by its name
    try:
        yield
    finally:
        item.obj = function
        if isinstance(instance, unittest.TestCase):
            vars(instance).pop(item.name, None)


def _of_the_same_colour(
    function: Callable[..., Any], measure: Measure, measure_async: MeasureAsync
) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def measured_async(*args: object, **kwargs: object) -> object:
            return await measure_async(functools.partial(function, *args, **kwargs))

        return measured_async

    @functools.wraps(function)
    def measured(*args: object, **kwargs: object) -> object:
        return measure(functools.partial(function, *args, **kwargs) if args or kwargs else function)

    return measured
