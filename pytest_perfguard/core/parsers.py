"""Parsers of settings. Each one returns the value, or raises `SettingError` with the valid choices.

Every pytest run loads this module, hence named tuples: the definition of a dataclass takes four times as long.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Final, NamedTuple

from pytest_perfguard.core.errors import SeriesError, SettingError
from pytest_perfguard.core.option_specs import DEFAULT_METRICS as DEFAULT_METRICS
from pytest_perfguard.core.option_specs import METRICS as METRICS
from pytest_perfguard.core.option_specs import REPORT_SUFFIXES as REPORT_SUFFIXES
from pytest_perfguard.core.units import parse_duration as parse_duration
from pytest_perfguard.core.units import parse_percent as parse_percent
from pytest_perfguard.core.units import parse_size as parse_size


class MetricKind(NamedTuple):
    """Properties of a kind of metric: of the part of its name before the colon."""

    unit: str
    metric: str
    """The one of `METRICS` whose measurement yields this kind."""


#: The metrics, and the kinds that timers (`time:NAME`, `p95:NAME`) and histograms of a test add.
KINDS: Final[Mapping[str, MetricKind]] = {
    **{name: MetricKind(unit, name) for name, unit in METRICS.items()},
    "p95": MetricKind("s", "time"),
    "value": MetricKind("", "time"),
    "value-p95": MetricKind("", "time"),
}

#: Metric -> the marker's keyword for its absolute limit.
LIMIT_KEYWORDS: Final[Mapping[str, str]] = {"time": "max_time", "memory": "max_memory", "blocks": "max_allocations"}


class Floor(NamedTuple):
    """Absolute differences per iteration that are always acceptable."""

    seconds: float
    bytes: float


BENCHMARK_WORDS: Final = ("measure", "once")
#: The same bytecode at another address may differ by 2 ns. 1 KiB is less than any page of memory.
DEFAULT_FLOOR: Final = Floor(seconds=2e-9, bytes=1024.0)


def parse_metrics(value: object) -> tuple[str, ...]:
    """Return the metrics named in `time,memory` or in a list, in the order of `METRICS`, each once.

    `+instructions` adds to the default metrics.
    """
    names = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        raise SettingError(f"{value!r} is not a list of metrics such as time,memory")
    if any(name.startswith("+") for name in names):
        names = [*DEFAULT_METRICS, *(name.removeprefix("+").strip() for name in names)]
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise SettingError(f"unknown metric {unknown[0]!r} (valid: {', '.join(METRICS)})")
    return tuple(name for name in METRICS if name in names)


def parse_floor(value: object) -> Floor:
    """Return the floor in `50us`, `1KB`, `50us,1KB` or a list; the part that is not given keeps its default."""
    seconds, size = DEFAULT_FLOOR.seconds, DEFAULT_FLOOR.bytes
    for part in value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]:
        try:
            seconds = parse_duration(part)
        except SettingError:
            try:
                size = parse_size(part)
            except SettingError:
                raise SettingError(
                    f"{part!r} is neither a duration (50us) nor a size (1KB); both together: 50us,1KB"
                ) from None
    return Floor(seconds, size)


def parse_flag(value: object) -> bool:
    """Return the truth value of `true`/`false`, `yes`/`no`, `on`/`off`, `1`/`0`, or a bool."""
    if isinstance(value, bool):
        return value
    truths = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    try:
        return truths[str(value).strip().lower()]
    except KeyError:
        raise SettingError(f"{value!r} is not a truth value (valid: {', '.join(truths)})") from None


def parse_benchmark(value: object) -> str:
    """Return `measure` or `once`."""
    if value not in BENCHMARK_WORDS:
        raise SettingError(f"{value!r} is not a way to run a benchmark (valid: {', '.join(BENCHMARK_WORDS)})")
    return str(value)


#: `param:NAME` is another one.
GROUPINGS: Final = ("file", "func")
SORTS: Final = ("name", "time", "change")


def parse_group_by(value: object) -> str:
    """Return `file`, `func` or `param:NAME`."""
    text = str(value).strip()
    kind, _colon, name = text.partition(":")
    if text not in GROUPINGS and not (kind == "param" and name):
        raise SettingError(f"{value!r} is not a grouping (valid: {', '.join(GROUPINGS)}, param:NAME)")
    return text


def parse_sort(value: object) -> str:
    """Return `name`, `time` or `change`."""
    if value not in SORTS:
        raise SettingError(f"{value!r} is not an order of tests (valid: {', '.join(SORTS)})")
    return str(value)


EXPLAIN_WORDS: Final = ("auto", "on", "off")


def parse_explain(value: object) -> str:
    """`auto`, `on` or `off`; TOML files and markers may use true and false."""
    word = {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value).strip().lower()
    if word not in EXPLAIN_WORDS:
        raise SettingError(f"{value!r} does not choose when to explain (valid: {', '.join(EXPLAIN_WORDS)})")
    return word


def parse_alpha(value: object) -> float:
    """Return a probability above 0 and below 0.5, from `1%`."""
    share = parse_percent(value)
    if not 0 < share < 0.5:
        raise SettingError(f"{value!r} is not a chance of a false alarm (valid: above 0% and below 50%)")
    return share


def parse_reports(value: object) -> tuple[str, ...]:
    """Return paths whose suffixes are known report formats."""
    paths = _path_list(value, "report.html")
    for path in paths:
        if not path.endswith(REPORT_SUFFIXES):
            raise SettingError(f"{path!r} has no known report format (valid suffixes: {', '.join(REPORT_SUFFIXES)})")
    return paths


def parse_paths(value: object) -> tuple[str, ...]:
    """Return paths of files and folders, none of them empty."""
    return tuple(parse_path(path) for path in _path_list(value, "benchmarks/"))


def _path_list(value: object, example: str) -> tuple[str, ...]:
    paths = [value] if isinstance(value, str) else value
    if not isinstance(paths, list | tuple) or not all(isinstance(path, str | PurePath) for path in paths):
        raise SettingError(f"{value!r} is not a path, or a list of paths, such as {example}")
    for path in paths:
        _refuse_nul(path)
    return tuple(str(path) for path in paths)


def parse_path(value: object) -> str:
    """Return a path that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise SettingError(f"{value!r} is not a path")
    _refuse_nul(value)
    return value


def parse_url(value: object) -> str:
    """Return the URL of a Redis server."""
    if not isinstance(value, str) or not value.startswith(("redis://", "rediss://", "unix://")):
        raise SettingError(
            f"{value!r} is not the URL of a Redis server (examples: redis://HOST:PORT/NUMBER, rediss://..., unix://...)"
        )
    return value


def parse_command(value: object) -> str:
    """Return a command line with the shell's quoting, from text or a list of words."""
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
        raise SettingError(f"{value!r} contains a NUL character, which paths and commands cannot contain")


def parse_callable(value: object) -> Callable[[], object]:
    """Return an object that can be called without arguments."""
    if not callable(value):
        raise SettingError(f"{value!r} is not callable; give a function without parameters")
    return value


def parse_tails(value: object) -> Mapping[str, float]:
    """Return seconds per timer, from `{"db.query": "200ms"}`. Timers may have labels: `db.query{table="users"}`."""
    from pytest_perfguard.core.labels import read_series

    if not isinstance(value, Mapping) or not value:
        raise SettingError(f'{value!r} is not a mapping of timers to durations, such as {{"db.query": "200ms"}}')
    try:
        return {str(read_series(str(name))): parse_duration(limit) for name, limit in value.items()}
    except SeriesError as error:
        raise SettingError(str(error)) from None


def parse_count(value: object) -> float:
    """Return an average number per call, which is not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise SettingError(f"{value!r} is not a count (examples: 0, 100)")
    return float(value)
