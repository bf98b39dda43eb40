"""Specification of every option: its names, parser, default and help.

The command line options, the ini keys, the marker keywords and docs/options.md all derive from `OPTION_SPECS`. Every pytest
run loads this module, hence a plain class (the definition of a named tuple or a dataclass compiles code), and parsers that
are imported when a value is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

#: Metric -> unit. Times come from the timed rounds, the other metrics from extra calls.
METRICS: Final[Mapping[str, str]] = {
    "time": "s",
    "cpu": "s",
    "memory": "B",
    "blocks": "blocks",
    "instructions": "instructions",
}
#: The metrics of a run that names none. Counting instructions needs a program of its own, and takes long.
DEFAULT_METRICS: Final = ("time", "cpu", "memory", "blocks")
REPORT_SUFFIXES: Final = (".json", ".md", ".html", ".csv", ".folded", ".speedscope.json")


def _parser(name: str) -> Callable[[object], object]:
    """Return the function of this name in `core/parsers.py`, which is imported when it is called."""

    def parse(value: object) -> object:
        from pytest_perfguard.core import parsers

        return getattr(parsers, name)(value)

    return parse


parse_alpha = _parser("parse_alpha")
parse_benchmark = _parser("parse_benchmark")
parse_callable = _parser("parse_callable")
parse_command = _parser("parse_command")
parse_count = _parser("parse_count")
parse_duration = _parser("parse_duration")
parse_explain = _parser("parse_explain")
parse_flag = _parser("parse_flag")
parse_floor = _parser("parse_floor")
parse_group_by = _parser("parse_group_by")
parse_metrics = _parser("parse_metrics")
parse_path = _parser("parse_path")
parse_paths = _parser("parse_paths")
parse_percent = _parser("parse_percent")
parse_reports = _parser("parse_reports")
parse_size = _parser("parse_size")
parse_sort = _parser("parse_sort")
parse_tails = _parser("parse_tails")
parse_url = _parser("parse_url")


class OptionSpec:
    """One setting.

    `parse` converts the user's value, and raises `SettingError` if it is not valid. Without a `metavar` it is a flag. `option`:
    there is an option `--perf-NAME` and an ini key `perf_NAME`. `marker`: there is a marker keyword. `needs_mode`: it has no
    effect in a run that measures nothing.
    """

    __slots__ = ("default", "help", "marker", "metavar", "name", "needs_mode", "option", "parse", "repeatable")

    def __init__(
        self,
        name: str,
        parse: Callable[[object], object],
        default: object,
        help: str,  # noqa: A002  # the word of argparse
        metavar: str | None = None,
        *,
        option: bool = True,
        marker: bool = True,
        repeatable: bool = False,
        needs_mode: bool = True,
    ) -> None:
        self.name: Final = name
        self.parse: Final = parse
        self.default: Final = default
        self.help: Final = help
        self.metavar: Final = metavar
        self.option: Final = option
        self.marker: Final = marker
        self.repeatable: Final = repeatable
        self.needs_mode: Final = needs_mode

    @property
    def flag(self) -> str:
        return f"--perf-{self.name.replace('_', '-')}"

    @property
    def ini(self) -> str:
        return f"perf_{self.name}"


#: Smallest thresholds that a stored baseline and pairs decide reliably (docs/verdict.md).
STORED_THRESHOLD: Final = 0.05
PAIRED_THRESHOLD: Final = 0.03

OPTION_SPECS: Final[tuple[OptionSpec, ...]] = (
    OptionSpec(
        "file", parse_path, "perf-baseline.json", "the baseline file, relative to the rootdir", "PATH", marker=False
    ),
    OptionSpec(
        "paths",
        parse_paths,
        (),
        "a test file or folder, relative to the rootdir, all of whose tests count as marked perf; may be given several times",
        "PATH",
        marker=False,
        repeatable=True,
        needs_mode=False,
    ),
    OptionSpec(
        "report",
        parse_reports,
        (),
        f"write a report; the suffix selects the format ({', '.join(REPORT_SUFFIXES)}); may be given several times",
        "PATH",
        marker=False,
        repeatable=True,
    ),
    OptionSpec(
        "threshold",
        parse_percent,
        STORED_THRESHOLD,
        "largest slowdown that is acceptable, such as 5%; 3% by default where pairs decide; at least 10% for a call above "
        "2 ms where the baseline file decides, and for tests that cannot be pinned to a CPU",
        "PERCENT",
    ),
    OptionSpec(
        "floor",
        parse_floor,
        None,  # DEFAULT_FLOOR of core/parsers.py
        "absolute difference per call that is always acceptable: a duration, a size or both (2ns,1KiB)",
        "AMOUNT",
    ),
    OptionSpec(
        "alpha",
        parse_alpha,
        0.01,
        "chance of a false alarm for all tests of a run that are measured side by side, together",
        "PERCENT",
        marker=False,
    ),
    OptionSpec("budget", parse_duration, 20.0, "maximum measuring time per test, such as 20s", "DURATION"),
    OptionSpec(
        "metrics",
        parse_metrics,
        DEFAULT_METRICS,
        f"metrics to measure and judge, of {','.join(METRICS)}; +instructions adds to the default ones, which are all others",
        "NAMES",
    ),
    OptionSpec(
        "metrics_file",
        parse_path,
        None,
        "write the values that tests recorded with perf_monitor, and the measurements, to a file for a collector: JSON for "
        "a name.json, otherwise OpenMetrics text (needs the extra prometheus)",
        "PATH",
        marker=False,
        needs_mode=False,
    ),
    OptionSpec(
        "redis_url",
        parse_url,
        None,
        "Redis server that the fixture cache shares with other machines, such as redis://127.0.0.1:6379/0 (needs the extra "
        "redis)",
        "URL",
        marker=False,
        needs_mode=False,
    ),
    OptionSpec(
        "group_by",
        parse_group_by,
        "file",
        "groups of the table: file, func (the parameters of one test function), or param:NAME (the tests with the same value "
        "of a parameter); the times within a group are compared with its fastest",
        "GROUPING",
        marker=False,
    ),
    OptionSpec(
        "sort",
        parse_sort,
        None,
        "order of the table: name, time (the fastest first) or change (the largest slowdown first); by default that of the "
        "files, or the most severe first where tests are compared",
        "ORDER",
        marker=False,
    ),
    OptionSpec("strict", parse_flag, False, "inconclusive, incomparable and missing tests fail too", marker=False),
    OptionSpec(
        "confirm",
        parse_flag,
        True,
        "whether --perf-compare measures side by side with the baseline's commit if the baseline file cannot decide: "
        "suspects, and tests recorded on another kind of machine or Python (on, off)",
        "SWITCH",
        marker=False,
    ),
    OptionSpec(
        "explain",
        parse_explain,
        "auto",
        "profile both sides of a test in processes of their own, after its timing, and name the functions and lines that "
        "account for the difference: auto (regressions only), on (all tests that are compared side by side), off",
        "WHEN",
    ),
    OptionSpec(
        "benchmark",
        parse_benchmark,
        "measure",
        "behaviour of the fixture benchmark outside of perf modes: measure, as under pytest-benchmark, or once: call the "
        "function one time",
        "HOW",
        marker=False,
        needs_mode=False,
    ),
    OptionSpec(
        "base_command",
        parse_command,
        None,
        "for code that must be built: a command that installs the base into {target}, run in the base's folder without a "
        "shell; {python} is this interpreter. Example: {python} -m pip install --no-deps --target {target} .",
        "COMMAND",
        marker=False,
    ),
    OptionSpec(
        "base_python",
        parse_path,
        None,
        "for code that must be built: the python of an environment in which the base, pytest and perfguard are installed",
        "PATH",
        marker=False,
    ),
    OptionSpec("max_time", parse_duration, None, "absolute limit: maximum time of one call", "DURATION", option=False),
    OptionSpec(
        "max_memory", parse_size, None, "absolute limit: maximum peak of memory of one call", "SIZE", option=False
    ),
    OptionSpec(
        "max_allocations",
        parse_count,
        None,
        "absolute limit: maximum memory blocks that one call leaves allocated after garbage collection",
        "NUMBER",
        option=False,
    ),
    OptionSpec(
        "max_p95",
        parse_tails,
        None,
        'absolute limit: maximum 95th percentile of timers of the test, by name: {"db.query": "200ms"}',
        "MAPPING",
        option=False,
    ),
    OptionSpec(
        "leaks",
        parse_flag,
        False,
        "check tests for leaks as well: call them repeatedly in a fresh process, and fail those whose memory, files, "
        "sockets, threads, child processes or asyncio tasks grow with every call; needs no baseline",
    ),
    OptionSpec(
        "max_rss_growth",
        parse_size,
        None,
        "absolute limit: maximum growth of the process's resident set over the calls of a leak check",
        "SIZE",
        option=False,
    ),
    OptionSpec(
        "setup",
        parse_callable,
        None,
        "called without timing before every round of a measurement; the functional run does not call it",
        "CALLABLE",
        option=False,
    ),
)

MARKER_KEYWORDS: Final = tuple(spec.name for spec in OPTION_SPECS if spec.marker)
