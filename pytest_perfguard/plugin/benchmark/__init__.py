"""Run suites of pytest-benchmark and pytest-codspeed: decide whether perfguard provides their fixture, options and modules.

Loaded in every pytest run. The modules of this package that measure are imported when a test requests the fixture.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Final

import pytest

from pytest_perfguard.plugin.benchmark import fixtures, hooks, options
from pytest_perfguard.plugin.pytest_internals import is_fixture_definition, is_loaded_by_conftest
from pytest_perfguard.plugin.stash import OFFERED

MARKERS: Final = (
    "benchmark(**options): a benchmark, measured with these options as under pytest-benchmark; without the fixture, the whole "
    "test is measured under --codspeed, --benchmark-only and in perf modes",
    "codspeed_benchmark(**options): the same marker under pytest-codspeed's name",
)
#: Names under which the original plugins are registered: by entry point, or with `-p` and the module.
_PYTEST_BENCHMARK: Final = ("benchmark", "pytest_benchmark.plugin")
_CODSPEED: Final = ("codspeed", "pytest_codspeed.plugin")
_FIXTURES: Final = "perfguard-benchmark-fixtures"


def add_options(parser: pytest.Parser, manager: pytest.PytestPluginManager) -> None:
    """Declare the benchmark options that no other plugin declares.

    Call this when all plugins are loaded and before the last parsing of the command line.
    """
    if not _is_loaded(manager, _PYTEST_BENCHMARK):
        options.add_benchmark_options(parser, codspeed=not _is_loaded(manager, _CODSPEED))


def add_options_early(parser: pytest.Parser, manager: pytest.PytestPluginManager) -> None:
    """Declare the benchmark options if a conftest has loaded perfguard: `pytest_load_initial_conftests` is over by then."""
    if is_loaded_by_conftest(manager):
        add_options(parser, manager)


def register(config: pytest.Config) -> None:
    """Provide the fixture, the markers and the hooks unless another plugin provides them."""
    manager = config.pluginmanager
    if _is_loaded(manager, _PYTEST_BENCHMARK):
        return
    # In every run: a conftest of any folder may implement one, and pytest fails for an unknown hook.
    known = getattr(manager.hook, "pytest_benchmark_update_json", None)
    if known is None or known.spec is None:  # no other plugin declares them
        manager.add_hookspecs(hooks)
    if _codspeed_is_active(config) or _is_provided(manager):
        return
    config.stash[OFFERED] = True
    for line in MARKERS:
        config.addinivalue_line("markers", line)
    manager.register(fixtures, _FIXTURES)
    if options.given_options(config):
        from pytest_perfguard.plugin.benchmark.session import session_of

        session_of(config)
    if config.getoption("dist", "no") != "no" and not hasattr(config, "workerinput"):
        manager.register(_XdistNote(), "perfguard-benchmark-wire")


def is_benchmark(item: pytest.Item) -> bool:
    """Return whether the test has the fixture or the marker."""
    if not item.config.stash.get(OFFERED, False) or not isinstance(item, pytest.Function):
        return False
    return has_fixture(item) or benchmark_marker(item) is not None


def has_fixture(item: pytest.Item) -> bool:
    """Return whether the test requests the fixture, directly or through another fixture."""
    return not set(options.BENCHMARK_FIXTURES).isdisjoint(getattr(item, "fixturenames", ()))


def benchmark_marker(item: pytest.Item) -> pytest.Mark | None:
    """Return the closest marker; the name that only pytest-codspeed reads takes precedence."""
    return item.get_closest_marker("codspeed_benchmark") or item.get_closest_marker("benchmark")


def _is_loaded(manager: pytest.PytestPluginManager, names: Sequence[str]) -> bool:
    plugins = (manager.get_plugin(name) for name in names)
    return any(plugin is not None and not is_stand_in(plugin) for plugin in plugins)


def _codspeed_is_active(config: pytest.Config) -> bool:
    """Return whether pytest-codspeed measures in this run. Without that plugin, perfguard declares its option."""
    return _is_loaded(config.pluginmanager, _CODSPEED) and (
        "CODSPEED_ENV" in os.environ or bool(config.getoption("codspeed", False))
    )


def _is_provided(manager: pytest.PytestPluginManager) -> bool:
    """Return whether another plugin has a fixture `benchmark`. An inactive pytest-codspeed's does not count."""
    others = (plugin for name, plugin in manager.list_name_plugin() if plugin is not None and "codspeed" not in name)
    return any(is_fixture_definition(vars(plugin).get("benchmark")) for plugin in others if _is_plugin_module(plugin))


def _is_plugin_module(plugin: object) -> bool:
    # A conftest's fixture overrides every plugin's anyway.
    file = getattr(plugin, "__file__", None)
    return isinstance(file, str) and not file.endswith("conftest.py")


class _XdistNote:
    """On the controller of xdist: print a note if the workers ran benchmarks, which were called once and not timed."""

    def __init__(self) -> None:
        self._called_once = 0

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        self._called_once += getattr(node, "workeroutput", {}).get("perfguard_benchmarks", 0)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._called_once:
            from pytest_perfguard.plugin.output import write_text

            write_text(
                terminalreporter,
                f"perfguard: benchmarks were called once and not timed ({self._called_once} of them), because tests that run in "
                "parallel disturb each other's timings; perf modes measure them after the workers have ended",
                yellow=True,
            )


#: The modules that suites import for annotations and warning filters, the names in them, and where perfguard defines each.
_STAND_INS: Final[Mapping[str, Mapping[str, str]]] = {
    "pytest_benchmark": {"__version__": "pytest_perfguard.compat.exchange:VERSION"},
    "pytest_benchmark.fixture": {
        "BenchmarkFixture": "pytest_perfguard.compat.fixture",
        "FixtureAlreadyUsed": "pytest_perfguard.core.tool_errors",
    },
    "pytest_benchmark.plugin": {"BenchmarkFixture": "pytest_perfguard.compat.fixture"},
    "pytest_benchmark.stats": {
        "Metadata": "pytest_perfguard.compat.result:BenchmarkResult",
        "Stats": "pytest_perfguard.compat.stats",
    },
    "pytest_benchmark.logger": {
        "PytestBenchmarkWarning": "pytest_perfguard.plugin.benchmark.session:BenchmarkWarning",
    },
    "pytest_codspeed": {"BenchmarkFixture": "pytest_perfguard.compat.fixture"},
}


def install_stand_ins(config: pytest.Config) -> None:
    """Make `import pytest_benchmark` and `pytest_codspeed` work until the end of the run where these are not installed."""
    finder = _StandInFinder()
    sys.meta_path.append(finder)
    config.add_cleanup(finder.uninstall)


def is_stand_in(plugin: object) -> bool:
    """Return whether a plugin is one of the stand-in modules, such as in a conftest's `pytest_plugins`."""
    return isinstance(_loader(plugin), _StandInFinder)


class _StandInFinder:
    """Import finder and loader of the stand-in modules. It comes last, so that an installed package is found first."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _STAND_INS:
            return None
        return ModuleSpec(fullname, self, is_package="." not in fullname)  # type: ignore[arg-type]  # a loader by its methods

    def create_module(self, spec: ModuleSpec) -> None:
        """Use Python's default."""

    def exec_module(self, module: ModuleType) -> None:
        for name, place in _STAND_INS[module.__name__].items():
            source, _, ours = place.partition(":")
            setattr(module, name, getattr(import_module(source), ours or name))

    def uninstall(self) -> None:
        sys.meta_path.remove(self)
        for name in _STAND_INS:
            if _loader(sys.modules.get(name)) is self:
                del sys.modules[name]


def _loader(module: object) -> object:
    return getattr(getattr(module, "__spec__", None), "loader", None)
