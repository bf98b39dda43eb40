"""Limits of `--benchmark-compare-fail`: one statistic of this run against that of a saved run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from pytest_perfguard.core.errors import SettingError
from pytest_perfguard.core.json_values import as_number
from pytest_perfguard.core.units import format_change, format_duration

FIELDS: Final = ("min", "max", "mean", "median", "stddev", "iqr")
_LIMIT: Final = re.compile(r"(\w+):(?:(\d+(?:\.\d*)?)%|((?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?))")


class Limit(NamedTuple):
    """Maximum growth of `field`: by `share` of the saved value, or by `seconds`."""

    field: str
    share: float | None = None
    seconds: float = 0.0

    def exceeded(self, now: Mapping[str, object], saved: Mapping[str, object]) -> str | None:
        """Return a description of the excess, or None if the limit holds."""
        old, new = as_number(saved[self.field]), as_number(now[self.field])
        allowed = old * (1 + self.share) if self.share is not None else old + self.seconds
        if new <= allowed:
            return None
        change = f" ({format_change(new / old)})" if old else ""
        return f"{self.field} {format_duration(old)} -> {format_duration(new)}{change}, allowed: up to {format_duration(allowed)}"


def parse_limit(text: object) -> Limit:
    """Parse `min:5%`, or `mean:0.001` for a number of seconds."""
    match = _LIMIT.fullmatch(str(text).strip())
    if match is None or match[1] not in FIELDS:
        raise SettingError(
            f"{text!r} is not a valid limit (examples: min:5%, mean:0.001 for seconds; fields: {', '.join(FIELDS)}); a test path after "
            "--benchmark-compare-fail is read as a limit: write --benchmark-compare-fail=min:5%"
        )
    return Limit(match[1], float(match[2]) / 100) if match[2] else Limit(match[1], seconds=float(match[3]))
