"""`StartupSequence`: the named steps of a program's start, each timed."""

from __future__ import annotations

import contextlib
import inspect
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from pytest_perfguard.core.tool_errors import StartupError
from pytest_perfguard.tools.startup.order import in_order
from pytest_perfguard.tools.startup.report import Outcome, StartupReport, StepRecord

if TYPE_CHECKING:
    import asyncio

F = TypeVar("F", bound=Callable[..., Any])


class Timers(Protocol):
    """A `PerformanceMonitor`."""

    def timer(self, name: str, /, **labels: str) -> AbstractContextManager[Any]:
        """Times a block."""


class Step(NamedTuple):
    """A named step."""

    name: str
    action: Callable[..., Any]
    after: tuple[str, ...]
    asynchronous: bool
    takes_results: bool


class StartupSequence:
    """Does the steps of a program's start in order, times each, and stops at the first that fails.

    A step is a function or a coroutine function. One that has a parameter without a default gets the results so far, by the names of
    the steps. Steps run in the order in which they were added, each after those that it is to come `after`; coroutine functions
    whose turn it is run at the same time. Plain functions run in the thread of the caller, one by one.

    Parameters
    ----------
    name
        of the whole, for reports and errors.
    monitor
        a `PerformanceMonitor` that times each step as `NAME{step="..."}`; in a perf test each step is then judged for itself.
    clock
        seconds, for tests.
    """

    def __init__(
        self, name: str = "startup", *, monitor: Timers | None = None, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.name = name
        self._monitor = monitor
        self._clock = clock
        self._steps: dict[str, Step] = {}

    def add(self, name: str, action: Callable[..., Any], *, after: Iterable[str] = ()) -> None:
        """Add a step."""
        if not isinstance(name, str) or not callable(action):
            raise TypeError(f"a step is a text and a function, not {name!r} and {action!r}")
        if name in self._steps:
            raise ValueError(f"there is a step {name!r} already")
        if isinstance(after, str):
            raise TypeError(f"after is {after!r}: give a list of names")
        asynchronous = any(map(inspect.iscoroutinefunction, (action, type(action).__call__)))
        self._steps[name] = Step(name, action, tuple(after), asynchronous, _takes_results(action))

    def step(self, name: str, *, after: Iterable[str] = ()) -> Callable[[F], F]:
        """`@startup.step("database", after=["configuration"])` on a function."""

        def decorate(function: F) -> F:
            self.add(name, function, after=after)
            return function

        return decorate

    def run(self) -> StartupReport:
        """Do all steps; in an event loop of its own where some are coroutine functions.

        Raises
        ------
        StartupError
            names the step that failed, which is also its `__cause__`; `report` has all that was done.
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
        """The same in the running event loop.

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
                if ready:  # what it was waited for may be ready now
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

    def _in_order(self) -> list[Step]:
        return [self._steps[name] for name in in_order({step.name: step.after for step in self._steps.values()})]


class _Run:
    """One start on its way."""

    def __init__(self, sequence: StartupSequence, steps: list[Step]) -> None:
        self._name = sequence.name
        self._monitor = sequence._monitor
        self._clock = sequence._clock
        self.waiting = steps
        self.tasks: dict[asyncio.Task[None], Step] = {}
        self._results: dict[str, Any] = {}
        self._records: list[StepRecord] = []
        self._error: StartupError | None = None
        self.stopping = False
        self._begun = self._clock()

    def ready(self) -> list[Step]:
        """Those whose turn it is: coroutine functions whose needs are met, and a plain function if it is the next."""
        ready = [step for step in self.waiting if all(name in self._results for name in step.after)]
        plain = [step for step in ready if not step.asynchronous]
        return [step for step in ready if step not in plain[1:]]

    def do(self, step: Step) -> None:
        """Do a plain step."""
        with self._recorded(step):
            result = step.action(*self._arguments(step))
            if inspect.isawaitable(result):
                if inspect.iscoroutine(result):
                    result.close()
                raise TypeError("it returned something to be awaited: give a coroutine function")
            self._results[step.name] = result

    async def do_async(self, step: Step) -> None:
        """Do an asynchronous one."""
        with self._recorded(step):
            self._results[step.name] = await step.action(*self._arguments(step))

    def raise_first(self) -> None:
        """Raise the error of the step that failed first, whichever was noticed first."""
        assert self._error is not None
        raise self._error

    def report(self) -> StartupReport:
        """What became of it so far."""
        left = [StepRecord(step.name, Outcome.NOT_BEGUN) for step in self.waiting]
        begun = sorted(self._records, key=lambda record: record.begin)
        seconds = max((record.begin + record.seconds for record in begun), default=0.0)
        return StartupReport(self._name, (*begun, *left), seconds)

    def complete(self) -> None:
        """When the steps that were cancelled have ended, too, the error's report is."""
        if self._error is not None:
            self._error.report = self.report()

    @contextlib.contextmanager
    def _recorded(self, step: Step) -> Iterator[None]:
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

    def _arguments(self, step: Step) -> tuple[Any, ...]:
        return (dict(self._results),) if step.takes_results else ()


def _takes_results(action: Callable[..., Any]) -> bool:
    """Has it a parameter that must be given?"""
    try:
        parameters = inspect.signature(action).parameters.values()
    except (TypeError, ValueError):  # written in C
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(one.kind in positional and one.default is one.empty for one in parameters)
