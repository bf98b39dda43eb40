"""Suites of pytest-benchmark and pytest-codspeed: who provides the fixture `benchmark`, and which tests are benchmarks."""

from __future__ import annotations

import os
from typing import Final

import pytest

from pytest_perfguard.plugin.benchmark import fixtures as benchmark_fixtures
from pytest_perfguard.plugin.benchmark import hooks as benchmark_hooks
from pytest_perfguard.plugin.benchmark import options
from pytest_perfguard.plugin.output import write_text
from pytest_perfguard.plugin.stash import OFFERED

MARKERS: Final = (
    "benchmark(**options): a benchmark: how it is measured, as with pytest-benchmark; without the fixture it is measured as a "
    "whole under --codspeed, --benchmark-only and in perf modes",
    "codspeed_benchmark(**options): the same under pytest-codspeed's name",
)
_FIXTURES: Final = "perfguard-benchmark-fixtures"


def register(config: pytest.Config) -> None:
    """Offer the fixture, the markers and the hooks, unless another plugin does."""
    manager = config.pluginmanager
    if options.has_pytest_benchmark(manager):
        return
    # In every run: a conftest of any folder may implement one, and an unknown hook is an internal error of pytest.
    known = getattr(manager.hook, "pytest_benchmark_update_json", None)
    if known is None or known.spec is None:  # nobody else declares them
        manager.add_hookspecs(benchmark_hooks)
    if _codspeed_is_active(config) or _is_provided(manager):
        return
    config.stash[OFFERED] = True
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    manager.register(benchmark_fixtures, _FIXTURES)
    if options.given_options(config):
        from pytest_perfguard.plugin.benchmark.session import session_of

        session_of(config)
    if config.getoption("dist", "no") != "no" and not hasattr(config, "workerinput"):
        manager.register(_Distributed(), "perfguard-benchmark-wire")


def is_benchmark(item: pytest.Item) -> bool:
    """Has the test the fixture or the marker?"""
    if not item.config.stash.get(OFFERED, False) or not isinstance(item, pytest.Function):
        return False
    return has_fixture(item) or benchmark_marker(item) is not None


def has_fixture(item: pytest.Item) -> bool:
    """Does the test ask for the fixture, itself or through another?"""
    return not set(options.BENCHMARK_FIXTURES).isdisjoint(getattr(item, "fixturenames", ()))


def benchmark_marker(item: pytest.Item) -> pytest.Mark | None:
    """The closest marker: one that only pytest-codspeed reads goes before."""
    return item.get_closest_marker("codspeed_benchmark") or item.get_closest_marker("benchmark")


def _codspeed_is_active(config: pytest.Config) -> bool:
    """Does pytest-codspeed measure in this run? Without the plugin its option is ours."""
    return options.has_codspeed(config.pluginmanager) and (
        "CODSPEED_ENV" in os.environ or bool(config.getoption("codspeed", False))
    )


def _is_provided(manager: pytest.PytestPluginManager) -> bool:
    """Has another plugin a fixture of this name? That of an inactive pytest-codspeed only calls the function."""
    others = (plugin for name, plugin in manager.list_name_plugin() if plugin is not None and "codspeed" not in name)
    return any(_is_fixture(vars(plugin).get("benchmark")) for plugin in others if _is_plugin_module(plugin))


def _is_plugin_module(plugin: object) -> bool:
    # A conftest's own fixture comes before any plugin's all the same.
    file = getattr(plugin, "__file__", None)
    return isinstance(file, str) and not file.endswith("conftest.py")


def _is_fixture(value: object) -> bool:
    # pytest 8.4 made fixtures objects of a class of their own; before they were marked functions.
    return type(value).__name__ == "FixtureFunctionDefinition" or hasattr(value, "_pytestfixturefunction")


class _Distributed:
    """On the controller of xdist: says that benchmarks were called once, where workers have met any."""

    def __init__(self) -> None:
        self._called_once = 0

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        self._called_once += getattr(node, "workeroutput", {}).get("perfguard_benchmarks", 0)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._called_once:
            write_text(
                terminalreporter,
                f"perfguard: benchmarks were called once and not timed ({self._called_once} of them), since tests that run side "
                "by side disturb one another; perf modes measure them after the workers have ended",
                yellow=True,
            )
