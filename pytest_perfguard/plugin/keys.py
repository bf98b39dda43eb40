"""Where the plugin's parts find one another in `config.stash`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from pytest_perfguard.leaks.counters import Counter
    from pytest_perfguard.monitor.monitor import PerformanceMonitor
    from pytest_perfguard.monitor.points import PointServer
    from pytest_perfguard.plugin.metrics import SessionMetrics

#: In a measuring process: what serves the measurement points of the running test.
MEASURER: Final[pytest.StashKey[PointServer]] = pytest.StashKey()
#: The running test's own monitor.
MONITOR: Final[pytest.StashKey[PerformanceMonitor]] = pytest.StashKey()
#: What all tests of this run have recorded; there where a file of it was asked for.
SESSION_METRICS: Final[pytest.StashKey[SessionMetrics]] = pytest.StashKey()
#: What the running test wants counted in leak checks, too.
COUNTERS: Final[pytest.StashKey[dict[str, Counter]]] = pytest.StashKey()
