"""Parse and format quantities: durations in seconds, sizes in bytes, percentages as fractions, changes as ratios."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from pytest_perfguard.core.errors import SettingError

DURATIONS: Final[Mapping[str, float]] = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}
#: SI prefixes are powers of 1000, IEC prefixes powers of 1024.
SIZES: Final[Mapping[str, float]] = {
    "B": 1, "KB": 1e3, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30,
}  # fmt: skip

#: From this ratio a change is shown as a factor: the smallest number that rounds to 2.0x.
_MIN_FACTOR: Final = 1.995
#: The inverse of a smaller ratio does not fit into a float.
_MIN_RATIO: Final = 1e-300
#: From this number the exponential notation is used.
_LONG_NUMBER: Final = 1e5

_QUANTITY: Final = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\s\d]*)\s*")


def parse_duration(text: object) -> float:
    """Return seconds, from `50us`, `1.5s`, `2min`; a unit is required."""
    return _parse(text, DURATIONS, "a duration such as 50us, 2ms or 1.5s")


def parse_size(text: object) -> float:
    """Return bytes, from `512B`, `10MB` (10,000,000), `10MiB` (10,485,760); a unit is required."""
    return _parse(text, SIZES, "a size such as 512B, 64KB or 10MiB")


def parse_percent(text: object) -> float:
    """Return a fraction, from `5%` (0.05); the sign is required, because 5 could mean 500 %."""
    return _parse(text, {"%": 0.01}, "a percentage such as 5% or 2.5%")


def _parse(text: object, units: Mapping[str, float], expected: str) -> float:
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    if match is None or match[2] not in units:
        raise SettingError(f"{text!r} is not {expected} (units: {', '.join(units)})")
    value = float(match[1]) * units[match[2]]
    if not math.isfinite(value) or value < 0:
        raise SettingError(f"{text!r} is out of range: {expected} is finite and not negative")
    return value


def format_duration(seconds: float) -> str:
    """Return three significant digits in the unit that fits: `12.3 us`."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(seconds) >= 0.9995 * scale:
            return f"{_three_digits(seconds / scale)} {unit}"
    return f"{_three_digits(seconds / 1e-9)} ns"


def format_size(size: float) -> str:
    """Return three significant digits in powers of 1000: `10.5 MB`."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if abs(size) >= 0.9995 * scale:
            return f"{_three_digits(size / scale)} {unit}"
    return f"{_three_digits(size)} B"


def is_factor(ratio: float) -> bool:
    """Return whether a change is shown as a factor (from 2.0x, up or down) instead of a percentage."""
    return ratio >= _MIN_FACTOR or _MIN_RATIO <= ratio <= 1 / _MIN_FACTOR


def format_change(ratio: float, like: float | None = None) -> str:
    """Return a ratio for a table: `+4.2 %`, `5.0x`; `from nothing` for an infinite one.

    `like` is the ratio that selects the scale: a number and the interval around it are shown on one scale.
    """
    if not math.isfinite(ratio):
        return "from nothing" if ratio > 0 else "unknown"
    if is_factor(ratio if like is None else like):
        return f"{_factor(ratio)}x"
    return f"{_tenths(_points(ratio))} %"


def format_interval(interval: tuple[float, float], ratio: float) -> str:
    """Return the interval around a ratio for a table, on the scale of the ratio: `+9.1 to +15.2 %`, `4.6x to 5.5x`."""
    if not all(map(math.isfinite, interval)):
        return ""
    low, high = (format_change(end, like=ratio) for end in interval)
    return f"{low.removesuffix(' %')} to {high}"


def format_magnitude(ratio: float, like: float | None = None) -> str:
    """Return the size of a change without its direction: `3.4 %`, `12 %`, `5.0x`; `like` selects the scale."""
    if not math.isfinite(ratio):
        return format_change(ratio)
    if is_factor(ratio if like is None else like):
        return f"{_factor(ratio if ratio >= 1 else _inverse(ratio))}x"
    return f"{_unsigned(_points(ratio))} %"


def format_factor(ratio: float) -> str:
    """Return a ratio as a factor of two significant digits, also below 2: `1.0x`, `1.8x`, `27x`."""
    return f"{_factor(ratio)}x"


def describe_change(
    ratio: float, interval: tuple[float, float] | None = None, *, worse: str = "slower", better: str = "faster"
) -> str:
    """Return a ratio and its interval for a sentence: `12 % slower (9 to 15 %)`, `5.0x slower (interval 4.6x to 5.5x)`.

    Both ends of the interval are on the scale of the ratio.
    """
    if not math.isfinite(ratio):
        return format_change(ratio)
    size = format_magnitude(ratio)
    text = "no change" if size == "0.0 %" else f"{size} {worse if ratio > 1 else better}"
    known = interval is not None and all(map(math.isfinite, interval))
    ends = _interval_in_words(ratio, interval) if interval is not None and known else ""
    return f"{text} ({ends})" if ends else text


def describe_range(low: float, high: float, ratio: float) -> str:
    """Return two ratios on the scale of `ratio`: `2.9x and 6.1x`, `-2 % and +9 %`."""
    if is_factor(ratio):
        return f"{_factor(low)}x and {_factor(high)}x"
    return " and ".join(f"{end} %" for end in _short([_signed(_points(bound)) for bound in (low, high)]))


def format_amount(value: float, unit: str) -> str:
    """Return a value in the unit of its metric: seconds, bytes or a plain count."""
    if unit == "s":
        return format_duration(value)
    if unit == "B":
        return format_size(value)
    if unit == "instructions":
        return format_count(value)
    return f"{_three_digits(value)} {unit}".rstrip()


def format_count(count: float) -> str:
    """Return three significant digits of a large count in powers of 1000: `1.66 M`."""
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(count) >= 0.9995 * scale:
            return f"{_three_digits(count / scale)} {unit}"
    return _three_digits(count)


def _three_digits(value: float) -> str:
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value)) + 1e-9))
    return f"{value:.{min(digits, 2)}f}"


def _interval_in_words(ratio: float, interval: tuple[float, float]) -> str:
    """Return `9 to 15 %`, or `-1 to +4 %` if it includes no change; empty for a single number or if nothing changed."""
    if interval[0] == interval[1]:
        return ""
    if is_factor(ratio):
        return _factors_in_words(ratio, interval)
    points = sorted(map(_points, interval), key=abs)
    direction = 0 if _tenths(_points(ratio)) == "+0.0" else 1 if ratio > 1 else -1
    if direction and all(round(value * direction, 1) >= 0 for value in points):
        ends = [_unsigned(value) for value in points]
    else:
        ends = [_signed(value) for value in sorted(points)]
    return "" if not direction and set(ends) == {"0.0"} else f"{' to '.join(_short(ends))} %"


def _factors_in_words(ratio: float, interval: tuple[float, float]) -> str:
    low, high = sorted(interval if ratio > 1 else map(_inverse, interval))
    if math.isinf(high):
        return f"at least {_factor(low)}x" if math.isfinite(low) else ""
    return f"interval {_factor(low)}x to {_factor(high)}x"


def _points(ratio: float) -> float:
    """Return the change in percentage points."""
    return (min(ratio, 1 / _MIN_RATIO) - 1) * 100


def _inverse(ratio: float) -> float:
    return 1 / ratio if ratio >= _MIN_RATIO else math.inf


def _tenths(points: float) -> str:
    """Return a percentage with its sign and one decimal. Zero is never negative."""
    return f"{round(points, 1) + 0.0:+.1f}" if abs(points) < _LONG_NUMBER else f"{points:+.3g}"


def _signed(points: float) -> str:
    """Return a percentage with its sign: one decimal below 10 %, none from there."""
    text = f"{points:+.0f}" if 9.95 <= abs(points) < _LONG_NUMBER else _tenths(points)
    return "0.0" if text == "+0.0" else text


def _unsigned(points: float) -> str:
    return _signed(abs(points)).removeprefix("+")


def _short(percentages: Sequence[str]) -> list[str]:
    """Return the percentages without decimals if all decimals are zero."""
    short = [text.removesuffix(".0") for text in percentages]
    return list(percentages) if any("." in text for text in short) else short


def _factor(ratio: float) -> str:
    """Return two significant digits, three of a large number: `0.42`, `5.0`, `27`, `127`, `1.2e+05`."""
    if not 0.095 <= abs(ratio) < _LONG_NUMBER:
        return f"{ratio:.2g}"
    if ratio >= 999.5:
        return f"{float(f'{ratio:.3g}'):.0f}"
    return f"{ratio:.{2 if ratio < 0.995 else 1 if ratio < 9.95 else 0}f}"
