"""What a user may write for a setting -> its value. Every parser raises `SettingError`, with the valid choices.

Loaded in every pytest run, hence named tuples: a dataclass takes four times as long to make.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Final, NamedTuple

from pytest_perfguard.core.errors import SeriesError, SettingError
from pytest_perfguard.core.units import parse_duration, parse_percent, parse_size

#: Metric -> unit. The time metrics come from the timed rounds, the others from passes of their own.
METRICS: Final[Mapping[str, str]] = {"time": "s", "cpu": "s", "memory": "B", "blocks": "blocks"}


class Kind(NamedTuple):
    """What a metric's name begins with, before its colon."""

    unit: str
    metric: str
    """The one of `METRICS` with which it is taken."""


#: The metrics, and what the timers (`time:NAME`, `p95:NAME`) and histograms of a test add to them.
KINDS: Final[Mapping[str, Kind]] = {
    **{name: Kind(unit, name) for name, unit in METRICS.items()},
    "p95": Kind("s", "time"),
    "value": Kind("", "time"),
    "value-p95": Kind("", "time"),
}

#: Metric -> the marker's keyword for its absolute budget.
BUDGETS: Final[Mapping[str, str]] = {"time": "max_time", "memory": "max_memory", "blocks": "max_allocations"}


class Floor(NamedTuple):
    """Absolute differences per iteration below which nothing is a regression."""

    seconds: float
    bytes: float


BENCHMARK_WORDS: Final = ("measure", "once")
REPORT_SUFFIXES: Final = (".json", ".md", ".html", ".folded", ".speedscope.json")
#: 2 ns is what the same bytecode at another address may differ by; 1 KiB is below one page of anything.
DEFAULT_FLOOR: Final = Floor(seconds=2e-9, bytes=1024.0)


def parse_metrics(value: object) -> tuple[str, ...]:
    """`time,memory` or a list of names -> the names in the table's order, each once."""
    names = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        raise SettingError(f"{value!r} is not a list of metrics such as time,memory")
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise SettingError(f"unknown metric {unknown[0]!r} (valid: {', '.join(METRICS)})")
    return tuple(name for name in METRICS if name in names)


def parse_floor(value: object) -> Floor:
    """`50us`, `1KB`, or both: `50us,1KB` or a list of them; what is not named keeps its default."""
    seconds, size = DEFAULT_FLOOR.seconds, DEFAULT_FLOOR.bytes
    for part in value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]:
        try:
            seconds = parse_duration(part)
        except SettingError:
            try:
                size = parse_size(part)
            except SettingError:
                raise SettingError(
                    f"{part!r} is neither a duration (50us) nor a size (1KB); both may be given: 50us,1KB"
                ) from None
    return Floor(seconds, size)


def parse_flag(value: object) -> bool:
    """`true`/`false`, `yes`/`no`, `on`/`off`, `1`/`0`, or a bool."""
    if isinstance(value, bool):
        return value
    truths = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    try:
        return truths[str(value).strip().lower()]
    except KeyError:
        raise SettingError(f"{value!r} is not a truth value (valid: {', '.join(truths)})") from None


def parse_benchmark(value: object) -> str:
    """`measure` or `once`."""
    if value not in BENCHMARK_WORDS:
        raise SettingError(f"{value!r} is no way to run a benchmark (valid: {', '.join(BENCHMARK_WORDS)})")
    return str(value)


EXPLAIN_WORDS: Final = ("auto", "on", "off")


def parse_explain(value: object) -> str:
    """`auto`, `on` or `off`; TOML files and markers may use true and false."""
    word = {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value).strip().lower()
    if word not in EXPLAIN_WORDS:
        raise SettingError(f"{value!r} does not choose when to explain (valid: {', '.join(EXPLAIN_WORDS)})")
    return word


def parse_alpha(value: object) -> float:
    """`1%`: a chance above nothing and below one half."""
    share = parse_percent(value)
    if not 0 < share < 0.5:
        raise SettingError(f"{value!r} is no chance of a false alarm: give one above 0% and below 50%")
    return share


def parse_reports(value: object) -> tuple[str, ...]:
    """Paths whose suffix names a format that can be written."""
    paths = [value] if isinstance(value, str) else value
    if not isinstance(paths, list | tuple) or not all(isinstance(path, str | PurePath) for path in paths):
        raise SettingError(f"{value!r} is not a path, or a list of paths, such as report.html")
    for path in paths:
        _refuse_nul(path)
        if not str(path).endswith(REPORT_SUFFIXES):
            raise SettingError(f"{path!r} has no known report format (valid suffixes: {', '.join(REPORT_SUFFIXES)})")
    return tuple(str(path) for path in paths)


def parse_path(value: object) -> str:
    """A path that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise SettingError(f"{value!r} is not a path")
    _refuse_nul(value)
    return value


def parse_url(value: object) -> str:
    """Where a Redis server is."""
    if not isinstance(value, str) or not value.startswith(("redis://", "rediss://", "unix://")):
        raise SettingError(
            f"{value!r} is no URL of a Redis server (redis://HOST:PORT/NUMBER, rediss://..., unix://...)"
        )
    return value


def parse_command(value: object) -> str:
    """A command line that the shell's rules of quoting can split, or the list of its words."""
    if isinstance(value, list) and value and all(isinstance(word, str) for word in value):
        value = shlex.join(value)
    _refuse_nul(value)
    try:
        words = shlex.split(value) if isinstance(value, str) else []
    except ValueError as error:
        raise SettingError(f"{value!r} is not a command line: {error}") from None
    if not words:
        raise SettingError(f"{value!r} is not a command line")
    return str(value)


def _refuse_nul(value: object) -> None:
    if "\0" in str(value):
        raise SettingError(f"{value!r} holds a NUL character, which no path and no command can")


def parse_callable(value: object) -> Callable[[], object]:
    """Anything that can be called without arguments."""
    if not callable(value):
        raise SettingError(f"{value!r} cannot be called; give a function without parameters")
    return value


def parse_tails(value: object) -> Mapping[str, float]:
    """`{"db.query": "200ms"}`: a duration for each timer, which may have labels: `db.query{table="users"}`."""
    from pytest_perfguard.core.labels import read_series

    if not isinstance(value, Mapping) or not value:
        raise SettingError(f'{value!r} is not a mapping of timers to durations, such as {{"db.query": "200ms"}}')
    try:
        return {str(read_series(str(name))): parse_duration(limit) for name, limit in value.items()}
    except SeriesError as error:
        raise SettingError(str(error)) from None


def parse_count(value: object) -> float:
    """How many per call, on average: a number that is not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise SettingError(f"{value!r} is not a count: give a number such as 0 or 100")
    return float(value)
