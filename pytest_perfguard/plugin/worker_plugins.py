"""What other plugins do not do in a measuring process: report anything, limit or repeat tests, decide about running."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Generator
from typing import Any, Final

import pytest

from pytest_perfguard.plugin.other_plugins import MAKEREPORT, package_of, watchers, with_hook
from pytest_perfguard.plugin.rerunfailures import RERUNFAILURES

#: Options of pytest and its plugins that would stop, reorder, parallelise or report a run: off in a child.
_OPTIONS: Final[dict[str, object]] = {
    "allure_report_dir": None, "cacheclear": False, "csv_path": None, "dist": "no", "durations": None,
    "failedfirst": False, "htmlpath": None, "json_report": False, "lf": False, "log_file": os.devnull,
    "looponfail": False, "maxfail": 0, "newfirst": False, "no_summary": True, "numprocesses": None, "pastebin": None,
    "report_log": None, "reruns": 0, "rp_enabled": False, "stepwise": False, "store_durations": False, "trace": False,
    "tx": [], "usepdb": False, "xmlpath": None,
}  # fmt: skip
#: Plugins that write files at the end, or that limit or repeat a test whose calls are repeated here.
_UNWANTED: Final = ("lfplugin", "nfplugin", "stepwiseplugin", "timeout", "pytest_timeout", *RERUNFAILURES, "flaky")
#: Packages whose objects profile every test.
_PROFILERS: Final = frozenset(("pytest_memray", "pytest_profiling"))
_LOGREPORT: Final = "pytest_runtest_logreport"
#: Where those that watch results write them down.
_WRITING: Final = ("pytest_sessionfinish", "pytest_terminal_summary")
#: Where a plugin may decide that a test does not run.
_DECIDING: Final = ("pytest_runtest_setup", "pytest_runtest_call")


def neutralise_options(config: pytest.Config) -> None:
    """Switch off what does not belong into a measuring process, before the other plugins look at it."""
    for name, value in _OPTIONS.items():
        if hasattr(config.option, name):
            setattr(config.option, name, value)


def neutralise_plugins(manager: pytest.PytestPluginManager) -> None:
    """Take the other plugins' hooks away that do not belong here; once all of them are there."""
    for name in _UNWANTED:
        if manager.hasplugin(name):
            manager.unregister(name=name)
    for plugin in [*manager.get_plugins()]:
        if package_of(plugin) in _PROFILERS and not hasattr(plugin, "__file__"):
            manager.unregister(plugin)
    _silence(manager)
    for hook in _DECIDING:
        _let_run(manager, hook)


def _silence(manager: pytest.PytestPluginManager) -> None:
    """Those that only watch are told nothing; those that collect results write nothing at the end."""
    watching = watchers(manager)
    for plugin in watching:
        _take_away(manager, plugin, MAKEREPORT)
    for plugin in [*watching, *(plugin for plugin, _function in with_hook(manager, _LOGREPORT))]:
        for hook in _WRITING:
            _take_away(manager, plugin, hook)


def _take_away(manager: pytest.PytestPluginManager, plugin: object, hook: str) -> None:
    caller = getattr(manager.hook, hook)
    if any(each.plugin is plugin for each in caller.get_hookimpls()):
        caller._remove_plugin(plugin)


def _let_run(manager: pytest.PytestPluginManager, hook: str) -> None:
    """A test runs here because it passed in the ordinary run: what other plugins say of that is not heard.

    They judge by tests that did not run in this process, such as one that it depends on.
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


def _undecided_wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*arguments: object) -> Generator[None, object, object]:
        steps = function(*arguments)
        try:
            next(steps)
        except (pytest.skip.Exception, pytest.xfail.Exception):
            return (yield)
        try:
            goes_on = functools.partial(steps.send, (yield))
        except BaseException as error:
            goes_on = functools.partial(steps.throw, error)
        try:
            goes_on()
        except StopIteration as stop:
            return stop.value
        raise RuntimeError(f"the hook wrapper {function!r} has more than one yield")

    return call
