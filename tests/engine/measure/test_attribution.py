"""Distinguish errors of instruments from errors of what is measured."""

from __future__ import annotations

import pytest

from pytest_perfguard.core.errors import CannotCheck
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.measure.attribution import InstrumentFailed, attribute_errors
from pytest_perfguard.engine.measure.executor import CallStep, execute


def steps(between=lambda: None, calls=2):
    for _ in range(calls):
        yield CallStep(1)
        between()
    return "taken"


def raises(error):
    def fails():
        raise error

    return fails


def test_steps_that_go_well_are_the_same():
    instrument = attribute_errors(steps())
    assert next(instrument) == CallStep(1)
    assert instrument.send(Timing(1, 1)) == CallStep(1)
    with pytest.raises(StopIteration) as stop:
        instrument.send(Timing(1, 1))
    assert stop.value.value == "taken"


def test_what_a_call_raises_passes_as_it_is():
    with pytest.raises(KeyError, match="mine"):
        execute(attribute_errors(steps()), raises(KeyError("mine")), None)


def test_what_an_instrument_raises_is_told_from_it():
    with pytest.raises(InstrumentFailed, match=r"could not read: OSError: \[Errno 24\] .*did not raise this") as caught:
        execute(attribute_errors(steps(raises(OSError(24, "Too many open files")))), lambda: 1, None)
    assert isinstance(caught.value.__cause__, OSError)


def test_an_instrument_that_handles_an_error_of_a_call_goes_on():
    def careful():
        try:
            yield CallStep(1)
        except ValueError:
            yield CallStep(2)

    instrument = attribute_errors(careful())
    assert next(instrument) == CallStep(1)
    assert instrument.throw(ValueError()) == CallStep(2)


def test_errors_of_our_own_pass_as_they_are():
    with pytest.raises(CannotCheck):
        execute(attribute_errors(steps(raises(CannotCheck("no")))), lambda: 1, None)


def test_closing_closes_the_instrument():
    closed = []

    def careful():
        try:
            yield CallStep(1)
        finally:
            closed.append(True)

    instrument = attribute_errors(careful())
    next(instrument)
    instrument.close()
    assert closed == [True]
