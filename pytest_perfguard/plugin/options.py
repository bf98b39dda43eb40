"""Options, ini keys and marker keywords: made from the settings table, read here and nowhere else."""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Final, Literal, NamedTuple

import pytest

from pytest_perfguard.core.errors import SettingError
from pytest_perfguard.core.option_specs import MARKER_KEYWORDS, OPTION_SPECS, PAIRED_THRESHOLD, OptionSpec
from pytest_perfguard.core.settings import Settings, resolve
from pytest_perfguard.plugin.benchmark.registration import is_benchmark
from pytest_perfguard.plugin.output import usage_error

MARKER: Final = "perf"
MARKER_HELP: Final = (
    f"{MARKER}({', '.join(MARKER_KEYWORDS)}): a performance test: measured under --perf, --perf-baseline, "
    "--perf-compare and --perf-against, an ordinary test otherwise"
)


class ModeOption(NamedTuple):
    """The option that chooses a mode."""

    flag: str
    help: str
    metavar: str | None = None


MODES: Final[Mapping[str, ModeOption]] = {
    "measure": ModeOption("--perf", "measure every test marked perf and show the figures; keep nothing"),
    "baseline": ModeOption("--perf-baseline", "measure every test marked perf and record it in the baseline file"),
    "compare": ModeOption(
        "--perf-compare",
        "measure every test marked perf, judge it against the baseline file, and fail what got slower or uses more memory",
    ),
    "against": ModeOption(
        "--perf-against",
        "measure every test marked perf in this tree and in this git revision side by side, and fail what got slower or "
        "uses more memory; needs no baseline file. Such as main, HEAD~3, v1.2, or merge-base:main for where this branch left main",
        "REV",
    ),
}


#: Not a setting: it only lists.
SETUP: Final = ModeOption(
    "--perf-setup", "list the slowest fixtures and test set-ups of the run; goes with any mode, or none"
)


def add_options(parser: pytest.Parser) -> None:
    """Declare everything to pytest."""
    group = parser.getgroup("perfguard", "performance regression tests (perfguard)")
    for mode, (flag, text, metavar) in MODES.items():
        if metavar is None:
            group.addoption(flag, action="store_true", dest=_mode_dest(mode), default=False, help=text)
        else:
            group.addoption(flag, dest=_mode_dest(mode), default=None, metavar=metavar, help=text)
    for knob in OPTION_SPECS:
        if knob.option:
            _add_knob(group, parser, knob)
    group.addoption(SETUP.flag, action="store_true", dest="perf_setup_times", default=False, help=SETUP.help)
    group.addoption("--perf-child", type=int, default=None, help=argparse.SUPPRESS)


#: pytest's options with which no test runs, by their names in its parser.
_RUNS_NOTHING: Final = ("collectonly", "setuponly", "showfixtures", "show_fixtures_per_test", "cacheshow")


def check_settings(config: pytest.Config) -> None:
    """Raise `pytest.UsageError` for a wrong value of an option or an ini key: in every run, before it matters."""
    run_settings(config)


def chosen_mode(config: pytest.Config) -> str | None:
    """The mode of this run; None: nothing is measured.

    Raises
    ------
    pytest.UsageError
        where two modes were chosen.
    """
    chosen = [mode for mode in MODES if config.getoption(_mode_dest(mode)) not in (None, False)]
    if len(chosen) > 1:
        flags = " and ".join(MODES[mode].flag for mode in chosen)
        raise usage_error(f"{flags} exclude each other: choose one mode at a time")
    if chosen == ["against"] and not revision_name(config):
        raise usage_error("--perf-against needs a revision, such as --perf-against=main")
    if not chosen or any(config.getoption(option, None) for option in _RUNS_NOTHING):
        return None
    return chosen[0]


def revision_name(config: pytest.Config) -> str:
    """What `--perf-against` names."""
    return (config.getoption(_mode_dest("against")) or "").strip()


def place_of(config: pytest.Config, nodeid: str) -> str:
    """Return the argument that names a test in the folder where pytest was started: node ids start at the rootdir."""
    file, colons, names = nodeid.partition("::")
    here = config.invocation_params.dir
    return f"{os.path.relpath(config.rootpath / file, here)}{colons}{names}"


def needed_options(config: pytest.Config) -> str:
    """Return the options by which the command line chose the rootdir or the configuration file, for another command line."""
    given = {"-c": config.getoption("inifilename", None), "--rootdir": config.getoption("rootdir", None)}
    return " ".join(
        f"{option}={shlex.quote(str(value))}".replace("-c=", "-c ") for option, value in given.items() if value
    )


def metrics_file(config: pytest.Config) -> str | None:
    """Where the metrics of the run are to be written; None: nowhere, and in a measuring process never."""
    if config.option.perf_child is not None:
        return None
    knob = next(knob for knob in OPTION_SPECS if knob.name == "metrics_file")
    given = config.getoption(_dest(knob)) or _ini(config, knob)
    return run_settings(config).metrics_file if given else None


def run_settings(config: pytest.Config) -> Settings:
    """The settings of the run as a whole: command line, ini, defaults."""
    return _settings(config, {}, "")


def test_settings(config: pytest.Config, marker: Mapping[str, object], nodeid: str) -> Settings:
    """The settings of one test."""
    return _settings(config, marker, nodeid)


def child_arguments(config: pytest.Config) -> list[str]:
    """This run's arguments for a measuring process: with what cannot be switched off later, before any `--`."""
    given = [str(argument) for argument in config.invocation_params.args]
    own = [*_added_options(config), *_added_plugins(config)]
    end = given.index("--") if "--" in given else len(given)
    return [*given[:end], *own, *given[end:]]


def _added_options(config: pytest.Config) -> Iterator[str]:
    """Options of plugins that this run has: pytest refuses the others, such as `--capture` after `-p no:capture`."""
    if hasattr(config.option, "capture"):
        yield "--capture=no"
    if hasattr(config.option, "no_cov"):
        yield "--no-cov"
    if config.pluginmanager.hasplugin("faulthandler"):  # it limits a test whose calls are repeated
        yield from ("-o", "faulthandler_timeout=0")
    seed = config.getoption("randomly_seed", None)
    if isinstance(seed, int):  # pytest-randomly draws another one in each process, and tests would work on other data
        yield f"--randomly-seed={seed}"


def _added_plugins(config: pytest.Config) -> Iterator[str]:
    """The plugins that `pytest.main(..., plugins=[...])` was given and that a command line can name."""
    for plugin in config.invocation_params.plugins or ():
        if isinstance(plugin, str | ModuleType):
            yield from ("-p", plugin if isinstance(plugin, str) else plugin.__name__)


def unnamed_plugins(config: pytest.Config) -> list[str]:
    """The plugins of this run that no measuring process can load: objects that a program handed to `pytest.main`."""
    given = config.invocation_params.plugins or ()
    return [type(plugin).__name__ for plugin in given if not isinstance(plugin, str | ModuleType)]


def marker_keywords(item: pytest.Item) -> dict[str, object] | None:
    """The keywords of all the item's `perf` markers, the closest winning each; None: no perf test.

    A benchmark of another plugin's suite is one without keywords.

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
            raise usage_error(
                f"marker perf of {item.nodeid}: {mark.args[0]!r} is positional; use keywords (valid: {valid})"
            )
        keywords |= mark.kwargs
    return keywords


def _settings(config: pytest.Config, marker: Mapping[str, object], nodeid: str) -> Settings:
    knobs = [knob for knob in OPTION_SPECS if knob.option]
    command_line = {knob.name: config.getoption(_dest(knob)) for knob in knobs}
    ini = {knob.name: _ini(config, knob) for knob in knobs}
    defaults = {"threshold": PAIRED_THRESHOLD} if revision_name(config) else {}
    try:
        return resolve(marker=marker, command_line=command_line, ini=ini, test=nodeid, defaults=defaults)
    except SettingError as error:
        raise usage_error(str(error)) from None


def _add_knob(group: pytest.OptionGroup, parser: pytest.Parser, knob: OptionSpec) -> None:
    # default=None throughout: any other default would hide the ini key.
    text = knob.help.replace("%", "%%")  # argparse formats help texts
    if knob.metavar is None:
        group.addoption(knob.flag, action="store_const", const=True, dest=_dest(knob), default=None, help=text)
    else:
        action = "append" if knob.repeatable else "store"
        group.addoption(knob.flag, action=action, dest=_dest(knob), default=None, metavar=knob.metavar, help=text)
    kind: Literal["linelist", "string"] = "linelist" if knob.repeatable else "string"
    parser.addini(knob.ini, knob.help, type=kind, default=None)


def _ini(config: pytest.Config, knob: OptionSpec) -> object:
    value = _written(config, knob.ini)
    return None if value in ("", []) else value


def _written(config: pytest.Config, name: str) -> object:
    """Return the value of an ini key in the type that the file gives it.

    pytest holds a value of a TOML file to the one type that its key was declared with. Our keys take every form in which their
    value can be written: `perf_strict = true`, `perf_metrics = ["time"]`, `perf_report = "report.html"`.
    """
    found = getattr(config, "_inicfg", {}).get(name)  # pytest 9
    value = getattr(found, "value", None)
    is_typed = getattr(found, "mode", "ini") == "toml" or not isinstance(value, str | None)
    return value if is_typed else config.getini(name)


def _dest(knob: OptionSpec) -> str:
    return f"perf_setting_{knob.name}"


def _mode_dest(mode: str) -> str:
    return f"perf_mode_{mode}"
