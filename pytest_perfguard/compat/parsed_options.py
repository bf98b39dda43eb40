"""What a command line with pytest-benchmark's and pytest-codspeed's options asks for, checked, as one frozen value."""

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

#: pytest-codspeed's default for the time that all rounds may take.
CODSPEED_MAX_TIME: Final = 3.0
#: Its warm-up, in seconds.
CODSPEED_WARMUP_TIME: Final = 1.0


class ParsedOptions(NamedTuple):
    """What the options say. What an option says that was not given is its default."""

    choices: BenchmarkOptions
    skip: bool
    only: bool
    disabled: bool
    enabled: bool
    """Explicitly."""
    codspeed: bool
    quiet: bool
    json: str | None
    save: str | None
    autosave: bool
    save_data: bool
    storage: str
    compare: bool
    compared: str | None
    """Which saved run; None: the latest."""
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


def requested(options: Mapping[str, Any], *, path_like: Callable[[str], bool] = lambda _text: False) -> ParsedOptions:
    """From the options by name, without `--benchmark-`; those of pytest-codspeed as `codspeed`, `codspeed-mode`, ...

    `path_like` says of a value whether it is a test path, which an option with an optional value has swallowed.

    Raises
    ------
    SettingError
        which names the option, the value and the valid choices.
    """
    read = _Reader(options)
    compare = options["compare"]
    for name in ("compare", "histogram", "csv", "warmup", "cprofile-dump"):
        _refuse_swallowed(f"--benchmark-{name}", options[name], path_like)
    if options["disable"] and options["only"] and not options["enable"]:
        raise SettingError("it excludes --benchmark-disable: nothing would be measured", "--benchmark-only")
    limits = tuple(read.each("compare-fail", parse_limit))
    if limits and not compare:
        raise SettingError("it needs --benchmark-compare, which names the saved run", "--benchmark-compare-fail")
    return ParsedOptions(
        choices=_choices(read, options),
        skip=options["skip"] and not options["only"],
        only=options["only"],
        disabled=options["disable"] and not options["enable"],
        enabled=options["enable"],
        codspeed=options["codspeed"],
        quiet=options["quiet"] and not options["verbose"],
        json=options["json"],
        save=read("save", parse_save),
        autosave=options["autosave"],
        save_data=options["save-data"],
        storage=options["storage"],
        compare=bool(compare),
        compared=compare if isinstance(compare, str) else None,
        limits=limits,
        sort=read("sort", parse_sort),
        columns=read("columns", parse_columns) or COLUMNS,
        group_by=read("group-by", parse_grouping),
        name=read("name", parse_name),
        time_unit=read("time-unit", parse_time_unit),
        histogram=_last(options["histogram"]),
        csv=_last(options["csv"]),
        cprofile_top=read("cprofile-top", parse_count),
        cprofile_dump="benchmark" if options["cprofile-dump"] is True else options["cprofile-dump"],
    )


def _choices(read: _Reader, options: Mapping[str, Any]) -> BenchmarkOptions:
    choices = BenchmarkOptions(
        min_time=read("min-time", parse_seconds),
        max_time=read("max-time", parse_seconds),
        min_rounds=read("min-rounds", parse_count),
        warmup=options["warmup"] is True or read("warmup", parse_warmup),
        warmup_iterations=read("warmup-iterations", parse_count),
        calibration_precision=read("calibration-precision", parse_count),
        disable_gc=options["disable-gc"],
        precision=read("precision", parse_fraction),
        confidence=read("confidence", parse_fraction),
        timer=read("timer", parse_timer),
        cprofile=options["cprofile"] is not None,
        cprofile_loops=read("cprofile-loops", parse_loops),
        cprofile_column=read("cprofile", parse_column) or DEFAULT_COLUMN,
    )
    if not options["codspeed"]:
        return choices
    return choices._replace(
        min_rounds=1,
        max_time=_or(read("codspeed-max-time", parse_seconds), CODSPEED_MAX_TIME),
        warmup_time=_or(read("codspeed-warmup-time", parse_seconds), CODSPEED_WARMUP_TIME),
        max_rounds=read("codspeed-max-rounds", parse_count),
    )


class _Reader:
    """Parses an option's value, with its flag in the error; None is not given."""

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


def _refuse_swallowed(flag: str, value: object, path_like: Callable[[str], bool]) -> None:
    for text in value if isinstance(value, list) else [value]:
        if isinstance(text, str) and path_like(text):
            raise SettingError(
                f"{text!r} is a test path, and was read as the option's value: write the path first, or {flag}=VALUE",
                flag,
            )


def _last(values: Sequence[str] | None) -> str | None:
    return values[-1] if values else None


def _or(value: float | None, default: float) -> float:
    return default if value is None else value
