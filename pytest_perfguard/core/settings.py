"""What holds for one test, and the one rule of precedence: marker > command line > ini > default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from pytest_perfguard.core.errors import SettingError
from pytest_perfguard.core.option_specs import MARKER_KEYWORDS, OPTION_SPECS, OptionSpec
from pytest_perfguard.core.parsers import BUDGETS, METRICS, Floor


class Settings(NamedTuple):
    """What holds for one test, resolved."""

    threshold: float
    floor: Floor
    alpha: float
    budget: float
    metrics: tuple[str, ...]
    metrics_file: str | None
    redis_url: str | None
    strict: bool
    confirm: bool
    explain: str
    benchmark: str
    base_command: str | None
    base_python: str | None
    file: str
    report: tuple[str, ...]
    max_time: float | None
    max_memory: float | None
    max_allocations: float | None
    max_p95: Mapping[str, float] | None
    leaks: bool
    max_rss_growth: float | None
    setup: Callable[[], object] | None

    @property
    def has_budget(self) -> bool:
        """Is there an absolute budget, which needs nothing to compare with?"""
        return any(getattr(self, keyword) is not None for keyword in (*BUDGETS.values(), "max_p95"))

    @property
    def examined(self) -> bool:
        """Is the test called again and again to see what it leaves behind?"""
        return self.leaks or self.max_rss_growth is not None

    def as_data(self) -> dict[str, object]:
        """The settings that shape a verdict, as plain data for reports."""
        return {
            "threshold": self.threshold,
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
    defaults: Mapping[str, object] = MappingProxyType({}),
) -> Settings:
    """One test's settings from the three places; a name that is absent or None was not given there.

    `defaults` are the mode's own, where they differ from the table's.

    Raises
    ------
    SettingError
        naming the value, the place and the valid choices.
    """
    unknown = sorted(set(marker) - set(MARKER_KEYWORDS))
    if unknown:
        raise SettingError(
            f"unknown keyword {unknown[0]!r} (valid: {', '.join(MARKER_KEYWORDS)})", f"marker perf of {test}"
        )
    values: dict[str, object] = {}
    for knob in OPTION_SPECS:
        places = (
            (f"{knob.name} in the marker perf of {test}", marker.get(knob.name) if knob.marker else None),
            (knob.flag, command_line.get(knob.name)),
            (f"{knob.ini} in the ini file", ini.get(knob.name)),
        )
        values[knob.name] = _first_given(knob, places, defaults.get(knob.name, knob.default))
    # A budget takes its metric, whatever else is taken.
    needed = {metric for metric, keyword in BUDGETS.items() if values[keyword] is not None}
    needed |= {"time"} if values["max_p95"] is not None else set()
    values["metrics"] = tuple(name for name in METRICS if name in needed or name in values["metrics"])  # type: ignore[operator]
    return Settings(**values)  # type: ignore[arg-type]  # the names agree: checked below


def _first_given(knob: OptionSpec, places: tuple[tuple[str, object], ...], default: object) -> object:
    for place, value in places:
        if value is not None:
            try:
                return knob.parse(value)
            except SettingError as error:
                raise SettingError(error.problem, place) from None
    return default


if {knob.name for knob in OPTION_SPECS} != set(Settings._fields):
    raise TypeError("KNOBS and Settings must name the same settings")
