"""Distinguish errors of instruments from errors of what is measured."""

from __future__ import annotations

import pytest

from pytest_perfguard.core.errors import CannotCheck
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.measure.attribution import InstrumentFailed, attributed
from pytest_perfguard.engine.measure.executor import Step, execute


def steps(between=lambda: None, calls=2):
    for _ in range(calls):
        yield Step(1)
        between()
    return "taken"


def raises(error):
    def fails():
        raise error

    return fails


def test_steps_that_go_well_are_the_same():
    instrument = attributed(steps())
    assert next(instrument) == Step(1)
    assert instrument.send(Timing(1, 1)) == Step(1)
    with pytest.raises(StopIteration) as stop:
        instrument.send(Timing(1, 1))
    assert stop.value.value == "taken"


def test_what_a_call_raises_passes_as_it_is():
    with pytest.raises(KeyError, match="mine"):
        execute(attributed(steps()), raises(KeyError("mine")), None)


def test_what_an_instrument_raises_is_told_from_it():
    with pytest.raises(InstrumentFailed, match=r"could not read: OSError: \[Errno 24\] .*did not raise this") as caught:
        execute(attributed(steps(raises(OSError(24, "Too many open files")))), lambda: 1, None)
    assert isinstance(caught.value.__cause__, OSError)


def test_an_instrument_that_handles_an_error_of_a_call_goes_on():
    def careful():
        try:
            yield Step(1)
        except ValueError:
            yield Step(2)

    instrument = attributed(careful())
    assert next(instrument) == Step(1)
    assert instrument.throw(ValueError()) == Step(2)


def test_errors_of_our_own_pass_as_they_are():
    with pytest.raises(CannotCheck):
        execute(attributed(steps(raises(CannotCheck("no")))), lambda: 1, None)


def test_closing_closes_the_instrument():
    closed = []

    def careful():
        try:
            yield Step(1)
        finally:
            closed.append(True)

    instrument = attributed(careful())
    next(instrument)
    instrument.close()
    assert closed == [True]
