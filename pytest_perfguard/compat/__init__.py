"""What suites written for pytest-benchmark and pytest-codspeed know: the `benchmark` fixture, its statistics and files.

`from pytest_perfguard.compat import BenchmarkFixture` is for annotations.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_perfguard.compat.fixture import BenchmarkFixture
    from pytest_perfguard.core.tool_errors import FixtureAlreadyUsed

__all__ = ["BenchmarkFixture", "FixtureAlreadyUsed"]


def __getattr__(name: str) -> object:
    """Loaded on first use: the plugin imports rooms of this package one by one."""
    if name == "BenchmarkFixture":
        from pytest_perfguard.compat.fixture import BenchmarkFixture

        return BenchmarkFixture
    if name == "FixtureAlreadyUsed":
        from pytest_perfguard.core.tool_errors import FixtureAlreadyUsed

        return FixtureAlreadyUsed
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
