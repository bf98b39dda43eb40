"""What caches do, written once as steps: generators that yield calls, made by threads as they are, and awaited by tasks."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Generator
from typing import Any, TypeVar

T = TypeVar("T")

#: Yields what is to be called without arguments, and is sent what that returned.
Steps = Generator[Callable[[], Any], Any, T]


def run(steps: Steps[T]) -> T:
    """Make the calls."""
    with contextlib.closing(steps):  # an interrupt between two calls ends them, too
        try:
            call = next(steps)
            while True:
                try:
                    result = call()
                except BaseException as error:  # the steps clean up, with further steps
                    call = steps.throw(error)
                else:
                    call = steps.send(result)
        except StopIteration as end:
            value: T = end.value
            return value


async def run_async(steps: Steps[T]) -> T:
    """Make the calls, and await what is awaitable."""
    with contextlib.closing(steps):
        try:
            call = next(steps)
            while True:
                try:
                    result = call()
                    if inspect.isawaitable(result):
                        result = await result
                except BaseException as error:
                    call = steps.throw(error)
                else:
                    call = steps.send(result)
        except StopIteration as end:
            value: T = end.value
            return value
