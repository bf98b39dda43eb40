"""Restrict other plugins in a measuring process: they do not report, limit, repeat, skip or profile tests there."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Generator
from typing import Final

import pytest

from pytest_perfguard.plugin.other_plugins import MAKEREPORT, package_of, watchers, with_hook
from pytest_perfguard.plugin.pytest_internals import remove_hook
from pytest_perfguard.plugin.rerunfailures import RERUNFAILURES

#: Options of pytest and its plugins that would stop, reorder, parallelise or report a run, with the values that disable them.
_OPTIONS: Final[dict[str, object]] = {
    "allure_report_dir": None, "cacheclear": False, "csv_path": None, "dist": "no", "durations": None,
    "failedfirst": False, "htmlpath": None, "json_report": False, "lf": False, "log_file": os.devnull,
    "looponfail": False, "maxfail": 0, "newfirst": False, "no_summary": True, "numprocesses": None, "pastebin": None,
    "report_log": None, "reruns": 0, "rp_enabled": False, "stepwise": False, "store_durations": False, "trace": False,
    "tx": [], "usepdb": False, "xmlpath": None,
}  # fmt: skip
#: Plugins that write files at the end, or that limit or repeat tests, whose calls are repeated here anyway.
_UNWANTED: Final = ("lfplugin", "nfplugin", "stepwiseplugin", "timeout", "pytest_timeout", *RERUNFAILURES, "flaky")
#: Packages whose objects profile every test.
_PROFILERS: Final = frozenset(("pytest_memray", "pytest_profiling"))
_LOGREPORT: Final = "pytest_runtest_logreport"
#: Hooks in which plugins that watch results write them.
_WRITING: Final = ("pytest_sessionfinish", "pytest_terminal_summary")
#: Hooks in which a plugin may decide that a test does not run.
_DECIDING: Final = ("pytest_runtest_setup", "pytest_runtest_call")


def disable_options(config: pytest.Config) -> None:
    """Set options to the values that disable them, before other plugins read them."""
    for name, value in _OPTIONS.items():
        if hasattr(config.option, name):
            setattr(config.option, name, value)


def restrict_plugins(manager: pytest.PytestPluginManager) -> None:
    """Remove the plugins and hooks that have no place in a measuring process; call this when all plugins are loaded."""
    for name in _UNWANTED:
        if manager.hasplugin(name):
            manager.unregister(name=name)
    for plugin in [*manager.get_plugins()]:
        if package_of(plugin) in _PROFILERS and not hasattr(plugin, "__file__"):
            manager.unregister(plugin)
    _silence(manager)
    for hook in _DECIDING:
        _ignore_decisions(manager, hook)


def mute_reports(manager: pytest.PytestPluginManager) -> None:
    """Send reports to no plugin, pytest's own included: reporters keep every report, of each of thousands of calls.

    Call this when collection has ended, since conftest files are plugins, too.
    """
    setattr(manager.hook, _LOGREPORT, manager.subset_hook_caller(_LOGREPORT, manager.get_plugins()))


def _silence(manager: pytest.PytestPluginManager) -> None:
    """Report no results to plugins that only watch them, and have plugins that collect results write no files."""
    watching = watchers(manager)
    for plugin in watching:
        remove_hook(manager, plugin, MAKEREPORT)
    for plugin in [*watching, *(plugin for plugin, _function in with_hook(manager, _LOGREPORT))]:
        for hook in _WRITING:
            remove_hook(manager, plugin, hook)


def _ignore_decisions(manager: pytest.PytestPluginManager, hook: str) -> None:
    """Ignore `pytest.skip` and `pytest.xfail` of other plugins: a test runs here because it passed the functional run.

    Plugins decide by tests that did not run in this process, such as one that the test depends on.
    """
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        foreign = {id(function) for _plugin, function in with_hook(manager, hook)}
        if id(implementation.function) in foreign:
            is_generator = implementation.hookwrapper or implementation.wrapper
            wrap = _undecided_wrapper if is_generator else _undecided
            implementation.function = wrap(implementation.function)


def _undecided(function: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(function)
    def call(*arguments: object) -> object:
        try:
            return function(*arguments)
        except (pytest.skip.Exception, pytest.xfail.Exception):
            return None

    return call


def _undecided_wrapper(function: Callable[..., Generator[None, object, object]]) -> Callable[..., object]:
    @functools.wraps(function)
    def call(*arguments: object) -> Generator[None, object, object]:
        steps = function(*arguments)
        try:
            next(steps)
        except (pytest.skip.Exception, pytest.xfail.Exception):
            return (yield)
        try:
            resume = functools.partial(steps.send, (yield))
        except BaseException as error:
            resume = functools.partial(steps.throw, error)
        try:
            resume()
        except StopIteration as stop:
            return stop.value
        raise RuntimeError(f"the hook wrapper {function!r} has more than one yield")

    return call
