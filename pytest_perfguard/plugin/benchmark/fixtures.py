"""The fixtures of pytest-benchmark and pytest-codspeed; what they need is imported when a test asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_perfguard.compat.fixture import BenchmarkFixture


@pytest.fixture
def benchmark(request: pytest.FixtureRequest) -> Iterator[BenchmarkFixture]:
    """`benchmark(function, *args, **kwargs)` or `benchmark.pedantic(function, ...)` measures the function and returns its
    result; `await` it for a coroutine function. In perf modes this call is the test's measurement point."""
    from pytest_perfguard.plugin.benchmark.session import session_of

    yield from session_of(request.config).fixture(request, hands_over=False)


@pytest.fixture
def codspeed_benchmark(request: pytest.FixtureRequest) -> Iterator[BenchmarkFixture]:
    """The same under pytest-codspeed's name; `setup` of `pedantic` is called with the arguments."""
    from pytest_perfguard.plugin.benchmark.session import session_of

    yield from session_of(request.config).fixture(request, hands_over=True)


@pytest.fixture
def benchmark_weave(benchmark: BenchmarkFixture) -> Callable[..., Any]:
    """`benchmark_weave("module.function")` measures whatever calls the function; needs the extra aspect."""
    return benchmark.weave
