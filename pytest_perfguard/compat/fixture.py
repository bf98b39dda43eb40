"""Value of the fixture `benchmark`, which tests call. A strategy decides how it measures."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, Protocol, TypeVar, cast

from pytest_perfguard.compat.call import (
    BenchmarkCall,
    RoundSpec,
    check_rounds,
)
from pytest_perfguard.compat.result import BenchmarkResult
from pytest_perfguard.core.callables import must_be_awaited
from pytest_perfguard.core.tool_errors import FixtureAlreadyUsed

if TYPE_CHECKING:
    from pytest_perfguard.compat.strategies import Strategy

P = ParamSpec("P")
R = TypeVar("R")


class _Weaving(Protocol):
    """A function that aspectlib has replaced."""

    def rollback(self) -> object: ...


class BenchmarkedTest(NamedTuple):
    """The test that has the fixture."""

    name: str
    fullname: str
    """Node id."""
    param: str | None = None
    params: Mapping[str, object] | None = None


class BenchmarkFixture:
    """One measurement of one test: `benchmark(function, *args, **kwargs)`, or `benchmark.pedantic(function, ...)`.

    A coroutine function is awaited: `await benchmark(fetch, url)` measures inside the running event loop.

    Parameters
    ----------
    in_loop
        returns whether the test runs inside an event loop, where a coroutine function can be awaited.
    passes_arguments
        whether the `setup` of `pedantic` is called with the arguments, as in pytest-codspeed.
    """

    def __init__(
        self,
        test: BenchmarkedTest,
        strategy: Strategy,
        *,
        group: str | None = None,
        in_loop: Callable[[], bool] = lambda: False,
        passes_arguments: bool = False,
    ) -> None:
        self.name = test.name
        self.fullname = test.fullname
        self.param = test.param
        self.params = test.params
        self.group = group
        self.has_error = False
        self.extra_info: dict[str, Any] = {}
        self.stats: BenchmarkResult | None = None
        """Result of the measurement; None before it, and if benchmarks are disabled."""
        self.disabled = not strategy.measures
        """True if the function is called once, without measuring it. A test may set it."""
        self.used: str | None = None
        """The call that made the measurement, such as `benchmark(...)`, or None."""
        self.pending: Coroutine[object, object, object] | None = None
        """A measurement that the test has not awaited yet."""
        self._strategy = strategy
        self._in_loop = in_loop
        self._passes_arguments = passes_arguments
        self._woven: list[_Weaving] = []

    @property
    def enabled(self) -> bool:
        return not self.disabled

    def __call__(self, function_to_benchmark: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Measure `function_to_benchmark(*args, **kwargs)`, and return its result: for a coroutine function, to be awaited.

        Raises
        ------
        FixtureAlreadyUsed
            for a second measurement.
        TypeError
            for a coroutine function if no event loop runs.
        """
        self._mark_used("benchmark(...)")
        return self._measured(lambda: (BenchmarkCall(function_to_benchmark, args, kwargs), None), function_to_benchmark)

    def pedantic(
        self,
        target: Callable[..., R],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
        setup: Callable[..., object] | None = None,
        teardown: Callable[..., object] | None = None,
        rounds: int = 1,
        warmup_rounds: int = 0,
        iterations: int = 1,
    ) -> R:
        """Measure `rounds` rounds of `iterations` calls, and return the result of `target`.

        `setup` is called before each round and may return `(args, kwargs)` for it; `teardown(*args, **kwargs)` after it.

        Raises
        ------
        ValueError, TypeError
            for invalid numbers and arguments.
        FixtureAlreadyUsed
            for a second measurement.
        """
        self._mark_used("benchmark.pedantic(...)")
        spec = RoundSpec(rounds, warmup_rounds, iterations)

        def prepare() -> tuple[BenchmarkCall, RoundSpec]:
            check_rounds(spec, has_setup=setup is not None)
            return BenchmarkCall(target, args, kwargs, setup, teardown, passes_arguments=self._passes_arguments), spec

        return self._measured(prepare, target)

    def weave(self, target: object, **kwargs: object) -> None:
        """Measure the calls to `target`, a function or its dotted name, until the end of the test; needs aspectlib.

        Raises
        ------
        MissingExtra
            if aspectlib is not installed.
        """
        try:
            from aspectlib import weave
        except ImportError:
            from pytest_perfguard.core.errors import MissingExtra

            raise MissingExtra("benchmark.weave", "aspectlib", "aspect") from None

        def measured(function: Callable[..., object]) -> Callable[..., object]:
            return lambda *args, **kwargs: self(function, *args, **kwargs)

        self._woven.append(weave(target, measured, **kwargs))

    patch = weave

    def close(self) -> None:
        """At the end of the test: restore the woven functions, and close a measurement that was never awaited."""
        while self._woven:
            self._woven.pop().rollback()
        if self.pending is not None:
            self.pending.close()

    def begin(self, iterations: int, options: Mapping[str, object]) -> BenchmarkResult:
        """Begin a measurement; called by the strategy."""
        self.stats = BenchmarkResult(self, iterations, options)
        return self.stats

    def _mark_used(self, call: str) -> None:
        if self.used:
            self.has_error = True
            raise FixtureAlreadyUsed(self.used)
        self.used = call

    def _measured(self, prepare: Callable[[], tuple[BenchmarkCall, RoundSpec | None]], target: Callable[..., R]) -> R:
        try:
            call, spec = prepare()
            if must_be_awaited(target):
                self._check_loop(target)
                self.pending = self._awaited(call, spec)
                return cast("R", self.pending)
            return cast("R", self._strategy.run(self, call, spec))
        except Exception:
            self.has_error = True
            raise

    async def _awaited(self, call: BenchmarkCall, spec: RoundSpec | None) -> object:
        self.pending = None
        try:
            return await self._strategy.run_async(self, call, spec)
        except Exception:
            self.has_error = True
            raise

    def _check_loop(self, target: object) -> None:
        if not self._in_loop():
            raise TypeError(
                f"benchmark cannot time the coroutine function {getattr(target, '__name__', target)!s} in a plain test, where "
                "only the creation of its coroutine would be timed: write `async def` and `await benchmark(...)`"
            )

    def __repr__(self) -> str:
        return f"<BenchmarkFixture of {self.fullname}, {f'used in {self.used}' if self.used else 'not used'}>"
