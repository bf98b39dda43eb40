"""The progress of a measuring phase in words: for a terminal line that is rewritten, or sparse lines in a log."""

from __future__ import annotations

from typing import Final

from pytest_perfguard.report.words import shortened

LOG_INTERVAL: Final = 15.0


def progress_line(
    nodeid: str, *, unit: str, number: int, most: int, undecided: int, tests: int, seconds_left: float, width: int
) -> str:
    """`perf: process 3 of at most 20, 2 of 14 tests undecided, at most 12 s left: tests/test_a.py::test_b`."""
    left = f", at most {seconds_left:.0f} s left" if seconds_left >= 1 else ""
    head = f"perf: {unit} {number} of at most {most}, {undecided} of {tests} tests undecided{left}: "
    return (head + shortened(nodeid, max(10, width - len(head) - 1)))[: width - 1]


class Pace:
    """Lets a line through at first and then every `interval` seconds: a log is read afterwards."""

    def __init__(self, interval: float = LOG_INTERVAL) -> None:
        self._interval = interval
        self._next: float | None = None

    def due(self, now: float) -> bool:
        """Is it time for a line at `now`, in seconds of any steady clock?"""
        if self._next is not None and now < self._next:
            return False
        self._next = now + self._interval
        return True
