"""Every knob once: its names, type, default and help.

The options, the ini keys, the check of the marker's keywords and the documentation are all made from `OPTION_SPECS`. Loaded in
every pytest run, hence named tuples: a dataclass takes four times as long to make.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from pytest_perfguard.core.parsers import (
    DEFAULT_FLOOR,
    METRICS,
    REPORT_SUFFIXES,
    parse_alpha,
    parse_benchmark,
    parse_callable,
    parse_command,
    parse_count,
    parse_explain,
    parse_flag,
    parse_floor,
    parse_metrics,
    parse_path,
    parse_reports,
    parse_tails,
    parse_url,
)
from pytest_perfguard.core.units import parse_duration, parse_percent, parse_size


class OptionSpec(NamedTuple):
    """One setting. `parse` takes what the user wrote and raises `SettingError`."""

    name: str
    parse: Callable[[object], Any]
    default: object
    help: str
    metavar: str | None = None
    """None: a flag."""
    option: bool = True
    """Is there a `--perf-NAME` and a `perf_NAME` ini key?"""
    marker: bool = True
    """Is there a keyword of the marker?"""
    repeatable: bool = False

    @property
    def flag(self) -> str:
        return f"--perf-{self.name.replace('_', '-')}"

    @property
    def ini(self) -> str:
        return f"perf_{self.name}"


#: What the minima of a stored baseline can hold, and what pairs can: docs/verdict.md.
STORED_THRESHOLD: Final = 0.05
PAIRED_THRESHOLD: Final = 0.03

OPTION_SPECS: Final[tuple[OptionSpec, ...]] = (
    OptionSpec(
        "file", parse_path, "perf-baseline.json", "the baseline file, relative to the rootdir", "PATH", marker=False
    ),
    OptionSpec(
        "report",
        parse_reports,
        (),
        f"write a report, format by suffix ({', '.join(REPORT_SUFFIXES)}); may be given again",
        "PATH",
        marker=False,
        repeatable=True,
    ),
    OptionSpec(
        "threshold",
        parse_percent,
        STORED_THRESHOLD,
        "the slowdown that you do not care about, such as 5%; 3% by default under --perf-against; at least 10% for a call "
        "above 2 ms against a stored baseline, and for tests that cannot be pinned to a CPU",
        "PERCENT",
    ),
    OptionSpec(
        "floor",
        parse_floor,
        DEFAULT_FLOOR,
        "absolute difference per call below which nothing is a regression: a duration, a size or both (2ns,1KiB)",
        "AMOUNT",
    ),
    OptionSpec(
        "alpha",
        parse_alpha,
        0.01,
        "chance of a false alarm for all the tests of a run together that are measured side by side",
        "PERCENT",
        marker=False,
    ),
    OptionSpec("budget", parse_duration, 20.0, "the most measuring time per test, such as 20s", "DURATION"),
    OptionSpec(
        "metrics",
        parse_metrics,
        tuple(METRICS),
        f"which metrics to take and judge, of {','.join(METRICS)}",
        "NAMES",
    ),
    OptionSpec(
        "metrics_file",
        parse_path,
        None,
        "write what the tests recorded with perf_monitor, and what was measured of them, into a file for a collector: JSON "
        "for a name.json, OpenMetrics text otherwise (which needs the extra prometheus)",
        "PATH",
        marker=False,
    ),
    OptionSpec(
        "redis_url",
        parse_url,
        None,
        "a Redis server that the fixture cache shares with other machines, such as redis://127.0.0.1:6379/0 (needs the extra "
        "redis)",
        "URL",
        marker=False,
    ),
    OptionSpec("strict", parse_flag, False, "inconclusive, incomparable and missing tests fail too", marker=False),
    OptionSpec(
        "confirm",
        parse_flag,
        True,
        "whether --perf-compare measures side by side with the baseline's commit what the baseline file alone cannot "
        "settle: suspects, and tests recorded on another kind of machine or Python (on, off)",
        "SWITCH",
        marker=False,
    ),
    OptionSpec(
        "explain",
        parse_explain,
        "auto",
        "profile both sides of a test, after all timing, and name the functions and lines that account for the difference: "
        "auto (regressions only), on (all tests that are compared side by side), off",
        "WHEN",
    ),
    OptionSpec(
        "benchmark",
        parse_benchmark,
        "measure",
        "what the fixture benchmark does outside of perf modes: measure, as under pytest-benchmark, or once: call the "
        "function one time",
        "HOW",
        marker=False,
    ),
    OptionSpec(
        "base_command",
        parse_command,
        None,
        "for code that must be built: a command, run in the base's folder without a shell, that installs the base into "
        "{target}; {python} is this interpreter. Such as: {python} -m pip install --no-deps --target {target} .",
        "COMMAND",
        marker=False,
    ),
    OptionSpec(
        "base_python",
        parse_path,
        None,
        "for code that must be built: the python of an environment that holds the base, pytest and perfguard",
        "PATH",
        marker=False,
    ),
    OptionSpec(
        "max_time", parse_duration, None, "absolute budget: the most time one call may take", "DURATION", option=False
    ),
    OptionSpec("max_memory", parse_size, None, "absolute budget: the highest peak of one call", "SIZE", option=False),
    OptionSpec(
        "max_allocations",
        parse_count,
        None,
        "absolute budget: the most memory blocks that one call may leave allocated, garbage collected",
        "NUMBER",
        option=False,
    ),
    OptionSpec(
        "max_p95",
        parse_tails,
        None,
        'absolute budget: the highest 95th percentile of timers of the test, by name: {"db.query": "200ms"}',
        "MAPPING",
        option=False,
    ),
    OptionSpec(
        "leaks",
        parse_flag,
        False,
        "check tests for leaks, too: call them again and again in a fresh process, and fail those whose memory, files, "
        "sockets, threads, child processes or asyncio tasks grow with every call; needs no baseline",
    ),
    OptionSpec(
        "max_rss_growth",
        parse_size,
        None,
        "absolute budget: the most by which the process's resident set may grow over the calls of a leak check",
        "SIZE",
        option=False,
    ),
    OptionSpec(
        "setup",
        parse_callable,
        None,
        "called untimed before every round of a measurement; the ordinary run does not call it",
        "CALLABLE",
        option=False,
    ),
)

MARKER_KEYWORDS: Final = tuple(knob.name for knob in OPTION_SPECS if knob.marker)
