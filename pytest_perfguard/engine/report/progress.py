"""Progress of a measuring phase in words: for a terminal line that is rewritten, or sparse lines in a log."""

from __future__ import annotations

from typing import Final

from pytest_perfguard.engine.report.text import shortened

LOG_INTERVAL: Final = 15.0
#: Seconds from which the remaining time is given in minutes.
_MINUTES_FROM: Final = 120.0


def progress_line(
    nodeid: str, *, unit: str, number: int, undecided: int, tests: int, seconds_left: float, width: int, judged: bool
) -> str:
    """Return `perf: pair 3, 2 of 14 tests undecided, about 12 s left: tests/test_a.py::test_b`.

    In a run that judges nothing (`judged` is false), tests are still `to measure` instead of `undecided`.
    """
    left = f", about {rough_duration(seconds_left)} left" if seconds_left >= 1 else ""
    head = f"perf: {unit} {number}, {undecided} of {tests} tests {'undecided' if judged else 'to measure'}{left}: "
    return (head + shortened(nodeid, max(10, width - len(head) - 1)))[: width - 1]


def rough_duration(seconds: float) -> str:
    """Return `12 s` or `3 min`."""
    return f"{seconds:.0f} s" if seconds < _MINUTES_FROM else f"{seconds / 60:.0f} min"


class LogThrottle:
    """Limit progress lines in a log to one every `interval` seconds."""

    def __init__(self, interval: float = LOG_INTERVAL) -> None:
        self._interval = interval
        self._next: float | None = None

    def due(self, now: float) -> bool:
        """Return whether a line is due at `now`, in seconds of any monotonic clock; true for the first one."""
        if self._next is not None and now < self._next:
            return False
        self._next = now + self._interval
        return True
