"""Result of a benchmark: `benchmark.stats`, and the data for files and tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_perfguard.compat.stats import Stats
from pytest_perfguard.core.text import plural

if TYPE_CHECKING:
    from pstats import Stats as ProfileStats

    from pytest_perfguard.compat.fixture import BenchmarkFixture


class BenchmarkResult:
    """Result of one benchmark. `result["mean"]` equals `result.stats.mean`; `extra_info` and `has_error` are the fixture's."""

    def __init__(self, fixture: BenchmarkFixture, iterations: int, options: Mapping[str, object]) -> None:
        self.fixture = fixture
        self.name = fixture.name
        self.fullname = fixture.fullname
        self.group = fixture.group
        self.param = fixture.param
        self.params = fixture.params
        self.extra_info = fixture.extra_info
        self.options = dict(options)
        self.iterations = iterations
        self.stats = Stats()
        self.cprofile_stats: ProfileStats | None = None
        """The profile of one more call, if one was requested."""
        self.cprofile_column = ""
        """Column by which the functions of the profile are chosen."""

    @property
    def has_error(self) -> bool:
        return self.fixture.has_error

    @has_error.setter
    def has_error(self, value: bool) -> None:
        # Documented by pytest-benchmark: a hook sets it to False to include benchmarks with errors in the file.
        self.fixture.has_error = value

    def update(self, duration: float) -> None:
        """Add a round, in seconds."""
        self.stats = Stats([*self.stats.data, duration / self.iterations])

    def set_rounds(self, data: list[float], iterations: int) -> None:
        """Set all rounds, in seconds per iteration."""
        self.stats, self.iterations = Stats(data), iterations

    def keep_profile(self, stats: ProfileStats, column: str) -> None:
        """Take the profile of calls that were made after the measurement."""
        self.cprofile_stats, self.cprofile_column = stats, column

    def get(self, key: str, default: object = None) -> Any:
        try:
            return self[key]
        except AttributeError:
            return default

    def __getitem__(self, key: str) -> Any:
        return getattr(self.stats if hasattr(Stats, key) or key == "data" else self, key)

    def __bool__(self) -> bool:
        return bool(self.stats)

    def as_dict(
        self, include_data: bool = True, flat: bool = False, stats: bool = True, cprofile: str | None = None
    ) -> dict[str, object]:
        """Return an element of `benchmarks` in pytest-benchmark's files; `flat`: with the statistics at the top level.

        `cprofile` is the column by which the functions of a profile are chosen; by default the benchmark's own.
        """
        result: dict[str, object] = {
            "group": self.group,
            "name": self.name,
            "fullname": self.fullname,
            "params": self.params,
            "param": self.param,
            "extra_info": self.extra_info,
            "options": self.options,
        }
        if self.cprofile_stats is not None and not flat:
            from pytest_perfguard.compat.cprofile import MAX_SAVED, rows_of

            result["cprofile"] = rows_of(self.cprofile_stats, cprofile or self.cprofile_column, MAX_SAVED)
        if stats:
            numbers: dict[str, object] = dict(self.stats.as_dict())
            if include_data:
                numbers["data"] = self.stats.data
            numbers["iterations"] = self.iterations
            result |= numbers if flat else {"stats": numbers}
        return result

    def __repr__(self) -> str:
        return f"<BenchmarkResult {self.fullname}: {plural(self.stats.rounds, 'round')} of {self.iterations}>"
