"""The object behind the fixture `benchmark`: what tests call. How it measures is up to the way that it is given."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload

from pytest_perfguard.compat.call import (
    BenchmarkCall,
    RoundSpec,
    check_rounds,
    is_coroutine_function,
)
from pytest_perfguard.compat.result import BenchmarkResult
from pytest_perfguard.core.tool_errors import FixtureAlreadyUsed

if TYPE_CHECKING:
    from pytest_perfguard.compat.strategies import Strategy

R = TypeVar("R")


class Named(NamedTuple):
    """The test that has the fixture."""

    name: str
    fullname: str
    """Its node id."""
    param: str | None = None
    params: Mapping[str, Any] | None = None


class BenchmarkFixture:
    """One measurement of one test: `benchmark(function, *args, **kwargs)`, or `benchmark.pedantic(function, ...)`.

    A coroutine function is awaited: `await benchmark(fetch, url)` measures inside the running event loop.

    Parameters
    ----------
    in_loop
        says whether the test runs inside an event loop, where a coroutine function can be awaited.
    hands_over
        is the `setup` of `pedantic` called with the arguments, as pytest-codspeed does?
    """

    def __init__(
        self,
        test: Named,
        way: Strategy,
        *,
        group: str | None = None,
        in_loop: Callable[[], bool] = lambda: False,
        hands_over: bool = False,
    ) -> None:
        self.name = test.name
        self.fullname = test.fullname
        self.param = test.param
        self.params = test.params
        self.group = group
        self.has_error = False
        self.extra_info: dict[str, Any] = {}
        self.stats: BenchmarkResult | None = None
        """What was measured; None before, and where benchmarks are disabled."""
        self.disabled = not way.measures
        """Is the function called once, so that nothing is known of its speed? A test may set it."""
        self.used = ""
        """How the measurement was made; "" where none was."""
        self.pending: Coroutine[Any, Any, Any] | None = None
        """A measurement that the test has yet to await."""
        self._way = way
        self._in_loop = in_loop
        self._hands_over = hands_over
        self._woven: list[Any] = []

    @property
    def enabled(self) -> bool:
        return not self.disabled

    @overload
    def __call__(
        self, function_to_benchmark: Callable[..., Coroutine[Any, Any, R]], *args: Any, **kwargs: Any
    ) -> Coroutine[Any, Any, R]: ...

    @overload
    def __call__(self, function_to_benchmark: Callable[..., R], *args: Any, **kwargs: Any) -> R: ...

    def __call__(self, function_to_benchmark: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Measure `function_to_benchmark(*args, **kwargs)`; returns what it returned.

        Raises
        ------
        FixtureAlreadyUsed
            for a second measurement.
        TypeError
            for a coroutine function where no event loop runs.
        """
        self._use("benchmark(...)")
        return self._measured(lambda: (BenchmarkCall(function_to_benchmark, args, kwargs), None), function_to_benchmark)

    def pedantic(
        self,
        target: Callable[..., Any],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        setup: Callable[..., Any] | None = None,
        teardown: Callable[..., Any] | None = None,
        rounds: int = 1,
        warmup_rounds: int = 0,
        iterations: int = 1,
    ) -> Any:
        """Measure so many rounds of so many calls; returns what `target` returned.

        `setup` is called before each round and may return `(args, kwargs)` for it; `teardown(*args, **kwargs)` after it.

        Raises
        ------
        ValueError, TypeError
            for numbers and arguments that cannot be meant.
        FixtureAlreadyUsed
            for a second measurement.
        """
        self._use("benchmark.pedantic(...)")
        asked = RoundSpec(rounds, warmup_rounds, iterations)

        def request() -> tuple[BenchmarkCall, RoundSpec]:
            check_rounds(asked, has_setup=setup is not None)
            return BenchmarkCall(target, args, kwargs, setup, teardown, hands_over=self._hands_over), asked

        return self._measured(request, target)

    def weave(self, target: Any, **kwargs: Any) -> None:
        """Measure whatever calls `target`, a function or its dotted name, until the end of the test; needs aspectlib.

        Raises
        ------
        MissingExtra
            where aspectlib is not installed.
        """
        try:
            from aspectlib import weave
        except ImportError:
            from pytest_perfguard.core.errors import MissingExtra

            raise MissingExtra("benchmark.weave", "aspectlib", "aspect") from None

        def measured(function: Callable[..., Any]) -> Callable[..., Any]:
            return lambda *args, **kwargs: self(function, *args, **kwargs)

        self._woven.append(weave(target, measured, **kwargs))

    patch = weave

    def close(self) -> None:
        """At the end of the test: put back what was woven, and drop what was never awaited."""
        while self._woven:
            self._woven.pop().rollback()
        if self.pending is not None:
            self.pending.close()

    def begin(self, iterations: int, options: Mapping[str, object]) -> BenchmarkResult:
        """For the way that measures: the measurement begins."""
        self.stats = BenchmarkResult(self, iterations, options)
        return self.stats

    def _use(self, how: str) -> None:
        if self.used:
            self.has_error = True
            raise FixtureAlreadyUsed(self.used)
        self.used = how

    def _measured(
        self, request: Callable[[], tuple[BenchmarkCall, RoundSpec | None]], target: Callable[..., Any]
    ) -> Any:
        try:
            work, asked = request()
            if is_coroutine_function(target):
                self._check_loop(target)
                self.pending = self._awaited(work, asked)
                return self.pending
            return self._way.run(self, work, asked)
        except Exception:
            self.has_error = True
            raise

    async def _awaited(self, work: BenchmarkCall, asked: RoundSpec | None) -> Any:
        self.pending = None
        try:
            return await self._way.run_async(self, work, asked)
        except Exception:
            self.has_error = True
            raise

    def _check_loop(self, target: object) -> None:
        if not self._in_loop():
            raise TypeError(
                f"benchmark cannot time the coroutine function {getattr(target, '__name__', target)!s} in a plain test, where "
                "only the making of its coroutine would be timed: write `async def` and `await benchmark(...)`"
            )

    def __repr__(self) -> str:
        return f"<BenchmarkFixture of {self.fullname}, {f'used in {self.used}' if self.used else 'not used'}>"
