"""The rules for what a benchmark calls, and with which arguments."""

from __future__ import annotations

import asyncio

import pytest

from pytest_perfguard.compat.call import (
    BenchmarkCall,
    RoundSpec,
    check_rounds,
)


def test_arguments_come_from_the_test_or_from_its_setup():
    assert BenchmarkCall(abs, (1,), {"a": 2}).arguments() == ((1,), {"a": 2})
    assert BenchmarkCall(abs, setup=lambda: ((3,), {"b": 4})).arguments() == ((3,), {"b": 4})
    assert BenchmarkCall(abs, (1,), setup=lambda: None).arguments() == ((1,), {})


@pytest.mark.parametrize(
    ("given", "returned", "error", "message"),
    [
        ((1,), ((2,), {}), TypeError, "Can't use `args` or `kwargs` if `setup` returns the arguments"),
        ((), (1, 2, 3), ValueError, r"must return nothing or \(args, kwargs\), not \(1, 2, 3\)"),
        ((), 5, TypeError, r"must return nothing or \(args, kwargs\), not 5"),
    ],
)
def test_what_a_setup_may_not_return(given, returned, error, message):
    with pytest.raises(error, match=message):
        BenchmarkCall(abs, given, setup=lambda: returned).arguments()


def test_a_setup_is_called_as_the_plugin_of_its_suite_calls_it():
    """pytest-benchmark calls it with nothing, pytest-codspeed with the arguments; one that fits only the other way is for that."""
    log = []
    BenchmarkCall(abs, (1,), setup=lambda: log.append("none")).arguments()
    BenchmarkCall(abs, (1,), setup=lambda one: log.append(one)).arguments()
    BenchmarkCall(abs, (1,), setup=lambda one=2: log.append(one)).arguments()
    BenchmarkCall(abs, (1,), setup=lambda one=2: log.append(one), passes_arguments=True).arguments()
    BenchmarkCall(abs, (1,), setup=lambda: log.append("none"), passes_arguments=True).arguments()
    BenchmarkCall(abs, (1,), setup=dict).arguments()
    assert log == ["none", 1, 2, 1, "none"]


def test_an_async_setup_and_teardown_are_awaited_where_they_can_be():
    log = []

    async def setup():
        return (1,), {}

    async def teardown(one):
        log.append(one)

    async def both():
        work = BenchmarkCall(abs, setup=setup, teardown=teardown)
        await work.finish_async(await work.arguments_async())

    asyncio.run(both())
    assert log == [1]
    with pytest.raises(TypeError, match="setup is a coroutine function and the benchmarked function is not"):
        BenchmarkCall(abs, setup=setup).arguments()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (RoundSpec(iterations=0), "Must have positive int for `iterations`. It is 0; the minimum is 1"),
        (RoundSpec(rounds=1.5), "Must have positive int for `rounds`. It is 1.5"),
        (RoundSpec(warmup_rounds=-1), "Must have positive int for `warmup_rounds`. It is -1; the minimum is 0"),
        (RoundSpec(iterations=2), "Can't use more than 1 `iterations` with a `setup` function"),
    ],
)
def test_numbers_of_calls_that_cannot_be_meant_are_refused(asked, message):
    with pytest.raises(ValueError, match=message):
        check_rounds(asked, has_setup=True)
    check_rounds(RoundSpec(3, 2, 1), has_setup=True)
    check_rounds(RoundSpec(3, 2, 5), has_setup=False)
