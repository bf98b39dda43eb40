"""Where the plugin's parts find one another in `config.stash`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from pytest_perfguard.leaks.counters import Counter
    from pytest_perfguard.monitor.monitor import Measurer

#: In a measuring process: what serves the measurement points of the running test.
MEASURER: Final[pytest.StashKey[Measurer]] = pytest.StashKey()
#: What the running test wants counted in leak checks, too.
COUNTERS: Final[pytest.StashKey[dict[str, Counter]]] = pytest.StashKey()
