"""Declare and read the options, ini keys and marker keywords, all generated from `OPTION_SPECS`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Final, Literal

import pytest

from pytest_perfguard.core.option_specs import MARKER_KEYWORDS, OPTION_SPECS, OptionSpec
from pytest_perfguard.plugin.benchmark import is_benchmark
from pytest_perfguard.plugin.pytest_internals import ini_value
from pytest_perfguard.plugin.stash import SETTINGS, TEST_SETTINGS

if TYPE_CHECKING:
    from pytest_perfguard.core.settings import Settings

MARKER: Final = "perf"
MARKER_HELP: Final = (
    f"{MARKER}({', '.join(MARKER_KEYWORDS)}): a performance test: measured under --perf, --perf-baseline, "
    "--perf-compare and --perf-against, and an ordinary test otherwise"
)


class ModeOption:
    """An option that selects a mode."""

    __slots__ = ("flag", "help", "metavar")

    def __init__(self, flag: str, help: str, metavar: str | None = None) -> None:  # noqa: A002  # the word of argparse
        self.flag: Final = flag
        self.help: Final = help
        self.metavar: Final = metavar


MODES: Final[Mapping[str, ModeOption]] = {
    "measure": ModeOption("--perf", "measure every test marked perf and print the figures; record nothing"),
    "baseline": ModeOption(
        "--perf-baseline", "measure every test marked perf and record the figures in the baseline file"
    ),
    "compare": ModeOption(
        "--perf-compare",
        "measure every test marked perf, compare it with the baseline file, and fail the tests that became slower or use more "
        "memory",
    ),
    "against": ModeOption(
        "--perf-against",
        "measure every test marked perf in this tree and in a git revision side by side, and fail the tests that became slower "
        "or use more memory; needs no baseline file. Examples: main, HEAD~3, v1.2, or merge-base:main, the commit at which this "
        "branch left main",
        "REV",
    ),
}


#: The modes that may measure a test side by side with a git revision.
PAIRING_MODES: Final = ("compare", "against")

#: Not a setting and not a mode.
SETUP: Final = ModeOption(
    "--perf-setup", "list the slowest fixtures and test set-ups of the run; works with any mode, or without one"
)


def add_options(parser: pytest.Parser) -> None:
    """Declare all options and ini keys."""
    group = parser.getgroup("perfguard", "performance regression tests (perfguard)")
    for mode, option in MODES.items():
        dest, text = _mode_dest(mode), option.help
        if option.metavar is None:
            group.addoption(option.flag, action="store_true", dest=dest, default=False, help=text)
        else:
            group.addoption(option.flag, dest=dest, default=None, metavar=option.metavar, help=text)
    for spec in OPTION_SPECS:
        if spec.option:
            _add_option(group, parser, spec)
    group.addoption(SETUP.flag, action="store_true", dest="perf_setup_times", default=False, help=SETUP.help)
    group.addoption("--perf-child", type=int, default=None, help=argparse.SUPPRESS)


#: Destinations of pytest's options under which no test runs.
_NO_TESTS_RUN: Final = ("collectonly", "setuponly", "showfixtures", "show_fixtures_per_test", "cacheshow")


def check_settings(config: pytest.Config) -> None:
    """Raise `pytest.UsageError` for a wrong value of an option or an ini key, in every run, measuring or not.

    The defaults need no check, and a run without any value none of the modules that parse them.
    """
    specs = [spec for spec in OPTION_SPECS if spec.option]
    if any(config.getoption(_dest(spec)) is not None or _ini(config, spec) is not None for spec in specs):
        run_settings(config)


def chosen_mode(config: pytest.Config) -> str | None:
    """Return the mode of this run, or None if it measures nothing.

    Raises
    ------
    pytest.UsageError
        if two modes are given, or --perf-against without a revision.
    """
    chosen = [mode for mode in MODES if config.getoption(_mode_dest(mode)) not in (None, False)]
    if len(chosen) > 1:
        flags = " and ".join(MODES[mode].flag for mode in chosen)
        raise _usage_error(f"{flags} exclude each other: choose one")
    if chosen == ["against"] and not revision_name(config):
        raise _usage_error("--perf-against needs a revision, such as --perf-against=main")
    if not chosen or any(config.getoption(option, None) for option in _NO_TESTS_RUN):
        return None
    return chosen[0]


def options_without_effect(config: pytest.Config) -> list[str]:
    """Return the options on the command line that have no effect, because no mode is selected."""
    if any(config.getoption(_mode_dest(mode)) not in (None, False) for mode in MODES):
        return []
    return [
        spec.flag
        for spec in OPTION_SPECS
        if spec.option and spec.needs_mode and config.getoption(_dest(spec)) not in (None, [])
    ]


def ini_problems(unknown: Iterable[str]) -> Iterator[str]:
    """Yield a remark for each key that was meant for perfguard, of the ini file's `unknown` keys, and the likely correction."""
    from pytest_perfguard.core.text import did_you_mean

    known = [spec.ini for spec in OPTION_SPECS if spec.option]
    for key in unknown:
        name = key.removeprefix("perf_")
        if name == key:
            continue
        similar = did_you_mean(key, known, 1)
        remedy = f"; {similar}" if similar else ""
        if name in MARKER_KEYWORDS:
            remedy = f": {name} is a keyword of the marker perf only"
        yield f"unknown ini key {key}{remedy}"


def revision_name(config: pytest.Config) -> str:
    """Return the revision that `--perf-against` names, or an empty string."""
    return (config.getoption(_mode_dest("against")) or "").strip()


def argument_of(config: pytest.Config, nodeid: str) -> str:
    """Return the pytest argument that selects a test from the folder where pytest was started; node ids start at the rootdir."""
    file, colons, names = nodeid.partition("::")
    here = config.invocation_params.dir
    return f"{os.path.relpath(config.rootpath / file, here)}{colons}{names}"


def location_options(config: pytest.Config) -> str:
    """Return the `-c` and `--rootdir` options of this run, quoted for another command line."""
    import shlex

    given = {"-c": config.getoption("inifilename", None), "--rootdir": config.getoption("rootdir", None)}
    return " ".join(
        f"{option}={shlex.quote(str(value))}".replace("-c=", "-c ") for option, value in given.items() if value
    )


def counted_metrics(config: pytest.Config) -> str:
    """Return the value of this run's `--perf-metrics` if it names the instructions, otherwise an empty string."""
    given = config.getoption("perf_setting_metrics", None) or ""
    return given if "instructions" in given else ""


def metrics_file(config: pytest.Config) -> str | None:
    """Return the file for the metrics of the run, or None. A measuring process writes none."""
    if config.option.perf_child is not None:
        return None
    return run_settings(config).metrics_file if _is_given(config, "metrics_file") else None


def marked_paths(config: pytest.Config) -> tuple[str, ...]:
    """Return the files and folders whose tests all count as marked."""
    return run_settings(config).paths if _is_given(config, "paths") else ()


def _is_given(config: pytest.Config, name: str) -> bool:
    """Return whether the run has a value of its own, so that the modules that parse it are needed."""
    spec = next(spec for spec in OPTION_SPECS if spec.name == name)
    return bool(config.getoption(_dest(spec)) or _ini(config, spec))


def run_settings(config: pytest.Config) -> Settings:
    """Return the settings of the run, from command line, ini file and defaults; resolved once."""
    if SETTINGS not in config.stash:
        config.stash[SETTINGS] = _resolve(config, {}, "")
    return config.stash[SETTINGS]


def settings_for_test(config: pytest.Config, marker: Mapping[str, object], nodeid: str) -> Settings:
    """Return the settings of one test with these marker keywords; resolved once.

    Raises
    ------
    pytest.UsageError
        for a wrong keyword or value.
    """
    known = config.stash.setdefault(TEST_SETTINGS, {})
    if nodeid not in known:
        known[nodeid] = _resolve(config, marker, nodeid)
    return known[nodeid]


def known_settings(config: pytest.Config, nodeid: str) -> Settings:
    """Return the settings that were resolved for this test, or the run's if the test did not run."""
    return config.stash.get(TEST_SETTINGS, {}).get(nodeid) or run_settings(config)


def child_arguments(config: pytest.Config) -> list[str]:
    """Return this run's arguments for a measuring process.

    Options that must be set before plugins are configured are added, in front of any `--`.
    """
    given = [str(argument) for argument in config.invocation_params.args]
    own = [*_added_options(config), *_added_plugins(config)]
    end = given.index("--") if "--" in given else len(given)
    return [*given[:end], *own, *given[end:]]


def _added_options(config: pytest.Config) -> Iterator[str]:
    """Options of plugins that this run has loaded; pytest rejects others, such as `--capture` after `-p no:capture`."""
    if hasattr(config.option, "capture"):
        yield "--capture=no"
    if hasattr(config.option, "no_cov"):
        yield "--no-cov"
    if config.pluginmanager.hasplugin("faulthandler"):  # its limit is for a single call
        yield from ("-o", "faulthandler_timeout=0")
    seed = config.getoption("randomly_seed", None)
    if isinstance(
        seed, int
    ):  # pytest-randomly would draw a new one in each process, and tests would work on different data
        yield f"--randomly-seed={seed}"


def _added_plugins(config: pytest.Config) -> Iterator[str]:
    """`-p` options for the modules among the plugins given to `pytest.main(..., plugins=[...])`."""
    for plugin in config.invocation_params.plugins or ():
        if isinstance(plugin, str | ModuleType):
            yield from ("-p", plugin if isinstance(plugin, str) else plugin.__name__)


def unnamed_plugins(config: pytest.Config) -> list[str]:
    """Return the class names of plugin objects given to `pytest.main`, which no measuring process can load."""
    given = config.invocation_params.plugins or ()
    return [type(plugin).__name__ for plugin in given if not isinstance(plugin, str | ModuleType)]


def marker_keywords(item: pytest.Item) -> dict[str, object] | None:
    """Return the keywords of the item's `perf` markers, the closest marker taking precedence; None: not a perf test.

    A benchmark of a pytest-benchmark or pytest-codspeed suite is a perf test without keywords.

    Raises
    ------
    pytest.UsageError
        for a positional argument.
    """
    marks = list(item.iter_markers(MARKER))
    if not marks:
        return {} if is_benchmark(item) else None
    keywords: dict[str, object] = {}
    for mark in reversed(marks):
        if mark.args:
            valid = ", ".join(MARKER_KEYWORDS)
            raise _usage_error(
                f"marker perf of {item.nodeid}: {mark.args[0]!r} is a positional argument; use keywords (valid: {valid})"
            )
        keywords |= mark.kwargs
    return keywords


def _usage_error(problem: str) -> pytest.UsageError:
    from pytest_perfguard.plugin.output import usage_error

    return usage_error(problem)


def _resolve(config: pytest.Config, marker: Mapping[str, object], nodeid: str) -> Settings:
    from pytest_perfguard.core.errors import SettingError
    from pytest_perfguard.core.settings import resolve

    specs = [spec for spec in OPTION_SPECS if spec.option]
    command_line = {spec.name: config.getoption(_dest(spec)) for spec in specs}
    ini = {spec.name: _ini(config, spec) for spec in specs}
    try:
        return resolve(marker=marker, command_line=command_line, ini=ini, test=nodeid)
    except SettingError as error:
        raise _usage_error(str(error)) from None


def _add_option(group: pytest.OptionGroup, parser: pytest.Parser, spec: OptionSpec) -> None:
    # default=None throughout: any other default would hide the ini key.
    text = spec.help.replace("%", "%%")  # argparse formats help texts
    if spec.metavar is None:
        group.addoption(spec.flag, action="store_const", const=True, dest=_dest(spec), default=None, help=text)
    else:
        action = "append" if spec.repeatable else "store"
        group.addoption(spec.flag, action=action, dest=_dest(spec), default=None, metavar=spec.metavar, help=text)
    kind: Literal["linelist", "string"] = "linelist" if spec.repeatable else "string"
    parser.addini(spec.ini, spec.help, type=kind, default=None)


def _ini(config: pytest.Config, spec: OptionSpec) -> object:
    value = ini_value(config, spec.ini)
    return None if value in ("", []) else value


def _dest(spec: OptionSpec) -> str:
    return f"perf_setting_{spec.name}"


def _mode_dest(mode: str) -> str:
    return f"perf_mode_{mode}"
