"""Attribute errors: an exception of the measured call is a result for the test, one of an instrument is not."""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

from pytest_perfguard.core.errors import ChildError, PerfguardError
from pytest_perfguard.core.timing import Timing
from pytest_perfguard.engine.measure.executor import CallStep, error_line

_Result = TypeVar("_Result")


class InstrumentFailed(PerfguardError):
    """An instrument could not take its reading; `problem` is the type and message of the exception."""

    def __init__(self, problem: str) -> None:
        self.problem = problem

    def __str__(self) -> str:
        return (
            f"an instrument of perfguard could not read: {self.problem}; the measured call did not raise this. "
            "Does the test, or a fixture of it, change limits or settings of the process?"
        )


class ReadingFailed(ChildError):
    """An instrument failed in a measuring process, which can measure no more; `text` names the instrument's exception."""

    def __init__(self, doing: str, text: str, *, arm: str = "") -> None:
        super().__init__(doing, arm=arm)
        self.text = text

    def what_happened(self) -> str:
        return f"gave up ({self.text})"


def attribute_errors(steps: Generator[CallStep, Timing, _Result]) -> Generator[CallStep, Timing, _Result]:
    """Yield the same steps. Exceptions of their calls, and perfguard's own errors, pass through unchanged.

    Raises
    ------
    InstrumentFailed
        for any other exception, which comes from an instrument between the calls.
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
            except BaseException as error:  # raised by the call; the instrument may handle it
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
