"""`StartupSequence`: run and time the named steps of a program's start."""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from pytest_perfguard.core.callables import must_be_awaited
from pytest_perfguard.core.tool_errors import StartupError
from pytest_perfguard.tools.startup.order import in_order
from pytest_perfguard.tools.startup.report import Outcome, StartupReport, StepRecord

if TYPE_CHECKING:
    import asyncio

F = TypeVar("F", bound=Callable[..., object])


class Timers(Protocol):
    """A `PerformanceMonitor`."""

    def timer(self, name: str, /, **labels: str) -> AbstractContextManager[object]:
        """Times a block."""


class StartupStep(NamedTuple):
    """A named step."""

    name: str
    action: Callable[..., Any]
    after: tuple[str, ...]
    asynchronous: bool
    takes_results: bool


class StartupSequence:
    """Run the steps of a program's start in order, time each, and stop at the first that fails.

    A step is a function or a coroutine function. If it has a parameter without a default, it receives the results so far, by the names
    of the steps. Steps run in the order in which they were added, each after those in `after`; coroutine functions that are ready run
    concurrently. Plain functions run in the thread of the caller, one after the other.

    Parameters
    ----------
    name
        of the sequence, for reports and errors.
    monitor
        a `PerformanceMonitor` that times each step as `NAME{step="..."}`, so that a perf test judges each step separately.
    clock
        returns seconds, for tests.
    """

    def __init__(
        self, name: str = "startup", *, monitor: Timers | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.name = name
        self._monitor = monitor
        self._clock = clock
        self._steps: dict[str, StartupStep] = {}

    def add(self, name: str, action: Callable[..., object], *, after: Iterable[str] = ()) -> None:
        """Add a step."""
        if not isinstance(name, str) or not callable(action):
            raise TypeError(f"a step is a text and a function, not {name!r} and {action!r}")
        if name in self._steps:
            raise ValueError(f"there is a step {name!r} already")
        if inspect.isgeneratorfunction(action) or inspect.isasyncgenfunction(action):
            raise TypeError(f"{action!r} is a generator function, whose call runs none of it: give a plain function")
        if isinstance(after, str):
            raise TypeError(f"after is {after!r}: give a list of names")
        asynchronous = must_be_awaited(action)
        self._steps[name] = StartupStep(name, action, tuple(after), asynchronous, _takes_results(action))

    def step(self, name: str, *, after: Iterable[str] = ()) -> Callable[[F], F]:
        """Return a decorator that adds a function as a step: `@startup.step("database", after=["configuration"])`."""

        def decorate(function: F) -> F:
            self.add(name, function, after=after)
            return function

        return decorate

    def run(self) -> StartupReport:
        """Run all steps; in an event loop of their own if some are coroutine functions.

        Raises
        ------
        StartupError
            names the step that failed; its error is the `__cause__`, and `report` has all steps.
        """
        if any(step.asynchronous for step in self._steps.values()):
            import asyncio

            if asyncio._get_running_loop() is not None:
                raise RuntimeError(f"{self!r} has asynchronous steps: await run_async() in a running event loop")
            return asyncio.run(self.run_async())
        run = _Run(self, self._in_order())
        for step in run.waiting.copy():
            run.do(step)
        return run.report()

    async def run_async(self) -> StartupReport:
        """Run all steps in the running event loop.

        Raises
        ------
        StartupError
        """
        import asyncio

        run = _Run(self, self._in_order())
        try:
            while run.waiting or run.tasks:
                ready = run.ready()
                for step in ready:
                    if step.asynchronous:
                        run.tasks[asyncio.get_running_loop().create_task(run.do_async(step))] = step
                    else:
                        run.do(step)
                if ready:  # steps that waited for these may be ready now
                    await asyncio.sleep(0)
                else:
                    await asyncio.wait(run.tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in [task for task in run.tasks if task.done()]:
                    run.tasks.pop(task)
                    task.result()
        except StartupError:
            run.raise_first()
        finally:
            run.stopping = True
            for task in run.tasks:
                task.cancel()
            await asyncio.gather(*run.tasks, return_exceptions=True)
            run.complete()
        return run.report()

    def __repr__(self) -> str:
        return f"<StartupSequence {self.name}: {', '.join(self._steps) or 'no steps'}>"

    def _in_order(self) -> list[StartupStep]:
        return [self._steps[name] for name in in_order({step.name: step.after for step in self._steps.values()})]


class _Run:
    """One start in progress."""

    def __init__(self, sequence: StartupSequence, steps: list[StartupStep]) -> None:
        self._name = sequence.name
        self._monitor = sequence._monitor
        self._clock = sequence._clock
        self.waiting = steps
        self.tasks: dict[asyncio.Task[None], StartupStep] = {}
        self._results: dict[str, object] = {}
        self._records: list[StepRecord] = []
        self._error: StartupError | None = None
        self.stopping = False
        self._begun = self._clock()

    def ready(self) -> list[StartupStep]:
        """Return the steps that may start now: all coroutine functions whose needs are met, and the first such plain function."""
        ready = [step for step in self.waiting if all(name in self._results for name in step.after)]
        plain = [step for step in ready if not step.asynchronous]
        return [step for step in ready if step not in plain[1:]]

    def do(self, step: StartupStep) -> None:
        """Run a plain step."""
        with self._recorded(step):
            result = step.action(*self._arguments(step))
            if inspect.isawaitable(result):
                if inspect.iscoroutine(result):
                    result.close()
                raise TypeError("it returned an awaitable: give a coroutine function")
            self._results[step.name] = result

    async def do_async(self, step: StartupStep) -> None:
        """Run an asynchronous step."""
        with self._recorded(step):
            self._results[step.name] = await step.action(*self._arguments(step))

    def raise_first(self) -> None:
        """Raise the error of the step that failed first."""
        if self._error is not None:
            raise self._error

    def report(self) -> StartupReport:
        """Return the outcome of all steps so far."""
        left = [StepRecord(step.name, Outcome.NOT_BEGUN) for step in self.waiting]
        begun = sorted(self._records, key=lambda record: record.begin)
        seconds = max((record.begin + record.seconds for record in begun), default=0.0)
        return StartupReport(self._name, (*begun, *left), seconds)

    def complete(self) -> None:
        """Update the report of the error, once cancelled steps have ended, too."""
        if self._error is not None:
            self._error.report = self.report()

    @contextlib.contextmanager
    def _recorded(self, step: StartupStep) -> Iterator[None]:
        self.waiting.remove(step)
        begin = self._clock() - self._begun
        outcome, error = Outcome.DONE, ""
        try:
            with self._monitor.timer(self._name, step=step.name) if self._monitor else contextlib.nullcontext():
                yield
        except BaseException as problem:
            if self.stopping and not isinstance(problem, Exception):
                outcome = Outcome.CANCELLED
                raise
            outcome, error = Outcome.FAILED, f"{type(problem).__name__}: {problem}"
            if isinstance(problem, KeyboardInterrupt | SystemExit | GeneratorExit):
                raise
            failure = StartupError(step.name, error)
            failure.__cause__ = problem
            self._error = self._error or failure
            raise failure from problem
        finally:
            seconds = self._clock() - self._begun - begin
            self._records.append(StepRecord(step.name, outcome, begin, seconds, error))
            self.complete()

    def _arguments(self, step: StartupStep) -> tuple[object, ...]:
        return (dict(self._results),) if step.takes_results else ()


def _takes_results(action: Callable[..., object]) -> bool:
    """Return whether a function has a positional parameter without a default."""
    try:
        parameters = inspect.signature(action).parameters.values()
    except (TypeError, ValueError):  # written in C
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(one.kind in positional and one.default is one.empty for one in parameters)
