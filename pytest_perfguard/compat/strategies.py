"""How the fixture `benchmark` measures: here and now, once, not at all, or by handing its call to who measures."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, Protocol

from pytest_perfguard.compat.call import Arguments, BenchmarkCall, RoundSpec
from pytest_perfguard.compat.fixture import BenchmarkFixture
from pytest_perfguard.compat.loops import Measuring, Stopwatch, obey, obey_async, refuse_coroutine
from pytest_perfguard.compat.options import BenchmarkOptions, Timer
from pytest_perfguard.compat.plan import Round, plan_call, plan_rounds, resolution_of
from pytest_perfguard.compat.result import BenchmarkResult

_ONE_CALL: Final = Round(1, kept=True, with_result=True)


class Strategy(Protocol):
    """Makes the calls; returns what the last of them returned. `asked` is None for `benchmark(f)`."""

    measures: bool

    def run(self, fixture: BenchmarkFixture, work: BenchmarkCall, asked: RoundSpec | None) -> Any: ...

    async def run_async(self, fixture: BenchmarkFixture, work: BenchmarkCall, asked: RoundSpec | None) -> Any: ...


class Disabled:
    """`--benchmark-disable`: one call, and `stats` stays None. No `teardown`, as under pytest-benchmark."""

    measures = False

    def run(self, fixture: BenchmarkFixture, work: BenchmarkCall, asked: RoundSpec | None) -> Any:
        args, kwargs = work.arguments()
        result = work.target(*args, **kwargs)
        refuse_coroutine(result)
        return result

    async def run_async(self, fixture: BenchmarkFixture, work: BenchmarkCall, asked: RoundSpec | None) -> Any:
        args, kwargs = await work.arguments_async()
        return await work.target(*args, **kwargs)


class RunOnce:
    """One call that is timed, so that a test which looks at `stats` finds some; nobody is told of it."""

    measures = False

    def __init__(self, choices: BenchmarkOptions) -> None:
        self._choices = choices

    def run(self, fixture: BenchmarkFixture, work: BenchmarkCall, asked: RoundSpec | None) -> Any:
        arguments = work.arguments()
        seconds, result = Stopwatch(time.perf_counter).time_calls(work, arguments, _ONE_CALL)
        refuse_coroutine(result)
        self._keep(fixture, seconds)
        work.finish(arguments)
        return result

    async def run_async(self, fixture: BenchmarkFixture, work: BenchmarkCall, asked: RoundSpec | None) -> Any:
        arguments = await work.arguments_async()
        seconds, result = await Stopwatch(time.perf_counter).time_awaits(work, arguments, _ONE_CALL)
        self._keep(fixture, seconds)
        await work.finish_async(arguments)
        return result

    def _keep(self, fixture: BenchmarkFixture, seconds: float) -> None:
        fixture.begin(1, self._choices.as_data()).take([seconds], 1)


class InProcess:
    """In this process, now: as many rounds as pytest-benchmark would make."""

    measures = True

    def __init__(
        self,
        choices: BenchmarkOptions,
        tell: Callable[[BenchmarkResult], object] = lambda _finished: None,
        resolution: Callable[[Timer], float] = resolution_of,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._choices = choices
        self._tell = tell
        self._resolution = resolution
        self._now = now

    def run(self, fixture: BenchmarkFixture, work: BenchmarkCall, asked: RoundSpec | None) -> Any:
        if fixture.disabled:  # by the test itself
            return Disabled().run(fixture, work, asked)
        measuring = self._measuring(asked)
        with self._kept(fixture, measuring, asked):
            obey(measuring, work, self._watch)
        if self._choices.cprofile and fixture.stats is not None:
            from pytest_perfguard.compat.cprofile import profile_call

            loops = self._choices.cprofile_loops or measuring.iterations
            fixture.stats.keep_profile(profile_call(work, loops), self._choices.cprofile_column)
        if not _needs_another(asked):
            return measuring.result
        arguments = work.arguments()
        args, kwargs = arguments
        result = work.target(*args, **kwargs)
        work.finish(arguments)
        return result

    async def run_async(self, fixture: BenchmarkFixture, work: BenchmarkCall, asked: RoundSpec | None) -> Any:
        if fixture.disabled:
            return await Disabled().run_async(fixture, work, asked)
        measuring = self._measuring(asked)
        with self._kept(fixture, measuring, asked):
            await obey_async(measuring, work, self._watch)
        if self._choices.cprofile and fixture.stats is not None:
            from pytest_perfguard.compat.cprofile import profile_call_async

            loops = self._choices.cprofile_loops or measuring.iterations
            fixture.stats.keep_profile(await profile_call_async(work, loops), self._choices.cprofile_column)
        if not _needs_another(asked):
            return measuring.result
        arguments = await work.arguments_async()
        args, kwargs = arguments
        result = await work.target(*args, **kwargs)
        await work.finish_async(arguments)
        return result

    @contextlib.contextmanager
    def _kept(self, fixture: BenchmarkFixture, measuring: Measuring, asked: RoundSpec | None) -> Iterator[None]:
        """The rounds become the fixture's `stats`, also where one raises; none where `benchmark(f)` raises while it is calibrated."""
        try:
            yield
        finally:
            if asked is not None or measuring.data:
                finished = fixture.begin(measuring.iterations, self._choices.as_data())
                self._tell(finished)
                finished.take(measuring.data, measuring.iterations)

    @property
    def _watch(self) -> Stopwatch:
        return Stopwatch(self._choices.timer, disable_gc=self._choices.disable_gc)

    def _measuring(self, asked: RoundSpec | None) -> Measuring:
        if asked is not None:
            return Measuring(plan_rounds(asked.rounds, asked.warmup_rounds, asked.iterations))
        return Measuring(plan_call(self._choices, self._resolution(self._choices.timer), self._now))


class Server(Protocol):
    """Who measures in a measuring process; `setup` is called untimed before every round."""

    def measure(self, call: Callable[[], object], label: str, setup: Callable[[], object] | None = None) -> object: ...

    async def measure_async(
        self, call: Callable[[], Awaitable[object]], label: str, setup: Callable[[], object] | None = None
    ) -> object: ...

    @property
    def last_rounds(self) -> Sequence[float]:
        """Of the latest measurement, in seconds per call."""


class Delegated:
    """In a measuring process: the call is the test's measurement point; how often it is made is the controller's choice."""

    measures = True

    def __init__(self, choices: BenchmarkOptions, server: Server) -> None:
        self._choices = choices
        self._server = server

    def run(self, fixture: BenchmarkFixture, work: BenchmarkCall, asked: RoundSpec | None) -> Any:
        if not work.is_arranged:
            result = self._server.measure(_plain_call(work), "")
        else:
            arranged = _Arranged(work)
            try:
                result = self._server.measure(arranged.call, "", arranged.prepare)
            finally:
                arranged.finish()
        refuse_coroutine(result)
        self._keep(fixture)
        return result

    async def run_async(self, fixture: BenchmarkFixture, work: BenchmarkCall, asked: RoundSpec | None) -> Any:
        if not work.is_arranged:
            result = await self._server.measure_async(_plain_call(work), "")
        else:
            arranged = _Arranged(work)
            try:
                result = await self._server.measure_async(arranged.call, "", arranged.prepare_async)
            finally:
                await arranged.finish_async()
        self._keep(fixture)
        return result

    def _keep(self, fixture: BenchmarkFixture) -> None:
        fixture.begin(1, self._choices.as_data()).take(list(self._server.last_rounds), 1)


class CalledTwice(RuntimeError):
    """A `setup` prepares one call; whoever measures then makes one call per round."""


class _Arranged:
    """Keeps the arguments that `setup` made for the next round, and those for which `teardown` is due."""

    def __init__(self, work: BenchmarkCall) -> None:
        self._work = work
        self._next: Arguments | None = None
        self._due: Arguments | None = None

    def call(self) -> Any:
        arguments = self._next
        if arguments is None:
            raise CalledTwice("its setup prepares one call")
        self._due = arguments
        if self._work.is_prepared:
            self._next = None
        args, kwargs = arguments
        return self._work.target(*args, **kwargs)

    def prepare(self) -> None:
        self.finish()
        self._next = self._work.arguments()

    async def prepare_async(self) -> None:
        await self.finish_async()
        self._next = await self._work.arguments_async()

    def finish(self) -> None:
        if self._due is not None:
            due, self._due = self._due, None
            self._work.finish(due)

    async def finish_async(self) -> None:
        if self._due is not None:
            due, self._due = self._due, None
            await self._work.finish_async(due)


def _plain_call(work: BenchmarkCall) -> Callable[[], Any]:
    args, kwargs = work.arguments()
    return partial(work.target, *args, **kwargs) if args or kwargs else work.target


def _needs_another(asked: RoundSpec | None) -> bool:
    """Is the result that of a call of its own? As under pytest-benchmark: where the calls of a round are made in a loop."""
    return asked is None or asked.iterations > 1
