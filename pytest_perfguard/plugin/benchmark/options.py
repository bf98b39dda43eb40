"""Table of the options of pytest-benchmark and pytest-codspeed.

Loaded in every run, hence small. `compat/parsed_options.py` interprets the values when a benchmark needs them.
"""

from __future__ import annotations

from typing import Final

import pytest

from pytest_perfguard.plugin.pytest_internals import declared_flags

#: The fixtures that make a test a benchmark.
BENCHMARK_FIXTURES: Final = ("benchmark", "benchmark_weave", "codspeed_benchmark")


class Option:
    """One option. `kind` is flag, value, optional (the value may be omitted), listed (likewise, repeatable) or several."""

    __slots__ = ("default", "help", "kind", "name")

    def __init__(self, name: str, kind: str = "value", default: object = None, help: str = "") -> None:  # noqa: A002
        self.name: Final = name
        self.kind: Final = kind
        self.default: Final = False if kind == "flag" else default
        self.help: Final = help


#: In pytest-benchmark's order, with its defaults.
BENCHMARK_OPTIONS: Final = (
    Option("min-time", default="0.000005", help="minimum duration of a round in seconds"),
    Option("max-time", default="1.0", help="maximum duration of all rounds in seconds"),
    Option("min-rounds", default=5, help="minimum number of rounds"),
    Option("precision", help="stop when the mean's relative margin of error is below this value, such as 0.02"),
    Option("confidence", default=0.99, help="confidence level for --benchmark-precision"),
    Option("timer", default="time.perf_counter", help="dotted name of the timer"),
    Option(
        "calibration-precision", default=10, help="minimum duration of a round as a multiple of the timer's resolution"
    ),
    Option("warmup", "optional", "auto", "call the function before it is timed: on, off, auto"),
    Option("warmup-iterations", default=100000, help="maximum number of calls of a warm-up"),
    Option("disable-gc", "flag", help="disable the garbage collector while the timer runs"),
    Option("skip", "flag", help="skip tests that have the fixture benchmark"),
    Option("disable", "flag", help="call benchmarked functions once, without timing them"),
    Option("enable", "flag", help="override --benchmark-disable, and perf_benchmark = once"),
    Option("only", "flag", help="skip tests that are not benchmarks"),
    Option("save", help="save the run as NUMBER_NAME.json in the storage folder"),
    Option("autosave", "flag", help="save the run under the commit's name"),
    Option("save-data", "flag", help="save all rounds, not only their statistics"),
    Option("json", help="write the run, with all rounds, to this file"),
    Option("compare", "optional", [], "show a saved run beside this one; give its number (default: the latest)"),
    Option("compare-fail", "several", help="fail tests that exceed a saved run by more than min:5%%, mean:0.001"),
    Option(
        "cprofile",
        help="profile one more call of each benchmark, and sort by this column: tottime, cumtime, ncalls, ...",
    ),
    Option("cprofile-loops", default=1, help="calls that are profiled: a number, or auto for as many as a round has"),
    Option("cprofile-top", default=25, help="rows of a profile that are shown"),
    Option("cprofile-dump", "optional", help="write each profile as PREFIX-TEST.prof"),
    Option("storage", default="file://./.benchmarks", help="folder of saved runs"),
    Option("netrc", "optional", "", "accepted, has no effect"),
    Option("verbose", "flag", help="override --benchmark-quiet"),
    Option("quiet", "flag", help="do not print the table"),
    Option("sort", default="min", help="column to sort by"),
    Option("group-by", default="group", help="group, name, func, fullname, fullfunc, param or param:NAME"),
    Option("columns", help="columns of the table, such as min,median,ops"),
    Option("name", default="normal", help="form of names: short, normal, long, trial"),
    Option("time-unit", help="ns, us, ms, s or auto"),
    Option("histogram", "listed", [], "write a box plot of each group to PREFIX-GROUP.svg"),
    Option("csv", "listed", [], "write the table to a CSV file"),
)
CODSPEED_OPTIONS: Final = (
    Option("codspeed", "flag", help="run and measure benchmarks only; a marked test is measured as a whole"),
    Option("codspeed-mode", help="accepted, has no effect: walltime is the only mode"),
    Option("codspeed-warmup-time", help="duration of the warm-up under --codspeed, in seconds"),
    Option("codspeed-max-time", help="maximum duration of all rounds under --codspeed, in seconds"),
    Option("codspeed-max-rounds", help="maximum number of rounds under --codspeed"),
)
#: Accepted without effect.
IGNORED: Final = ("netrc", "codspeed-mode")
#: Values of options that are given without one.
_OMITTED: Final = {"histogram": "benchmark", "csv": "benchmark.csv"}


def add_benchmark_options(parser: pytest.Parser, *, codspeed: bool) -> None:
    """Declare pytest-benchmark's options, and pytest-codspeed's if `codspeed`, except flags that are declared already."""
    taken = declared_flags(parser)  # by a conftest: pytest reports a conflict too late to be caught
    group = parser.getgroup("benchmark", "benchmarks, as with pytest-benchmark (perfguard)")
    for option in (*BENCHMARK_OPTIONS, *CODSPEED_OPTIONS) if codspeed else BENCHMARK_OPTIONS:
        flag = flag_of(option)
        if flag not in taken:
            _add(group, flag, option)


def flag_of(option: Option) -> str:
    """Return `--benchmark-NAME` or `--codspeed-NAME`."""
    return f"--{option.name}" if option.name.startswith("codspeed") else f"--benchmark-{option.name}"


def option_values(config: pytest.Config) -> dict[str, object]:
    """Return the values of both tables' options by name; an option that perfguard did not declare has its default."""
    options = (*BENCHMARK_OPTIONS, *CODSPEED_OPTIONS)
    return {option.name: config.getoption(_dest(option), option.default) for option in options}


def given_options(config: pytest.Config) -> list[Option]:
    """Return the options whose values differ from their defaults."""
    values = option_values(config)
    return [option for option in (*BENCHMARK_OPTIONS, *CODSPEED_OPTIONS) if values[option.name] != option.default]


def _add(group: pytest.OptionGroup, flag: str, option: Option) -> None:
    dest, default, text = _dest(option), option.default, option.help
    if option.kind == "flag":
        group.addoption(flag, action="store_true", dest=dest, default=default, help=text)
    elif option.kind == "value":
        group.addoption(flag, dest=dest, default=default, metavar="VALUE", help=text)
    elif option.kind == "several":
        group.addoption(flag, action="extend", nargs="+", dest=dest, default=default, metavar="LIMIT", help=text)
    else:
        action = "append" if option.kind == "listed" else "store"
        const = _OMITTED.get(option.name, True)
        group.addoption(
            flag, action=action, nargs="?", const=const, dest=dest, default=default, metavar="VALUE", help=text
        )


def _dest(option: Option) -> str:
    return flag_of(option)[2:].replace("-", "_")
