"""Resolved settings of a test, and their precedence: marker > command line > ini > default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from pytest_perfguard.core.errors import SettingError
from pytest_perfguard.core.option_specs import MARKER_KEYWORDS, OPTION_SPECS, PAIRED_THRESHOLD, OptionSpec
from pytest_perfguard.core.parsers import DEFAULT_FLOOR, LIMIT_KEYWORDS, METRICS, Floor


class Settings(NamedTuple):
    """Settings of one test."""

    threshold: float
    """Relative slowdown that is acceptable where the baseline file decides."""
    floor: Floor
    alpha: float
    budget: float
    metrics: tuple[str, ...]
    metrics_file: str | None
    redis_url: str | None
    group_by: str
    sort: str | None
    strict: bool
    confirm: bool
    explain: str
    benchmark: str
    base_command: str | None
    base_python: str | None
    file: str
    paths: tuple[str, ...]
    report: tuple[str, ...]
    max_time: float | None
    max_memory: float | None
    max_allocations: float | None
    max_p95: Mapping[str, float] | None
    leaks: bool
    max_rss_growth: float | None
    setup: Callable[[], object] | None
    paired_threshold: float
    """Relative slowdown that is acceptable where pairs decide: `threshold` if it was given."""

    @property
    def has_limits(self) -> bool:
        """True if there is an absolute limit, which needs no baseline."""
        return any(getattr(self, keyword) is not None for keyword in (*LIMIT_KEYWORDS.values(), "max_p95"))

    @property
    def checks_leaks(self) -> bool:
        """True if a leak check calls the test repeatedly."""
        return self.leaks or self.max_rss_growth is not None

    def for_pairs(self) -> Settings:
        """Return the settings of a verdict by pairs, which detect smaller slowdowns than the baseline file."""
        return self._replace(threshold=self.paired_threshold)

    def as_data(self) -> dict[str, object]:
        """Return the settings that influence a verdict, as plain data for reports."""
        return {
            "threshold": self.threshold,
            "paired_threshold": self.paired_threshold,
            "floor": {"s": self.floor.seconds, "B": self.floor.bytes},
            "alpha": self.alpha,
            "budget": self.budget,
            "metrics": list(self.metrics),
            "strict": self.strict,
            "leaks": self.leaks,
        }


def resolve(
    *,
    marker: Mapping[str, object],
    command_line: Mapping[str, object],
    ini: Mapping[str, object],
    test: str = "",
) -> Settings:
    """Return the settings of one test. A name that is absent or None in a source was not given there.

    Raises
    ------
    SettingError
        with the value, its source and the valid choices.
    """
    unknown = sorted(set(marker) - set(MARKER_KEYWORDS))
    if unknown:
        raise SettingError(
            f"unknown keyword {unknown[0]!r} (valid: {', '.join(MARKER_KEYWORDS)})", f"marker perf of {test}"
        )
    values: dict[str, object] = {}
    for spec in OPTION_SPECS:
        places = (
            (f"{spec.name} in the marker perf of {test}", marker.get(spec.name) if spec.marker else None),
            (spec.flag, command_line.get(spec.name)),
            (f"{spec.ini} in the ini file", ini.get(spec.name)),
        )
        values[spec.name] = _first_given(spec, places)
    given = {name: value for name, value in values.items() if value is not None}
    values = {**{spec.name: spec.default for spec in OPTION_SPECS}, **given}
    values["paired_threshold"] = given.get("threshold", PAIRED_THRESHOLD)
    values["floor"] = values["floor"] or DEFAULT_FLOOR
    # A limit adds its metric to the requested ones.
    needed = {metric for metric, keyword in LIMIT_KEYWORDS.items() if values[keyword] is not None}
    needed |= {"time"} if values["max_p95"] is not None else set()
    values["metrics"] = tuple(name for name in METRICS if name in needed or name in values["metrics"])  # type: ignore[operator]
    return Settings(**values)  # type: ignore[arg-type]  # the names agree: checked below


def _first_given(spec: OptionSpec, places: tuple[tuple[str, object], ...]) -> object:
    """Return the parsed value of the first place that has one; None if no place has."""
    for place, value in places:
        if value is not None:
            try:
                return spec.parse(value)
            except SettingError as error:
                raise SettingError(error.problem, place) from None
    return None


if {spec.name for spec in OPTION_SPECS} != set(Settings._fields) - {"paired_threshold"}:
    raise TypeError("OPTION_SPECS and Settings must have the same names")
