"""Cache operations without I/O: generators that yield calls, which threads make directly and tasks await."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Generator
from typing import Any, TypeVar

T = TypeVar("T")

#: A generator that yields functions without arguments and is sent their results. It returns T.
Calls = Generator[Callable[[], object], Any, T]


def run(calls: Calls[T]) -> T:
    """Make the calls of a generator and return its result."""
    with contextlib.closing(calls):  # also after an interrupt between two calls
        try:
            call = next(calls)
            while True:
                try:
                    result = call()
                except BaseException as error:  # the generator may clean up with further calls
                    call = calls.throw(error)
                else:
                    call = calls.send(result)
        except StopIteration as end:
            value: T = end.value
            return value


async def run_async(calls: Calls[T]) -> T:
    """Make the calls of a generator, await awaitable results, and return the generator's result."""
    with contextlib.closing(calls):
        try:
            call = next(calls)
            while True:
                try:
                    result = call()
                    if inspect.isawaitable(result):
                        result = await result
                except BaseException as error:
                    call = calls.throw(error)
                else:
                    call = calls.send(result)
        except StopIteration as end:
            value: T = end.value
            return value
