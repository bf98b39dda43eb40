"""Parse and check the options of pytest-benchmark and pytest-codspeed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

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
    """Whether `--benchmark-enable` was given."""
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
    """How the files of profiles begin; None: none are written."""


def parse_options(
    options: Mapping[str, Any], *, path_like: Callable[[str], bool] = lambda _text: False
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
    if options["disable"] and options["only"] and not options["enable"]:
        raise SettingError(
            "it excludes --benchmark-disable, under which nothing is measured; omit one of them", "--benchmark-only"
        )
    limits = tuple(parse.each("compare-fail", parse_limit))
    if limits and not compare:
        raise SettingError("it needs --benchmark-compare, which names the saved run", "--benchmark-compare-fail")
    return ParsedOptions(
        measuring=_measuring(parse, options),
        skip=options["skip"] and not options["only"],
        only=options["only"],
        disabled=options["disable"] and not options["enable"],
        enabled=options["enable"],
        codspeed=options["codspeed"],
        quiet=options["quiet"] and not options["verbose"],
        json=options["json"],
        save=parse("save", parse_save),
        autosave=options["autosave"],
        save_data=options["save-data"],
        storage=options["storage"],
        compare=bool(compare),
        compared=compare if isinstance(compare, str) else None,
        limits=limits,
        sort=parse("sort", parse_sort),
        columns=parse("columns", parse_columns) or COLUMNS,
        group_by=parse("group-by", parse_grouping),
        name=parse("name", parse_name),
        time_unit=parse("time-unit", parse_time_unit),
        histogram=_last(options["histogram"]),
        csv=_last(options["csv"]),
        cprofile_top=parse("cprofile-top", parse_count),
        cprofile_dump="benchmark" if options["cprofile-dump"] is True else options["cprofile-dump"],
    )


def _measuring(parse: _OptionParser, options: Mapping[str, Any]) -> BenchmarkOptions:
    measuring = BenchmarkOptions(
        min_time=parse("min-time", parse_seconds),
        max_time=parse("max-time", parse_seconds),
        min_rounds=parse("min-rounds", parse_count),
        warmup=options["warmup"] is True or parse("warmup", parse_warmup),
        warmup_iterations=parse("warmup-iterations", parse_count),
        calibration_precision=parse("calibration-precision", parse_count),
        disable_gc=options["disable-gc"],
        precision=parse("precision", parse_fraction),
        confidence=parse("confidence", parse_fraction),
        timer=parse("timer", parse_timer),
        cprofile=options["cprofile"] is not None,
        cprofile_loops=parse("cprofile-loops", parse_loops),
        cprofile_column=parse("cprofile", parse_column) or DEFAULT_COLUMN,
    )
    if not options["codspeed"]:
        return measuring
    return measuring._replace(
        min_rounds=1,
        max_time=_or(parse("codspeed-max-time", parse_seconds), CODSPEED_MAX_TIME),
        warmup_time=_or(parse("codspeed-warmup-time", parse_seconds), CODSPEED_WARMUP_TIME),
        max_rounds=parse("codspeed-max-rounds", parse_count),
    )


class _OptionParser:
    """Parses the value of an option; errors name the flag. None: the option was not given."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options

    def __call__(self, name: str, parse: Callable[[object], Any]) -> Any:
        value = self._options[name]
        return None if value is None else self._parsed(name, value, parse)

    def each(self, name: str, parse: Callable[[object], Any]) -> Sequence[Any]:
        return [self._parsed(name, value, parse) for value in self._options[name] or ()]

    @staticmethod
    def _parsed(name: str, value: object, parse: Callable[[object], Any]) -> Any:
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


def _last(values: Sequence[str] | None) -> str | None:
    return values[-1] if values else None


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
