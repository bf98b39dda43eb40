"""The options of pytest-benchmark and pytest-codspeed: declared from one table where those plugins are not there.

Loaded in every run, hence small; what they mean is read in `compat/parsed_options.py`, when a benchmark asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import pytest

from pytest_perfguard.plugin.benchmark.names import is_stand_in

#: The fixtures that make a test a benchmark.
BENCHMARK_FIXTURES: Final = ("benchmark", "benchmark_weave", "codspeed_benchmark")
BENCHMARK_MARKERS: Final = ("benchmark", "codspeed_benchmark")

#: Under which names the plugins are registered: by entry point, or with `-p` and the module.
_PYTEST_BENCHMARK: Final = ("benchmark", "pytest_benchmark.plugin")
_CODSPEED: Final = ("codspeed", "pytest_codspeed.plugin")


class Option(NamedTuple):
    """`kind`: flag; value; optional (the value may be left out); several."""

    name: str
    kind: str = "value"
    default: object = None
    help: str = ""


#: In pytest-benchmark's order, with its defaults.
BENCHMARK_OPTIONS: Final = (
    Option("min-time", default="0.000005", help="seconds that a round lasts at least"),
    Option("max-time", default="1.0", help="seconds that all rounds may take"),
    Option("min-rounds", default=5, help="least number of rounds"),
    Option("precision", help="stop when the mean's relative margin of error is below this, such as 0.02"),
    Option("confidence", default=0.99, help="confidence level for --benchmark-precision"),
    Option("timer", default="time.perf_counter", help="dotted name of the timer"),
    Option("calibration-precision", default=10, help="a round lasts so many times what the timer can tell"),
    Option("warmup", "optional", "auto", "call the function before it is timed: on, off, auto"),
    Option("warmup-iterations", default=100000, help="most calls of a warm-up"),
    Option("disable-gc", "flag", help="switch the garbage collector off while the timer runs"),
    Option("skip", "flag", help="skip tests that have the fixture benchmark"),
    Option("disable", "flag", help="call benchmarked functions once, untimed"),
    Option("enable", "flag", help="override --benchmark-disable, and perf_benchmark = once"),
    Option("only", "flag", help="skip tests that are no benchmarks"),
    Option("save", help="save the run as NUMBER_NAME.json in the storage"),
    Option("autosave", "flag", help="save the run under the commit's name"),
    Option("save-data", "flag", help="save all rounds, not only their statistics"),
    Option("json", help="write the run, with all rounds, into this file"),
    Option("compare", "optional", [], "show a saved run beside this one: its number, by default the latest"),
    Option("compare-fail", "several", help="fail tests that exceed a saved run: min:5%%, mean:0.001"),
    Option(
        "cprofile",
        help="profile one more call of each benchmark, and sort by this column: tottime, cumtime, ncalls, ...",
    ),
    Option("cprofile-loops", default=1, help="calls that are profiled: a number, or auto for as many as a round has"),
    Option("cprofile-top", default=25, help="rows of a profile that are shown"),
    Option("cprofile-dump", "optional", help="write each profile as PREFIX-TEST.prof"),
    Option("storage", default="file://./.benchmarks", help="folder of saved runs"),
    Option("netrc", "optional", "", "accepted, and not used"),
    Option("verbose", "flag", help="overrides --benchmark-quiet"),
    Option("quiet", "flag", help="show no table"),
    Option("sort", default="min", help="column to sort by"),
    Option("group-by", default="group", help="group, name, func, fullname, fullfunc, param or param:NAME"),
    Option("columns", help="columns of the table, such as min,median,ops"),
    Option("name", default="normal", help="form of names: short, normal, long, trial"),
    Option("time-unit", help="ns, us, ms, s or auto"),
    Option("histogram", "listed", [], "draw a box plot of each group as PREFIX-GROUP.svg"),
    Option("csv", "listed", [], "write the table into a CSV file"),
)
CODSPEED_OPTIONS: Final = (
    Option("codspeed", "flag", help="run and measure benchmarks only, marked tests as a whole"),
    Option("codspeed-mode", help="only walltime is done"),
    Option("codspeed-warmup-time", help="seconds of warm-up under --codspeed"),
    Option("codspeed-max-time", help="seconds that all rounds may take under --codspeed"),
    Option("codspeed-max-rounds", help="most rounds under --codspeed"),
)
#: Accepted, and without a meaning here.
IGNORED: Final = ("netrc", "codspeed-mode")
#: What an optional value is, where it is left out.
_LEFT_OUT: Final = {"histogram": "benchmark", "csv": "benchmark.csv"}


def has_pytest_benchmark(manager: pytest.PytestPluginManager) -> bool:
    """Is pytest-benchmark loaded?"""
    return _is_loaded(manager, _PYTEST_BENCHMARK)


def has_codspeed(manager: pytest.PytestPluginManager) -> bool:
    """Is pytest-codspeed loaded?"""
    return _is_loaded(manager, _CODSPEED)


def add_benchmark_options(parser: pytest.Parser, manager: pytest.PytestPluginManager) -> None:
    """Declare what no other plugin declares; to be called when all plugins are loaded, and before the last parsing."""
    if has_pytest_benchmark(manager):
        return
    # A conftest may have some of them of its own; pytest tells of a conflict too late to be caught.
    taken = {
        name for group in (*parser._groups, parser._anonymous) for option in group.options for name in option.names()
    }
    group = parser.getgroup("benchmark", "benchmarks, as with pytest-benchmark (perfguard)")
    options = BENCHMARK_OPTIONS if has_codspeed(manager) else (*BENCHMARK_OPTIONS, *CODSPEED_OPTIONS)
    for option in options:
        flag = flag_of(option)
        if flag not in taken:
            _add(group, flag, option)


def flag_of(option: Option) -> str:
    """`--benchmark-NAME`, or `--codspeed-NAME`."""
    return f"--{option.name}" if option.name.startswith("codspeed") else f"--benchmark-{option.name}"


def option_values(config: pytest.Config) -> dict[str, object]:
    """Every option of the two tables by its name; what is not declared here has its default."""
    options = (*BENCHMARK_OPTIONS, *CODSPEED_OPTIONS)
    return {option.name: config.getoption(_dest(option), _default(option)) for option in options}


def given_options(config: pytest.Config) -> list[Option]:
    """Those that differ from their defaults."""
    values = option_values(config)
    return [option for option in (*BENCHMARK_OPTIONS, *CODSPEED_OPTIONS) if values[option.name] != _default(option)]


def _is_loaded(manager: pytest.PytestPluginManager, names: Sequence[str]) -> bool:
    plugins = (manager.get_plugin(name) for name in names)
    return any(plugin is not None and not is_stand_in(plugin) for plugin in plugins)


def _add(group: pytest.OptionGroup, flag: str, option: Option) -> None:
    dest, default, text = _dest(option), _default(option), option.help
    if option.kind == "flag":
        group.addoption(flag, action="store_true", dest=dest, default=default, help=text)
    elif option.kind == "value":
        group.addoption(flag, dest=dest, default=default, metavar="VALUE", help=text)
    elif option.kind == "several":
        group.addoption(flag, action="extend", nargs="+", dest=dest, default=default, metavar="LIMIT", help=text)
    else:
        action = "append" if option.kind == "listed" else "store"
        const = _LEFT_OUT.get(option.name, True)
        group.addoption(
            flag, action=action, nargs="?", const=const, dest=dest, default=default, metavar="VALUE", help=text
        )


def _dest(option: Option) -> str:
    return flag_of(option)[2:].replace("-", "_")


def _default(option: Option) -> object:
    return False if option.kind == "flag" else option.default
