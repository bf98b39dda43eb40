"""Where the plugin's parts find one another in `config.stash`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from pytest_perfguard.core.measurement_points import PointServer
    from pytest_perfguard.engine.leaks.open_resources import UserCounter
    from pytest_perfguard.plugin.benchmark.session import BenchmarkSession
    from pytest_perfguard.plugin.end_checks import EndChecks
    from pytest_perfguard.plugin.fixtures.caches import PerfCache
    from pytest_perfguard.plugin.fixtures.metrics import SessionMetrics
    from pytest_perfguard.plugin.fixtures.pools import Pool
    from pytest_perfguard.plugin.result_watchers import Watching
    from pytest_perfguard.tools.monitor.monitor import PerformanceMonitor

#: In a measuring process: what serves the measurement points of the running test.
MEASURER: Final[pytest.StashKey[PointServer]] = pytest.StashKey()
#: In a run that measures: what plugins that watch results see.
WATCHING: Final[pytest.StashKey[Watching]] = pytest.StashKey()
#: The running test's own monitor.
MONITOR: Final[pytest.StashKey[PerformanceMonitor]] = pytest.StashKey()
#: What all tests of this run have recorded; there where a file of it was asked for.
SESSION_METRICS: Final[pytest.StashKey[SessionMetrics]] = pytest.StashKey()

#: What is asked of the running test at its end.
ENDINGS: Final[pytest.StashKey[list[EndChecks]]] = pytest.StashKey()
#: The pools that all tests share, by name.
SHARED_POOLS: Final[pytest.StashKey[dict[str, Pool]]] = pytest.StashKey()
#: In a measuring process: where that came from which fresh interpreters imported for the running test, by module.
FRESHLY_IMPORTED: Final[pytest.StashKey[dict[str, str]]] = pytest.StashKey()
#: Is the fixture `benchmark` ours in this run?
OFFERED: Final[pytest.StashKey[bool]] = pytest.StashKey()
#: The benchmarks of this run; there once a test asked for the fixture.
BENCHMARKS: Final[pytest.StashKey[BenchmarkSession]] = pytest.StashKey()
#: What the fixture `cache` gives to all tests of this run.
CACHE: Final[pytest.StashKey[PerfCache]] = pytest.StashKey()
#: What the running test wants counted in leak checks, too.
COUNTERS: Final[pytest.StashKey[dict[str, UserCounter]]] = pytest.StashKey()


def counters_of(request: pytest.FixtureRequest) -> dict[str, UserCounter]:
    """What the running test wants counted in leak checks, by name; forgotten at its end."""
    stash = request.config.stash
    if COUNTERS not in stash:
        stash[COUNTERS] = {}
        request.addfinalizer(lambda: stash.__delitem__(COUNTERS))
    return stash[COUNTERS]
