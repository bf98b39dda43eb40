"""The loops: what they call, what they return, how they report a call that raises."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest

from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.measure import executor as module
from pytest_perfguard.engine.measure.executor import EMPTY_CALL, RUN_SETUP, CallStep, execute, execute_async
from pytest_perfguard.engine.measure.preemption import ContextSwitches

KINDS = pytest.mark.parametrize("kind", ["sync", "async"])


def driven(kind, steps, call, setup=None):
    """Drive either loop with the same script."""
    if kind == "sync":
        return execute(steps, call, setup)

    async def awaited():
        return call()

    return asyncio.run(execute_async(steps, awaited, setup))


@KINDS
def test_each_step_calls_as_often_as_it_says_and_is_timed(kind):
    calls, timings = [], []

    def steps():
        for iterations in (1, 3):
            timings.append((yield CallStep(iterations)))

    driven(kind, steps(), lambda: calls.append(1))
    assert len(calls) == 4
    assert all(timing.wall_ns > 0 for timing in timings)


@KINDS
def test_an_empty_call_is_none_of_the_test(kind):
    log = []

    def steps():
        yield EMPTY_CALL
        yield CallStep(1)

    assert driven(kind, steps(), lambda: log.append("call") or 7, lambda: log.append("set-up")) == 7
    assert log == ["call"]


@KINDS
def test_the_result_is_the_first_calls(kind):
    numbers = count(10)

    def steps():
        yield CallStep(1)
        yield CallStep(5)

    assert driven(kind, steps(), lambda: next(numbers)) == 10


@KINDS
def test_setup_is_called_when_asked_for_and_ignored_otherwise(kind):
    log = []

    def steps():
        yield RUN_SETUP
        yield CallStep(2)

    driven(kind, steps(), lambda: log.append("call"), lambda: log.append("setup"))
    assert log == ["setup", "call", "call"]
    assert driven(kind, steps(), lambda: "no setup") == "no setup"


def test_an_async_setup_is_awaited():
    log = []

    async def setup():
        log.append("setup")

    async def call():
        log.append("call")

    def steps():
        yield RUN_SETUP
        yield CallStep(1)

    asyncio.run(execute_async(steps(), call, setup))
    assert log == ["setup", "call"]


@KINDS
def test_what_a_call_raises_is_thrown_into_the_steps(kind):
    """The steps decide how to continue; here they go on."""
    caught = []
    outcomes = iter([None, KeyError("x"), None])

    def steps():
        yield CallStep(1)
        try:
            yield CallStep(1)
        except KeyError as error:
            caught.append(error)
        yield CallStep(1)

    def call():
        outcome = next(outcomes)
        if outcome:
            raise outcome

    driven(kind, steps(), call)
    assert len(caught) == 1


@KINDS
def test_a_call_that_never_worked_raises_its_own_error_at_the_end(kind):
    def steps():
        try:
            yield CallStep(1)
        except ValueError:
            return

    def call():
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        driven(kind, steps(), call)


@KINDS
def test_ctrl_c_is_not_an_outcome_of_the_test(kind):
    def steps():
        try:
            yield CallStep(1)
        except Exception:
            pytest.fail("it was thrown into the steps")

    def call():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        driven(kind, steps(), call)


@KINDS
def test_where_nothing_was_measured_the_test_has_its_result_all_the_same(kind):
    """One of two arms may fail before the other one has received a request."""
    calls = []

    def call():
        calls.append(1)
        return 42

    assert driven(kind, (step for step in ()), call) == 42
    assert calls == [1]


@KINDS
@pytest.mark.parametrize("offset", [0, 16, 2032])
def test_a_shifted_step_calls_and_returns_the_same(kind, offset):
    calls = []

    def steps():
        yield CallStep(3, offset=offset)

    assert driven(kind, steps(), lambda: calls.append(1) or len(calls)) == 3
    assert len(calls) == 3


@KINDS
@pytest.mark.parametrize(("waits", "lost"), [(0, 400), (1, 0)])
def test_a_round_that_was_preempted_and_never_waited_counts_its_cpu_time(kind, waits, lost, monkeypatch):
    """1,000 ns passed, of which 600 were its own."""
    clocks = module.CLOCKS._replace(perf_counter_ns=iter([0, 1000]).__next__, process_time_ns=iter([0, 600]).__next__)
    monkeypatch.setattr(module, "CLOCKS", clocks)
    monkeypatch.setattr(
        module, "context_switches", iter([ContextSwitches(5, 5), ContextSwitches(5 + waits, 6)]).__next__
    )
    timings = []

    def steps():
        timings.append((yield CallStep(1)))

    driven(kind, steps(), lambda: None)
    assert timings == [Timing(1000, 600, lost_ns=lost)]
    assert timings[0].own_ns == 1000 - lost


@KINDS
def test_calls_whose_memory_is_taken_are_not_counted(kind, monkeypatch):
    """The numbers of a reading would be part of what they allocate."""
    monkeypatch.setattr(module, "context_switches", lambda: pytest.fail("read"))
    timings = []

    def steps():
        timings.append((yield CallStep(3, count_switches=False)))

    driven(kind, steps(), lambda: None)
    assert timings[0].lost_ns == 0
