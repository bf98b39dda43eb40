"""Whose error is it? One that the measured call raised says something of the test; one of an instrument says nothing of it."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from pytest_perfguard.core.errors import ChildError, PerfguardError
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.measure.executor import CallStep, error_line

_Result = TypeVar("_Result")


class InstrumentFailed(PerfguardError):
    """An instrument could not take its reading; `problem` is the type and message of what it raised."""

    def __init__(self, problem: str) -> None:
        self.problem = problem

    def __str__(self) -> str:
        return (
            f"an instrument of perfguard could not read: {self.problem}; the measured call did not raise this. "
            "Does the test, or a fixture of it, change limits or settings of the process?"
        )


class ReadingFailed(ChildError):
    """The same in a measuring process, of which no more can be expected; `text` says which."""

    def __init__(self, doing: str, text: str, *, arm: str = "") -> None:
        super().__init__(doing, arm=arm)
        self.text = text

    def what_happened(self) -> str:
        return f"gave up ({self.text})"


def attribute_errors(steps: Generator[CallStep, Timing, _Result]) -> Generator[CallStep, Timing, _Result]:
    """The same steps; what their calls raise passes through as it is, and so do our own errors.

    Raises
    ------
    InstrumentFailed
        for any other error: it comes from between the calls, where the instruments are read.
    """
    raised: BaseException | None = None
    try:
        step = next(steps)
        while True:
            try:
                timing = yield step
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as error:  # of the call, which the instrument may know what to do with
                raised = error
                step = steps.throw(error)
            else:
                step = steps.send(timing)
    except StopIteration as stop:
        result: _Result = stop.value
        return result
    except Exception as error:
        if error is raised or isinstance(error, PerfguardError):
            raise
        raise InstrumentFailed(error_line(error)) from error
