"""Plugins of others and conftests: which of them only watch results, which decide about running, which leave something behind."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Iterator
from types import CodeType, ModuleType
from typing import Final

import pytest

MAKEREPORT: Final = "pytest_runtest_makereport"
#: A plugin with one of these has a part in how tests run: what it hears of results may decide about the next ones.
_RUNNING: Final = ("pytest_runtest_protocol", "pytest_runtest_setup", "pytest_runtest_call", "pytest_runtest_teardown")
#: Names by which a hook leaves something with the test, or needs its fixtures: both are wanted before it is torn down.
_NEAR_THE_TEST: Final = frozenset(("setattr", "stash", "_store", "__dict__", "funcargs", "addfinalizer"))
#: Packages that have all of these hooks and still do nothing but report.
_REPORTERS: Final = ("allure_pytest",)
_NOT_FOREIGN: Final = ("_pytest", "pytest_perfguard")


def package_of(plugin: object) -> str:
    """The name of the outermost package that a plugin comes from."""
    name = plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__module__
    return name.partition(".")[0]


def with_hook(manager: pytest.PytestPluginManager, hook: str) -> Iterator[tuple[object, Callable[..., object]]]:
    """Each foreign plugin that implements the hook, and its function."""
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        if package_of(implementation.plugin) not in _NOT_FOREIGN:
            yield implementation.plugin, implementation.function


def watchers(manager: pytest.PytestPluginManager) -> list[object]:
    """The plugins that look at `pytest_runtest_makereport` and do no more than look.

    Those that decide about running, and those that leave something with the test for its fixtures, are not among them.
    """
    return [
        plugin
        for plugin, function in with_hook(manager, MAKEREPORT)
        if package_of(plugin) in _REPORTERS or not (_decides(plugin) or _is_near_the_test(function))
    ]


def _decides(plugin: object) -> bool:
    return any(callable(getattr(plugin, hook, None)) for hook in _RUNNING)


def _is_near_the_test(function: Callable[..., object]) -> bool:
    """Does the hook keep something with the item (`item.rep_call = report`), or use what lives as long as the test?"""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is None or any(map(_touches_item, _with_inner(code)))


def _with_inner(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _with_inner(constant)


def _touches_item(code: CodeType) -> bool:
    if not _NEAR_THE_TEST.isdisjoint(code.co_names):
        return True
    before: object = None
    for instruction in dis.get_instructions(code):
        if instruction.opname == "STORE_ATTR" and _last(before) == "item":
            return True
        before = instruction.argval
    return False


def _last(value: object) -> object:
    """Some versions of Python load two local variables in one step."""
    return value[-1] if isinstance(value, tuple) and value else value
