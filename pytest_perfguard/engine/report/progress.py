"""Progress of a measuring phase in words: a bar on a terminal line that is rewritten, or sparse lines in a log."""

from __future__ import annotations

from typing import Final, NamedTuple

from pytest_perfguard.core.text import plural, printable

#: Seconds between two lines in a log.
LOG_INTERVAL: Final = 10.0
#: Seconds from which the remaining time is given in minutes.
_MINUTES_FROM: Final = 120.0
_MIN_BAR: Final = 8
_MAX_BAR: Final = 24


class ProgressState(NamedTuple):
    """State of a phase."""

    nodeid: str
    unit: str
    """What one pass runs per test: a process, a pair, a leak check."""
    number: int
    """Of the pass, from 1."""
    tests: int
    undecided: int
    waiting: int
    """Tests that this pass has still to measure."""
    of_pass: int
    """Tests that this pass measures."""
    seconds_left: float
    """0: not known."""
    share: float
    """Part of the phase that is done, from 0 to 1."""
    judged: bool
    """Whether the phase decides anything."""

    @property
    def counts(self) -> str:
        """Return `2 of 14 tests undecided`, or `3 of 9 tests measured` where nothing is decided."""
        if self.judged:
            return f"{self.undecided} of {plural(self.tests, 'test')} undecided"
        return f"{self.of_pass - self.waiting} of {plural(self.of_pass, 'test')} measured"

    @property
    def time_left(self) -> str:
        """Return `about 12 s left`; empty where that is not known."""
        return f"about {rough_duration(self.seconds_left)} left" if self.seconds_left >= 1 else ""


def progress_line(state: ProgressState) -> str:
    """Return a line for a log: `perf: pair 3, 2 of 14 tests undecided, about 12 s left: tests/test_a.py::test_b`."""
    parts = [f"{state.unit} {state.number}", state.counts, state.time_left]
    return f"perf: {', '.join(filter(None, parts))}: {printable(state.nodeid)}"


def progress_bar(state: ProgressState, *, width: int, unicode: bool) -> str:
    """Return a line for a terminal: `perf [####----]  45 %  pair 3, 2 of 14 tests undecided, about 12 s left  test_b`.

    It is shorter than `width`. Of the name, the parts that do not fit are left out: the file first, then all of it.
    """
    full, empty = "\u2588\u2591" if unicode else "#-"
    size = max(_MIN_BAR, min(_MAX_BAR, width // 5))
    done = round(size * min(1.0, max(0.0, state.share)))
    parts = [f"{state.unit} {state.number}", state.counts, state.time_left]
    texts = [", ".join(filter(None, parts)), ", ".join(filter(None, parts[1:])), state.counts]
    head = f"perf [{full * done}{empty * (size - done)}] {state.share:>4.0%}"
    text = next((text for text in texts if len(head) + len(text) + 2 < width), "")
    line = f"{head}  {text}".rstrip()[: width - 1]
    shown = printable(state.nodeid)
    names = [shown, shown.rpartition("/")[2], shown.rpartition("::")[2]]
    name = next((name for name in names if len(line) + len(name) + 2 < width), "")
    return f"{line}  {name}".rstrip()


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
