"""pytest-benchmark's and pytest-codspeed's object model: the `benchmark` fixture, its statistics and its files.

Annotate tests with `from pytest_perfguard.compat import BenchmarkFixture`.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_perfguard.compat.fixture import BenchmarkFixture
    from pytest_perfguard.core.tool_errors import FixtureAlreadyUsed

__all__ = ["BenchmarkFixture", "FixtureAlreadyUsed"]


if not TYPE_CHECKING:  # type checkers would accept any name: they know the names from the imports above

    def __getattr__(name: str) -> object:
        """Load public names on first use (PEP 562): the plugin imports modules of this package one by one."""
        if name == "BenchmarkFixture":
            from pytest_perfguard.compat.fixture import BenchmarkFixture

            return BenchmarkFixture
        if name == "FixtureAlreadyUsed":
            from pytest_perfguard.core.tool_errors import FixtureAlreadyUsed

            return FixtureAlreadyUsed
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names, loaded or not, and the attributes that every module has."""
    return sorted({*__all__, *(name for name in globals() if name.startswith("_"))})
