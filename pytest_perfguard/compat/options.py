"""Settings of one benchmark, from options and markers."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple, TypeGuard

from pytest_perfguard.core.errors import SettingError

Timer = Callable[[], float]


class BenchmarkOptions(NamedTuple):
    """Settings of one benchmark. The defaults are pytest-benchmark's."""

    min_time: float = 0.000005
    """Minimum duration of a round in seconds."""
    max_time: float = 1.0
    """Maximum duration of all rounds in seconds, unless `min_rounds` take longer."""
    min_rounds: int = 5
    max_rounds: int | None = None
    warmup: bool = False
    warmup_iterations: int = 100_000
    """Maximum number of calls of a warm-up."""
    warmup_time: float = 0.0
    """Duration of pytest-codspeed's warm-up, whose rounds are not recorded, in seconds."""
    calibration_precision: int = 10
    """Minimum duration of a round as a multiple of the timer's resolution."""
    disable_gc: bool = False
    precision: float | None = None
    """Stop when the margin of error is below this share of the mean."""
    confidence: float = 0.99
    """Confidence level of the margin of error."""
    timer: Timer = time.perf_counter
    group: str | None = None
    cprofile: bool = False
    """True: profile one more call after the measurement."""
    cprofile_loops: int = 1
    """Calls that are profiled; 0: as many as a round has."""
    cprofile_column: str = "cumtime"
    """Column by which the functions of a profile are chosen and sorted."""

    def as_data(self) -> dict[str, object]:
        """Return the `options` of a benchmark in pytest-benchmark's files."""
        precise = self.precision is not None
        return {
            "disable_gc": self.disable_gc,
            "timer": getattr(self.timer, "__name__", str(self.timer)),
            "min_rounds": self.min_rounds,
            "max_time": self.max_time,
            "min_time": self.min_time,
            "precision": self.precision,
            "confidence": self.confidence if precise else None,
            "warmup": self.warmup and self.warmup_iterations,
        }


#: Keywords of pytest-benchmark's marker, and `max_rounds` of pytest-codspeed's.
MARKER_KEYWORDS: Final = (
    "calibration_precision", "confidence", "cprofile", "disable_gc", "group", "max_rounds", "max_time", "min_rounds",
    "min_time", "precision", "timer", "warmup", "warmup_iterations",
)  # fmt: skip


def with_marker(
    options: BenchmarkOptions, keywords: Mapping[str, object], args: tuple[object, ...], place: str
) -> BenchmarkOptions:
    """Return the options with the values of the closest marker, which take precedence.

    Raises
    ------
    SettingError
        for positional arguments, unknown keywords and invalid values.
    """
    if args:
        raise SettingError(
            f"{args[0]!r} is a positional argument; use keywords (valid: {', '.join(MARKER_KEYWORDS)})", place
        )
    unknown = sorted(set(keywords) - set(MARKER_KEYWORDS))
    if unknown:
        raise SettingError(f"unknown keyword {unknown[0]!r} (valid: {', '.join(MARKER_KEYWORDS)})", place)
    given: dict[str, Any] = {name: _parse(name, value, place) for name, value in keywords.items()}
    return options._replace(**{name: value for name, value in given.items() if value is not None or name == "group"})


def _parse(name: str, value: object, place: str) -> object:
    """Parse a value of the marker; None stands for the option's value."""
    if value is None:
        return None
    try:
        return _PARSERS[name](value) if name in _PARSERS else value
    except SettingError as error:
        raise SettingError(f"{name} is {value!r}: {error.problem}", place) from None


def _callable(value: object) -> Timer:
    if not _is_timer(value):
        raise SettingError("it is not callable; give a function such as time.perf_counter")
    return value


def _is_timer(value: object) -> TypeGuard[Timer]:
    """Return whether the value can be called; its results are used as seconds."""
    return callable(value)


def parse_seconds(text: object) -> float:
    """Parse a number of seconds without a unit, pytest-benchmark's form."""
    try:
        seconds = float(str(text))
    except ValueError:
        raise SettingError(f"{text!r} is not a number of seconds (example: 0.5)") from None
    if not 0 <= seconds < float("inf"):
        raise SettingError(f"{text!r} is out of range: give a finite number of seconds that is not negative")
    return seconds


def parse_count(text: object) -> int:
    """Parse a whole number of at least 1."""
    try:
        number = int(str(text))
    except ValueError:
        raise SettingError(f"{text!r} is not a whole number") from None
    if number < 1:
        raise SettingError(f"{text!r} is too small: give at least 1")
    return number


def parse_fraction(text: object) -> float:
    """Parse a number strictly between 0 and 1."""
    try:
        share = float(str(text))
    except ValueError:
        raise SettingError(f"{text!r} is not a number") from None
    if not 0 < share < 1:
        raise SettingError(f"{text!r} is not strictly between 0 and 1")
    return share


def parse_warmup(text: object) -> bool:
    """Parse `on`, `off` or `auto`, which is on if the interpreter has a JIT compiler to warm up."""
    word = str(text).strip().lower()
    if word == "auto":
        return platform.python_implementation() == "PyPy"
    if word in ("on", "true", "yes", ""):
        return True
    if word in ("off", "false", "no"):
        return False
    raise SettingError(f"{text!r} is not a valid warm-up (valid: on, off, auto)")


def parse_timer(text: object) -> Timer:
    """Import a timer by its dotted name, such as `time.perf_counter`."""
    module, dot, name = str(text).rpartition(".")
    if not dot:
        raise SettingError(f"{text!r} is not the dotted name of a timer (example: time.perf_counter)")
    try:
        timer = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingError(f"{text!r} cannot be imported: {error}") from None
    if not _is_timer(timer):
        raise SettingError(f"{text!r} is not a function")
    return timer


_PARSERS: Final[Mapping[str, Callable[[object], object]]] = {
    "calibration_precision": parse_count,
    "confidence": parse_fraction,
    "cprofile": bool,
    "max_rounds": parse_count,
    "max_time": parse_seconds,
    "min_rounds": parse_count,
    "min_time": parse_seconds,
    "precision": parse_fraction,
    "timer": _callable,
    "warmup": lambda value: parse_warmup(value) if isinstance(value, str) else bool(value),
    "warmup_iterations": parse_count,
}
