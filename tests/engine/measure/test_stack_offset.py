"""Calls further up the interpreter's stack."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.engine.measure.stack_offset import (
    CHUNK_SLOTS,
    STEP_SLOTS,
    AwaitShifted,
    call_shifted,
    stack_offset,
)


@given(st.integers(0, 10**6))
def test_an_offset_is_a_multiple_within_a_chunk(index):
    offset = stack_offset(index)
    assert 0 <= offset < CHUNK_SLOTS
    assert offset % STEP_SLOTS == 0


@given(st.integers(0, 10**5), st.integers(8, 400))
def test_consecutive_offsets_cover_the_chunk_evenly(first, count):
    """By the three-gap theorem no hole is more than 2.6 times as large as the mean."""
    taken = sorted(stack_offset(first + index) for index in range(count))
    holes = [after - before for before, after in zip(taken, [*taken[1:], taken[0] + CHUNK_SLOTS], strict=True)]
    assert max(holes) <= 2.7 * CHUNK_SLOTS / count + 2 * STEP_SLOTS


def test_the_first_rounds_of_processes_lie_apart():
    """Forty rounds later begins the next process."""
    assert len({stack_offset(40 * process) for process in range(10)}) == 10


@pytest.mark.parametrize("slots", [0, STEP_SLOTS, CHUNK_SLOTS - STEP_SLOTS])
def test_a_shifted_call_passes_arguments_results_and_errors(slots):
    assert call_shifted(slots, lambda *items: items, 1, "a") == (1, "a")
    with pytest.raises(ZeroDivisionError):
        call_shifted(slots, lambda: 1 // 0)


async def loudly(log):
    """Writes down what reaches it."""
    try:
        await asyncio.sleep(0)
        log.append("slept")
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        log.append("cancelled")
        raise
    finally:
        log.append("closed")


def test_a_shifted_coroutine_gives_its_result():
    async def answer():
        await asyncio.sleep(0)
        return 42

    async def main():
        return await AwaitShifted(64, answer())

    assert asyncio.run(main()) == 42


def test_a_cancellation_reaches_a_shifted_coroutine():
    log = []

    async def shifted():
        await AwaitShifted(64, loudly(log))

    async def main():
        task = asyncio.ensure_future(shifted())
        for _ in range(3):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert log == ["slept", "cancelled", "closed"]


def test_what_is_thrown_reaches_a_shifted_coroutine_and_may_be_caught():
    class Pause:
        def __await__(self):
            yield "paused"

    async def stubborn():
        try:
            await Pause()
        except KeyError:
            return "caught"

    steps = AwaitShifted(64, stubborn())
    assert next(iter(steps.__await__())) == "paused"
    with pytest.raises(StopIteration) as stop:
        steps.throw(KeyError("x"))
    assert stop.value.value == "caught"


def test_closing_closes_a_shifted_coroutine():
    log = []

    async def outer():
        try:
            await Forever()
        finally:
            log.append("closed")

    class Forever:
        def __await__(self):
            while True:
                yield

    steps = AwaitShifted(64, outer())
    steps.send(None)
    steps.close()
    assert log == ["closed"]
