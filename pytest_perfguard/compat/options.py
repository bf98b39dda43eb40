"""How a benchmark is to be measured: what options and markers may say, and what they mean."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple

from pytest_perfguard.core.errors import SettingError

Timer = Callable[[], float]


class BenchmarkOptions(NamedTuple):
    """How one benchmark is measured. The defaults are pytest-benchmark's."""

    min_time: float = 0.000005
    """Seconds that a round lasts at least."""
    max_time: float = 1.0
    """Seconds that all rounds may take, unless `min_rounds` takes longer."""
    min_rounds: int = 5
    max_rounds: int | None = None
    warmup: bool = False
    warmup_iterations: int = 100_000
    """Most calls of a warm-up."""
    warmup_time: float = 0.0
    """Seconds of rounds that do not count; pytest-codspeed's warm-up."""
    calibration_precision: int = 10
    """A round lasts at least so many times what the timer can tell."""
    disable_gc: bool = False
    precision: float | None = None
    """Stop as soon as the mean's margin of error is below this share of it."""
    confidence: float = 0.99
    """At which the margin of error is taken."""
    timer: Timer = time.perf_counter
    group: str | None = None
    cprofile: bool = False
    """Profile one more call after the measurement?"""
    cprofile_loops: int = 1
    """Calls that are profiled; 0: as many as a round has."""
    cprofile_column: str = "cumtime"
    """By which the functions of a profile are chosen and sorted."""

    def as_data(self) -> dict[str, object]:
        """The `options` of a benchmark in pytest-benchmark's files."""
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


#: Of pytest-benchmark's marker, and `max_rounds` of pytest-codspeed's.
MARKER_KEYWORDS: Final = (
    "calibration_precision", "confidence", "cprofile", "disable_gc", "group", "max_rounds", "max_time", "min_rounds",
    "min_time", "precision", "timer", "warmup", "warmup_iterations",
)  # fmt: skip


def with_marker(
    choices: BenchmarkOptions, keywords: Mapping[str, Any], args: tuple[object, ...], place: str
) -> BenchmarkOptions:
    """What the closest marker says takes the place of what the options say.

    Raises
    ------
    SettingError
        for positional arguments, unknown keywords and values that cannot be meant.
    """
    if args:
        raise SettingError(f"{args[0]!r} is positional; use keywords (valid: {', '.join(MARKER_KEYWORDS)})", place)
    unknown = sorted(set(keywords) - set(MARKER_KEYWORDS))
    if unknown:
        raise SettingError(f"unknown keyword {unknown[0]!r} (valid: {', '.join(MARKER_KEYWORDS)})", place)
    given = {name: _read(name, value, place) for name, value in keywords.items()}
    return choices._replace(**{name: value for name, value in given.items() if value is not None or name == "group"})


def _read(name: str, value: Any, place: str) -> Any:
    """A marker's value; None stands for the option's."""
    if value is None:
        return None
    try:
        return _READERS[name](value) if name in _READERS else value
    except SettingError as error:
        raise SettingError(f"{name} is {value!r}: {error.problem}", place) from None


def _callable(value: Any) -> Timer:
    if not callable(value):
        raise SettingError("it cannot be called; give a function such as time.perf_counter")
    return value  # type: ignore[no-any-return]  # whatever it returns is read as seconds


def parse_seconds(text: object) -> float:
    """A number of seconds above nothing, without a unit: pytest-benchmark's form."""
    try:
        seconds = float(str(text))
    except ValueError:
        raise SettingError(f"{text!r} is not a number of seconds, such as 0.5") from None
    if not 0 <= seconds < float("inf"):
        raise SettingError(f"{text!r} is out of range: give a number of seconds that is not negative")
    return seconds


def parse_count(text: object) -> int:
    """A whole number of at least 1."""
    try:
        number = int(str(text))
    except ValueError:
        raise SettingError(f"{text!r} is not a whole number") from None
    if number < 1:
        raise SettingError(f"{text!r} is too small: give at least 1")
    return number


def parse_fraction(text: object) -> float:
    """Strictly between 0 and 1."""
    try:
        share = float(str(text))
    except ValueError:
        raise SettingError(f"{text!r} is not a number") from None
    if not 0 < share < 1:
        raise SettingError(f"{text!r} is not strictly between 0 and 1")
    return share


def parse_warmup(text: object) -> bool:
    """`on`, `off` or `auto`: on where there is a JIT compiler to warm up."""
    word = str(text).strip().lower()
    if word == "auto":
        return platform.python_implementation() == "PyPy"
    if word in ("on", "true", "yes", ""):
        return True
    if word in ("off", "false", "no"):
        return False
    raise SettingError(f"{text!r} is no kind of warm-up (valid: on, off, auto)")


def parse_timer(text: object) -> Timer:
    """`time.perf_counter`: a function by its dotted name."""
    module, dot, name = str(text).rpartition(".")
    if not dot:
        raise SettingError(f"{text!r} is not the dotted name of a timer, such as time.perf_counter")
    try:
        timer = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingError(f"{text!r} cannot be had: {error}") from None
    if not callable(timer):
        raise SettingError(f"{text!r} is no function")
    return timer  # type: ignore[no-any-return]  # whatever it returns is read as seconds


_READERS: Final[Mapping[str, Callable[[Any], Any]]] = {
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
