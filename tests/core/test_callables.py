"""Kinds of callable objects."""

from __future__ import annotations

from functools import partial
from unittest import mock

import pytest

from pytest_perfguard.core.callables import must_be_awaited


async def coroutine_function(_number=0):
    return 1


class Object:
    async def __call__(self):
        return 1

    async def method(self):
        return 1


class Plain:
    def __call__(self):
        return 1


@pytest.mark.parametrize(
    "call",
    [
        coroutine_function,
        partial(coroutine_function, 1),
        Object(),
        partial(Object()),
        Object().method,
        mock.AsyncMock(),
    ],
)
def test_calls_whose_results_must_be_awaited(call):
    assert must_be_awaited(call)


@pytest.mark.parametrize("call", [len, Object, Plain(), partial(Plain()), lambda: coroutine_function(), 5, None])
def test_other_objects(call):
    assert not must_be_awaited(call)
