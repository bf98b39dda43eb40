"""The fixtures, each a few lines that import what they need when a test asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pytest

from pytest_perfguard.plugin.keys import COUNTERS, MEASURER, MONITOR, SESSION_METRICS

if TYPE_CHECKING:
    from pytest_perfguard.leaks.watch import MemoryWatch
    from pytest_perfguard.monitor.monitor import PerformanceMonitor

#: Fixtures of tests that look at their own output.
LOOKING_AT_OUTPUT: Final = ("capfd", "capfdbinary", "capsys", "capsysbinary")


@pytest.fixture
def perf_monitor(request: pytest.FixtureRequest) -> Iterator[PerformanceMonitor]:
    """Timers, counters, gauges, histograms and alerts of this test; `perf_monitor.measure(function, *args)` has only this
    call of the test measured, and returns its result."""
    from pytest_perfguard.monitor.monitor import PerformanceMonitor
    from pytest_perfguard.plugin.alerting import watch_alerts

    config = request.config
    monitor = PerformanceMonitor(server=config.stash.get(MEASURER, None))
    config.stash[MONITOR] = monitor
    watch_alerts(config)
    yield monitor
    monitor.stop()
    del config.stash[MONITOR]
    if (metrics := config.stash.get(SESSION_METRICS, None)) is not None:
        metrics.add(monitor)


@pytest.fixture
def perf_memory_watch(request: pytest.FixtureRequest) -> Iterator[MemoryWatch]:
    """The same as `memory_watch`, where a project has a fixture of that name itself."""
    from functools import partial

    from pytest_perfguard.leaks.watch import MemoryWatch
    from pytest_perfguard.unkept import nothing_kept

    fixtures = set(request.fixturenames)
    output = fixtures.isdisjoint(LOOKING_AT_OUTPUT)
    watch = MemoryWatch(partial(nothing_kept, output=output, records="caplog" not in fixtures))
    request.config.stash[COUNTERS] = watch.counters  # a leak check of this very test counts the same
    yield watch
    del request.config.stash[COUNTERS]


@pytest.fixture
def memory_watch(perf_memory_watch: MemoryWatch) -> MemoryWatch:
    """`memory_watch.check(function, ...)` fails if anything grows with every call; `with memory_watch(max_growth="1MB",
    resources=True):` if a block leaves more behind; `memory_watch.peak(function, ...)` tells how high memory goes."""
    return perf_memory_watch
