"""Text <-> numbers with units: durations in seconds, sizes in bytes, percentages as fractions."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final

from pytest_perfguard.errors import SettingError

DURATIONS: Final[Mapping[str, float]] = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}
#: SI prefixes are powers of 1000, IEC prefixes powers of 1024, as the standards have it.
SIZES: Final[Mapping[str, float]] = {
    "B": 1, "KB": 1e3, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30,
}  # fmt: skip

_QUANTITY: Final = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\s\d]*)\s*")


def parse_duration(text: object) -> float:
    """Seconds, from `50us`, `1.5s`, `2min`; a unit is required."""
    return _parse(text, DURATIONS, "a duration such as 50us, 2ms or 1.5s")


def parse_size(text: object) -> float:
    """Bytes, from `512B`, `10MB` (10,000,000), `10MiB` (10,485,760); a unit is required."""
    return _parse(text, SIZES, "a size such as 512B, 64KB or 10MiB")


def parse_percent(text: object) -> float:
    """A fraction, from `5%` (0.05); the sign is required, because 5 could mean 500 %."""
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
    """Three significant digits in the unit that fits: `12.3 us`."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(seconds) >= 0.9995 * scale:
            return f"{_three_digits(seconds / scale)} {unit}"
    return f"{_three_digits(seconds / 1e-9)} ns"


def format_size(size: float) -> str:
    """Three significant digits, powers of 1000: `10.5 MB`."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if abs(size) >= 0.9995 * scale:
            return f"{_three_digits(size / scale)} {unit}"
    return f"{_three_digits(size)} B"


def format_change(ratio: float) -> str:
    """A ratio as a signed percentage, `+4.2 %`; from a factor of ten on as that factor, `x 31.5`."""
    if ratio >= 10:
        return f"x {_three_digits(ratio)}" if ratio < 1e9 else f"x {ratio:.3g}"
    return f"{(ratio - 1) * 100:+.1f} %"


def format_amount(value: float, unit: str) -> str:
    """A value in the unit of its metric: seconds, bytes or a plain count."""
    if unit == "s":
        return format_duration(value)
    if unit == "B":
        return format_size(value)
    return f"{_three_digits(value)} {unit}".rstrip()


def _three_digits(value: float) -> str:
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value)) + 1e-9))
    return f"{value:.{min(digits, 2)}f}"
