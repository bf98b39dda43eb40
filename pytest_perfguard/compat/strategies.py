"""Strategies of the fixture `benchmark`: measure in this process, call once, do not measure, or delegate to the measurer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

from pytest_perfguard.compat.call import Arguments, BenchmarkCall, RoundSpec
from pytest_perfguard.compat.fixture import BenchmarkFixture
from pytest_perfguard.compat.loops import (
    RoundRunner,
    Stopwatch,
    refuse_coroutine,
    run_rounds,
    run_rounds_async,
)
from pytest_perfguard.compat.options import BenchmarkOptions, Timer
from pytest_perfguard.compat.plan import Round, plan_call, plan_rounds, resolution_of
from pytest_perfguard.compat.result import BenchmarkResult
from pytest_perfguard.core.measurement_points import PointServer

T = TypeVar("T")

_ONE_CALL: Final = Round(1, recorded=True, with_result=True)


class Strategy(Protocol):
    """Makes the calls and returns the result of the last one. `spec` is None for `benchmark(f)`."""

    measures: bool

    def run(self, fixture: BenchmarkFixture, call: BenchmarkCall, spec: RoundSpec | None) -> object: ...

    async def run_async(self, fixture: BenchmarkFixture, call: BenchmarkCall, spec: RoundSpec | None) -> object: ...


class Disabled:
    """`--benchmark-disable`: one call, and `stats` stays None. No `teardown`, as under pytest-benchmark."""

    measures = False

    def run(self, fixture: BenchmarkFixture, call: BenchmarkCall, spec: RoundSpec | None) -> object:
        args, kwargs = call.arguments()
        result = call.target(*args, **kwargs)
        refuse_coroutine(result)
        return result

    async def run_async(self, fixture: BenchmarkFixture, call: BenchmarkCall, spec: RoundSpec | None) -> object:
        args, kwargs = await call.arguments_async()
        return await call.coroutine_function(*args, **kwargs)


class RunOnce:
    """One timed call, so that a test can read `stats`. The result appears in no table or file."""

    measures = False

    def __init__(self, options: BenchmarkOptions) -> None:
        self._options = options

    def run(self, fixture: BenchmarkFixture, call: BenchmarkCall, spec: RoundSpec | None) -> object:
        arguments = call.arguments()
        seconds, result = Stopwatch(time.perf_counter).time_calls(call, arguments, _ONE_CALL)
        refuse_coroutine(result)
        self._record(fixture, seconds)
        call.finish(arguments)
        return result

    async def run_async(self, fixture: BenchmarkFixture, call: BenchmarkCall, spec: RoundSpec | None) -> object:
        arguments = await call.arguments_async()
        seconds, result = await Stopwatch(time.perf_counter).time_awaits(call, arguments, _ONE_CALL)
        self._record(fixture, seconds)
        await call.finish_async(arguments)
        return result

    def _record(self, fixture: BenchmarkFixture, seconds: float) -> None:
        fixture.begin(1, self._options.as_data()).set_rounds([seconds], 1)


class InProcess:
    """Measure in this process, with the number of rounds that pytest-benchmark would make."""

    measures = True

    def __init__(
        self,
        options: BenchmarkOptions,
        on_result: Callable[[BenchmarkResult], object] = lambda _result: None,
        resolution: Callable[[Timer], float] = resolution_of,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._options = options
        self._on_result = on_result
        self._resolution = resolution
        self._now = now

    def run(self, fixture: BenchmarkFixture, call: BenchmarkCall, spec: RoundSpec | None) -> object:
        if fixture.disabled:  # by the test itself
            return Disabled().run(fixture, call, spec)
        rounds = self._rounds(spec)
        with self._recording(fixture, rounds, spec):
            run_rounds(rounds, call, self._stopwatch)
        if self._options.cprofile and fixture.stats is not None:
            from pytest_perfguard.compat.cprofile import profile_call

            loops = self._options.cprofile_loops or rounds.iterations
            fixture.stats.keep_profile(profile_call(call, loops), self._options.cprofile_column)
        if not _needs_another(spec):
            return rounds.result
        arguments = call.arguments()
        args, kwargs = arguments
        result = call.target(*args, **kwargs)
        call.finish(arguments)
        return result

    async def run_async(self, fixture: BenchmarkFixture, call: BenchmarkCall, spec: RoundSpec | None) -> object:
        if fixture.disabled:
            return await Disabled().run_async(fixture, call, spec)
        rounds = self._rounds(spec)
        with self._recording(fixture, rounds, spec):
            await run_rounds_async(rounds, call, self._stopwatch)
        if self._options.cprofile and fixture.stats is not None:
            from pytest_perfguard.compat.cprofile import profile_call_async

            loops = self._options.cprofile_loops or rounds.iterations
            fixture.stats.keep_profile(await profile_call_async(call, loops), self._options.cprofile_column)
        if not _needs_another(spec):
            return rounds.result
        arguments = await call.arguments_async()
        args, kwargs = arguments
        result = await call.coroutine_function(*args, **kwargs)
        await call.finish_async(arguments)
        return result

    @contextlib.contextmanager
    def _recording(self, fixture: BenchmarkFixture, rounds: RoundRunner, spec: RoundSpec | None) -> Iterator[None]:
        """Record the rounds in the fixture's `stats`, also if a call raises, except during the calibration of `benchmark(f)`."""
        try:
            yield
        finally:
            if spec is not None or rounds.data:
                result = fixture.begin(rounds.iterations, self._options.as_data())
                self._on_result(result)
                result.set_rounds(rounds.data, rounds.iterations)

    @property
    def _stopwatch(self) -> Stopwatch:
        return Stopwatch(self._options.timer, disable_gc=self._options.disable_gc)

    def _rounds(self, spec: RoundSpec | None) -> RoundRunner:
        if spec is not None:
            return RoundRunner(plan_rounds(spec.rounds, spec.warmup_rounds, spec.iterations))
        return RoundRunner(plan_call(self._options, self._resolution(self._options.timer), self._now))


class Measurer(PointServer, Protocol):
    """Server of measurement points that knows the rounds of its latest measurement."""

    @property
    def last_rounds(self) -> Sequence[float]:
        """Rounds of the latest measurement, in seconds per call."""


class Delegated:
    """Strategy of a measuring process: the call is the test's measurement point, and the controller plans its rounds."""

    measures = True

    def __init__(self, options: BenchmarkOptions, measurer: Measurer) -> None:
        self._options = options
        self._measurer = measurer

    def run(self, fixture: BenchmarkFixture, call: BenchmarkCall, spec: RoundSpec | None) -> object:
        if not call.has_setup_or_teardown:
            result = self._measurer.measure(_bound(call.target, call.arguments()), "")
        else:
            prepared = _PreparedCall(call, call.target)
            try:
                result = self._measurer.measure(prepared.call, "", prepared.prepare)
            finally:
                prepared.finish()
        refuse_coroutine(result)
        self._record(fixture)
        return result

    async def run_async(self, fixture: BenchmarkFixture, call: BenchmarkCall, spec: RoundSpec | None) -> object:
        if not call.has_setup_or_teardown:
            result = await self._measurer.measure_async(_bound(call.coroutine_function, call.arguments()), "")
        else:
            prepared = _PreparedCall(call, call.coroutine_function)
            try:
                result = await self._measurer.measure_async(prepared.call, "", prepared.prepare_async)
            finally:
                await prepared.finish_async()
        self._record(fixture)
        return result

    def _record(self, fixture: BenchmarkFixture) -> None:
        fixture.begin(1, self._options.as_data()).set_rounds(list(self._measurer.last_rounds), 1)


class SetupMissing(RuntimeError):
    """A call was made without its `setup`, which prepares one call: the measurer must make one call per round."""


class _PreparedCall(Generic[T]):
    """A call whose `setup` provides the arguments of the next round, and whose `teardown` gets those of the last one."""

    def __init__(self, call: BenchmarkCall, target: Callable[..., T]) -> None:
        self._call = call
        self._target = target
        self._next: Arguments | None = None
        self._due: Arguments | None = None

    def call(self) -> T:
        arguments = self._next
        if arguments is None:
            raise SetupMissing("its setup prepares one call")
        self._due = arguments
        if self._call.has_setup:
            self._next = None
        args, kwargs = arguments
        return self._target(*args, **kwargs)

    def prepare(self) -> None:
        self.finish()
        self._next = self._call.arguments()

    async def prepare_async(self) -> None:
        await self.finish_async()
        self._next = await self._call.arguments_async()

    def finish(self) -> None:
        if self._due is not None:
            due, self._due = self._due, None
            self._call.finish(due)

    async def finish_async(self) -> None:
        if self._due is not None:
            due, self._due = self._due, None
            await self._call.finish_async(due)


def _bound(target: Callable[..., T], arguments: Arguments) -> Callable[[], T]:
    args, kwargs = arguments
    return partial(target, *args, **kwargs) if args or kwargs else target


def _needs_another(spec: RoundSpec | None) -> bool:
    """Return whether the result comes from an extra call: as in pytest-benchmark, if the calls of a round are made in a loop."""
    return spec is None or spec.iterations > 1
