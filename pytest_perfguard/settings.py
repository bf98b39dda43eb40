"""Every knob once: its names, type, default and help; and the one rule of precedence.

Precedence: marker > command line > ini > default. The options, the ini keys, the check of the marker's keywords and
the documentation are all made from `KNOBS`. Loaded in every pytest run, hence named tuples: a dataclass takes four
times as long to make.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from pytest_perfguard.errors import SettingError
from pytest_perfguard.units import parse_duration, parse_percent, parse_size
from pytest_perfguard.values import (
    DEFAULT_FLOOR,
    METRICS,
    REPORT_SUFFIXES,
    Floor,
    parse_alpha,
    parse_callable,
    parse_command,
    parse_flag,
    parse_floor,
    parse_metrics,
    parse_path,
    parse_reports,
)


class Settings(NamedTuple):
    """What holds for one test, resolved."""

    threshold: float
    floor: Floor
    alpha: float
    budget: float
    metrics: tuple[str, ...]
    strict: bool
    confirm: bool
    base_command: str | None
    base_python: str | None
    file: str
    report: tuple[str, ...]
    max_time: float | None
    max_memory: float | None
    setup: Callable[[], object] | None

    def as_data(self) -> dict[str, object]:
        """The settings that shape a verdict, as plain data for reports."""
        return {
            "threshold": self.threshold,
            "floor": {"s": self.floor.seconds, "B": self.floor.bytes},
            "alpha": self.alpha,
            "budget": self.budget,
            "metrics": list(self.metrics),
            "strict": self.strict,
        }


class Knob(NamedTuple):
    """One setting. `parse` takes what the user wrote and raises `SettingError`."""

    name: str
    parse: Callable[[object], Any]
    default: object
    help: str
    metavar: str | None = None
    """None: a flag."""
    option: bool = True
    """Is there a `--perf-NAME` and a `perf_NAME` ini key?"""
    marker: bool = True
    """Is there a keyword of the marker?"""
    repeatable: bool = False

    @property
    def flag(self) -> str:
        return f"--perf-{self.name.replace('_', '-')}"

    @property
    def ini(self) -> str:
        return f"perf_{self.name}"


#: What the minima of a stored baseline can hold, and what pairs can: docs/verdict.md.
STORED_THRESHOLD: Final = 0.05
PAIRED_THRESHOLD: Final = 0.03

KNOBS: Final[tuple[Knob, ...]] = (
    Knob("file", parse_path, "perf-baseline.json", "the baseline file, relative to the rootdir", "PATH", marker=False),
    Knob(
        "report",
        parse_reports,
        (),
        f"write a report, format by suffix ({', '.join(REPORT_SUFFIXES)}); may be given again",
        "PATH",
        marker=False,
        repeatable=True,
    ),
    Knob(
        "threshold",
        parse_percent,
        STORED_THRESHOLD,
        "the slowdown that you do not care about, such as 5%; 3% by default under --perf-against; at least 10% for a call "
        "above 2 ms against a stored baseline, and for tests that cannot be pinned to a CPU",
        "PERCENT",
    ),
    Knob(
        "floor",
        parse_floor,
        DEFAULT_FLOOR,
        "absolute difference per call below which nothing is a regression: a duration, a size or both (2ns,1KiB)",
        "AMOUNT",
    ),
    Knob(
        "alpha",
        parse_alpha,
        0.01,
        "chance of a false alarm for all the tests of a run together that are measured side by side",
        "PERCENT",
        marker=False,
    ),
    Knob("budget", parse_duration, 20.0, "the most measuring time per test, such as 20s", "DURATION"),
    Knob(
        "metrics",
        parse_metrics,
        tuple(METRICS),
        f"which metrics to take and judge, of {','.join(METRICS)}",
        "NAMES",
    ),
    Knob("strict", parse_flag, False, "inconclusive, incomparable and missing tests fail too", marker=False),
    Knob(
        "confirm",
        parse_flag,
        True,
        "whether --perf-compare measures side by side with the baseline's commit what the baseline file alone cannot "
        "settle: suspects, and tests recorded on another kind of machine or Python (on, off)",
        "SWITCH",
        marker=False,
    ),
    Knob(
        "base_command",
        parse_command,
        None,
        "for code that must be built: a command, run in the base's folder without a shell, that installs the base into "
        "{target}; {python} is this interpreter. Such as: {python} -m pip install --no-deps --target {target} .",
        "COMMAND",
        marker=False,
    ),
    Knob(
        "base_python",
        parse_path,
        None,
        "for code that must be built: the python of an environment that holds the base, pytest and perfguard",
        "PATH",
        marker=False,
    ),
    Knob(
        "max_time", parse_duration, None, "absolute budget: the most time one call may take", "DURATION", option=False
    ),
    Knob("max_memory", parse_size, None, "absolute budget: the highest peak of one call", "SIZE", option=False),
    Knob(
        "setup",
        parse_callable,
        None,
        "called untimed before every round of a measurement; the ordinary run does not call it",
        "CALLABLE",
        option=False,
    ),
)

MARKER_KEYWORDS: Final = tuple(knob.name for knob in KNOBS if knob.marker)


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
    for knob in KNOBS:
        places = (
            (f"{knob.name} in the marker perf of {test}", marker.get(knob.name) if knob.marker else None),
            (knob.flag, command_line.get(knob.name)),
            (f"{knob.ini} in the ini file", ini.get(knob.name)),
        )
        values[knob.name] = _first_given(knob, places, defaults.get(knob.name, knob.default))
    # A budget takes its metric, whatever else is taken.
    needed = {metric for metric in ("time", "memory") if values[f"max_{metric}"] is not None}
    values["metrics"] = tuple(name for name in METRICS if name in needed or name in values["metrics"])  # type: ignore[operator]
    return Settings(**values)  # type: ignore[arg-type]  # the names agree: checked below


def _first_given(knob: Knob, places: tuple[tuple[str, object], ...], default: object) -> object:
    for place, value in places:
        if value is not None:
            try:
                return knob.parse(value)
            except SettingError as error:
                raise SettingError(error.problem, place) from None
    return default


if {knob.name for knob in KNOBS} != set(Settings._fields):
    raise TypeError("KNOBS and Settings must name the same settings")
