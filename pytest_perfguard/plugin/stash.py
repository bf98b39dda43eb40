"""Keys of `config.stash`, through which the modules of the plugin share objects, and what is recorded before it exists."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

import pytest

if TYPE_CHECKING:
    from pytest_perfguard.core.settings import Settings
    from pytest_perfguard.engine.leaks.open_resources import UserCounter
    from pytest_perfguard.plugin.benchmark.session import BenchmarkSession
    from pytest_perfguard.plugin.end_checks import EndCheck
    from pytest_perfguard.plugin.fixtures.caches import PerfCache
    from pytest_perfguard.plugin.fixtures.metrics import SessionMetrics
    from pytest_perfguard.plugin.fixtures.pools import Pool
    from pytest_perfguard.plugin.result_watchers import ResultWatchers
    from pytest_perfguard.plugin.worker_session import MeasuringSession
    from pytest_perfguard.tools.monitor.monitor import PerformanceMonitor

#: Environment variables when a run loaded the plugin, by its plugin manager: runs within one process may be nested.
ENVIRONMENTS: Final[WeakKeyDictionary[pytest.PytestPluginManager, dict[str, str]]] = WeakKeyDictionary()
#: Settings of the run: command line, ini file, defaults.
SETTINGS: Final[pytest.StashKey[Settings]] = pytest.StashKey()
#: Settings of each perf test, by node id.
TEST_SETTINGS: Final[pytest.StashKey[dict[str, Settings]]] = pytest.StashKey()
#: In a measuring process: the server of the running test's measurement points.
MEASURER: Final[pytest.StashKey[MeasuringSession]] = pytest.StashKey()
#: In a run that measures: what defers results for plugins that watch them.
WATCHERS: Final[pytest.StashKey[ResultWatchers]] = pytest.StashKey()
#: The running test's monitor.
MONITOR: Final[pytest.StashKey[PerformanceMonitor]] = pytest.StashKey()
#: Metrics of all tests of this run; only with `--perf-metrics-file`.
SESSION_METRICS: Final[pytest.StashKey[SessionMetrics]] = pytest.StashKey()

#: Checks to make at the end of the running test.
END_CHECKS: Final[pytest.StashKey[list[EndCheck]]] = pytest.StashKey()
#: Pools that all tests share, by name.
SHARED_POOLS: Final[pytest.StashKey[dict[str, Pool]]] = pytest.StashKey()
#: In a measuring process: origins of the modules that fresh interpreters imported for the running test, by module.
FRESHLY_IMPORTED: Final[pytest.StashKey[dict[str, str]]] = pytest.StashKey()
#: Whether perfguard provides the fixture `benchmark` in this run.
OFFERED: Final[pytest.StashKey[bool]] = pytest.StashKey()
#: Benchmarks of this run; present once a test has requested the fixture.
BENCHMARKS: Final[pytest.StashKey[BenchmarkSession]] = pytest.StashKey()
#: The value of the fixture `cache`, the same for all tests of this run.
CACHE: Final[pytest.StashKey[PerfCache]] = pytest.StashKey()
#: Counters that the running test adds to its leak checks.
COUNTERS: Final[pytest.StashKey[dict[str, UserCounter]]] = pytest.StashKey()


def record_environment(manager: pytest.PytestPluginManager) -> None:
    """Record the environment variables when the run loads the plugin."""
    ENVIRONMENTS[manager] = dict(os.environ)


def counters_of(request: pytest.FixtureRequest) -> dict[str, UserCounter]:
    """Return the counters that the running test adds to its leak checks, by name; removed when the test ends."""
    stash = request.config.stash
    if COUNTERS not in stash:
        stash[COUNTERS] = {}
        request.addfinalizer(lambda: stash.__delitem__(COUNTERS))
    return stash[COUNTERS]
