"""Classify other plugins and conftests: those that only watch results, and those that influence how tests run."""

from __future__ import annotations

import dis
import inspect
from collections.abc import Callable, Iterator
from types import CodeType, ModuleType
from typing import Final

import pytest

MAKEREPORT: Final = "pytest_runtest_makereport"
#: A plugin with one of these hooks influences how tests run, and may use a result to decide about the next tests.
_RUNNING: Final = ("pytest_runtest_protocol", "pytest_runtest_setup", "pytest_runtest_call", "pytest_runtest_teardown")
#: Names in a hook that stores something on the test or uses its fixtures, both of which must happen before teardown.
_USES_THE_TEST: Final = frozenset(("setattr", "stash", "_store", "__dict__", "funcargs", "addfinalizer"))
#: Packages that have all of these hooks and still only report.
_REPORTERS: Final = ("allure_pytest",)
_NOT_FOREIGN: Final = ("_pytest", "pytest_perfguard")


def package_of(plugin: object) -> str:
    """Return the name of the top-level package that a plugin comes from."""
    name = plugin.__name__ if isinstance(plugin, ModuleType) else type(plugin).__module__
    return name.partition(".")[0]


def with_hook(manager: pytest.PytestPluginManager, hook: str) -> Iterator[tuple[object, Callable[..., object]]]:
    """Yield each plugin of another project that implements the hook, and its function."""
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        if package_of(implementation.plugin) not in _NOT_FOREIGN:
            yield implementation.plugin, implementation.function


def watchers(manager: pytest.PytestPluginManager) -> list[object]:
    """Return the plugins that only watch `pytest_runtest_makereport`.

    Plugins that influence how tests run are not among them, nor those that store something on the test for its fixtures.
    """
    return [
        plugin
        for plugin, function in with_hook(manager, MAKEREPORT)
        if package_of(plugin) in _REPORTERS or not (_decides(plugin) or _uses_the_test(function))
    ]


def _decides(plugin: object) -> bool:
    return any(callable(getattr(plugin, hook, None)) for hook in _RUNNING)


def _uses_the_test(function: Callable[..., object]) -> bool:
    """Return whether the hook stores something on the item (`item.rep_call = report`) or uses what teardown removes."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is None or any(map(_touches_item, _with_nested(code)))


def _with_nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _with_nested(constant)


def _touches_item(code: CodeType) -> bool:
    if not _USES_THE_TEST.isdisjoint(code.co_names):
        return True
    before: object = None
    for instruction in dis.get_instructions(code):
        if instruction.opname == "STORE_ATTR" and _last(before) == "item":
            return True
        before = instruction.argval
    return False


def _last(value: object) -> object:
    """Return the last local variable of an instruction; some versions of Python load two at once."""
    return value[-1] if isinstance(value, tuple) and value else value
