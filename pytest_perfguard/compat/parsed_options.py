"""Parse and check the options of pytest-benchmark and pytest-codspeed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, TypeVar

from pytest_perfguard.compat.cprofile import DEFAULT_COLUMN, parse_column, parse_loops
from pytest_perfguard.compat.grouping import (
    COLUMNS,
    parse_columns,
    parse_grouping,
    parse_name,
    parse_sort,
    parse_time_unit,
)
from pytest_perfguard.compat.limits import Limit, parse_limit
from pytest_perfguard.compat.options import (
    BenchmarkOptions,
    parse_count,
    parse_fraction,
    parse_seconds,
    parse_timer,
    parse_warmup,
)
from pytest_perfguard.compat.storage import parse_save
from pytest_perfguard.core.errors import SettingError

T = TypeVar("T")

#: pytest-codspeed's default maximum duration of all rounds, in seconds.
CODSPEED_MAX_TIME: Final = 3.0
#: pytest-codspeed's default duration of the warm-up, in seconds.
CODSPEED_WARMUP_TIME: Final = 1.0


class ParsedOptions(NamedTuple):
    """Values of the options, or their defaults."""

    measuring: BenchmarkOptions
    """Settings of each benchmark, before its marker."""
    skip: bool
    only: bool
    disabled: bool
    enabled: bool
    """True if `--benchmark-enable` was given."""
    codspeed: bool
    quiet: bool
    json: str | None
    save: str | None
    autosave: bool
    save_data: bool
    storage: str
    compare: bool
    compared: str | None
    """The saved run to compare with; None: the latest."""
    limits: tuple[Limit, ...]
    sort: str
    columns: tuple[str, ...]
    group_by: str
    name: str
    time_unit: str | None
    histogram: str | None
    csv: str | None
    cprofile_top: int
    """Rows of a profile that are shown."""
    cprofile_dump: str | None
    """Prefix of the files of profiles; None: none are written."""


def parse_options(
    options: Mapping[str, object], *, path_like: Callable[[str], bool] = lambda _text: False
) -> ParsedOptions:
    """Parse the options, given by name without `--benchmark-`; pytest-codspeed's as `codspeed`, `codspeed-mode`, ...

    `path_like` returns whether a value is a test path that an option with an optional value has consumed.

    Raises
    ------
    SettingError
        naming the option, the value and the valid values.
    """
    parse = _OptionParser(options)
    compare = options["compare"]
    for name in ("compare", "histogram", "csv", "warmup", "cprofile-dump"):
        _refuse_path(f"--benchmark-{name}", options[name], path_like)
    if parse.flag("disable") and parse.flag("only") and not parse.flag("enable"):
        raise SettingError(
            "it excludes --benchmark-disable, under which nothing is measured; omit one of them", "--benchmark-only"
        )
    limits = tuple(parse.each("compare-fail", parse_limit))
    if limits and not compare:
        raise SettingError("it needs --benchmark-compare, which names the saved run", "--benchmark-compare-fail")
    return ParsedOptions(
        measuring=_measuring(parse),
        skip=parse.flag("skip") and not parse.flag("only"),
        only=parse.flag("only"),
        disabled=parse.flag("disable") and not parse.flag("enable"),
        enabled=parse.flag("enable"),
        codspeed=parse.flag("codspeed"),
        quiet=parse.flag("quiet") and not parse.flag("verbose"),
        json=parse.given("json", str),
        save=parse.given("save", parse_save),
        autosave=parse.flag("autosave"),
        save_data=parse.flag("save-data"),
        storage=parse("storage", str),
        compare=bool(compare),
        compared=compare if isinstance(compare, str) else None,
        limits=limits,
        sort=parse("sort", parse_sort),
        columns=parse.given("columns", parse_columns) or COLUMNS,
        group_by=parse("group-by", parse_grouping),
        name=parse("name", parse_name),
        time_unit=parse.given("time-unit", parse_time_unit),
        histogram=parse.last("histogram"),
        csv=parse.last("csv"),
        cprofile_top=parse("cprofile-top", parse_count),
        cprofile_dump="benchmark" if options["cprofile-dump"] is True else parse.given("cprofile-dump", str),
    )


def _measuring(parse: _OptionParser) -> BenchmarkOptions:
    measuring = BenchmarkOptions(
        min_time=parse("min-time", parse_seconds),
        max_time=parse("max-time", parse_seconds),
        min_rounds=parse("min-rounds", parse_count),
        warmup=parse("warmup", lambda value: value is True or parse_warmup(value)),
        warmup_iterations=parse("warmup-iterations", parse_count),
        calibration_precision=parse("calibration-precision", parse_count),
        disable_gc=parse.flag("disable-gc"),
        precision=parse.given("precision", parse_fraction),
        confidence=parse("confidence", parse_fraction),
        timer=parse("timer", parse_timer),
        cprofile=parse.given("cprofile", parse_column) is not None,
        cprofile_loops=parse("cprofile-loops", parse_loops),
        cprofile_column=parse.given("cprofile", parse_column) or DEFAULT_COLUMN,
    )
    if not parse.flag("codspeed"):
        return measuring
    return measuring._replace(
        min_rounds=1,
        max_time=_or(parse.given("codspeed-max-time", parse_seconds), CODSPEED_MAX_TIME),
        warmup_time=_or(parse.given("codspeed-warmup-time", parse_seconds), CODSPEED_WARMUP_TIME),
        max_rounds=parse.given("codspeed-max-rounds", parse_count),
    )


class _OptionParser:
    """Parses the value of an option; errors name the flag."""

    def __init__(self, options: Mapping[str, object]) -> None:
        self._options = options

    def __call__(self, name: str, parse: Callable[[object], T]) -> T:
        """Return the value of an option that has a default."""
        return self._parsed(name, self._options[name], parse)

    def given(self, name: str, parse: Callable[[object], T]) -> T | None:
        """Return the value of an option without a default; None if it was not given."""
        value = self._options[name]
        return None if value is None else self._parsed(name, value, parse)

    def flag(self, name: str) -> bool:
        return bool(self._options[name])

    def each(self, name: str, parse: Callable[[object], T]) -> list[T]:
        """Return all values of an option that may be repeated."""
        values = self._options[name]
        return [self._parsed(name, value, parse) for value in values] if isinstance(values, list | tuple) else []

    def last(self, name: str) -> str | None:
        """Return the last value of an option that may be repeated; None if it was not given."""
        return next(reversed(self.each(name, str)), None)

    @staticmethod
    def _parsed(name: str, value: object, parse: Callable[[object], T]) -> T:
        try:
            return parse(value)
        except SettingError as error:
            flag = f"--{name}" if name.startswith("codspeed") else f"--benchmark-{name}"
            raise SettingError(error.problem, flag) from None


def _refuse_path(flag: str, value: object, path_like: Callable[[str], bool]) -> None:
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str) and path_like(text):
            raise SettingError(
                f"{text!r} is a test path that was read as the value of the option: write the path first, or {flag}=VALUE",
                flag,
            )


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
