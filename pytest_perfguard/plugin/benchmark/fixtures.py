"""Fixtures of pytest-benchmark and pytest-codspeed. They import what they need when a test requests them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # pytest examines every attribute of a plugin
    from collections.abc import Callable, Iterator

    from pytest_perfguard.compat.fixture import BenchmarkFixture


@pytest.fixture
def benchmark(request: pytest.FixtureRequest) -> Iterator[BenchmarkFixture]:
    """Measure `benchmark(function, *args, **kwargs)` or `benchmark.pedantic(function, ...)` and return the function's result;
    `await` it for a coroutine function. In perf modes this call is the test's measurement point."""
    from pytest_perfguard.plugin.benchmark.session import session_of

    yield from session_of(request.config).fixture(request, passes_arguments=False)


@pytest.fixture
def codspeed_benchmark(request: pytest.FixtureRequest) -> Iterator[BenchmarkFixture]:
    """Measure as the fixture `benchmark` does, under pytest-codspeed's name; the `setup` of `pedantic` is called with the arguments."""
    from pytest_perfguard.plugin.benchmark.session import session_of

    yield from session_of(request.config).fixture(request, passes_arguments=True)


@pytest.fixture
def benchmark_weave(benchmark: BenchmarkFixture) -> Callable[..., None]:
    """Measure the calls that the test makes to a function: `benchmark_weave("module.function")`; needs the extra aspect."""
    return benchmark.weave
