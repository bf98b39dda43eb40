"""The door: what pytest loads in every run. With no mode chosen, a hook costs one test and nothing else is imported."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pytest_perfguard.core import originals  # noqa: F401  # captured before any test runs
from pytest_perfguard.plugin import options, start_state
from pytest_perfguard.plugin.benchmark import names as benchmark_names
from pytest_perfguard.plugin.benchmark import options as benchmark_options
from pytest_perfguard.plugin.benchmark import registration as benchmark
from pytest_perfguard.plugin.fixtures.definitions import (
    cache,
    conn_pool,
    memory_watch,
    object_pool,
    perf_cache,
    perf_conn_pool,
    perf_imports,
    perf_memory_watch,
    perf_monitor,
    perf_object_pool,
)

__all__ = [
    "cache",
    "conn_pool",
    "memory_watch",
    "object_pool",
    "perf_cache",
    "perf_conn_pool",
    "perf_imports",
    "perf_memory_watch",
    "perf_monitor",
    "perf_object_pool",
    "pytest_addoption",
    "pytest_cmdline_main",
    "pytest_configure",
    "pytest_load_initial_conftests",
]


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    start_state.note_environment(pluginmanager)
    options.add_options(parser)
    if getattr(
        pluginmanager, "_conftest_plugins", None
    ):  # loaded by a conftest, for which the next hook comes too late
        benchmark_options.add_benchmark_options(parser, pluginmanager)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser
) -> Generator[None, object, object]:
    benchmark_names.offer_names(early_config)
    result = yield
    # Only now is it known which plugins there are, those that a conftest names included.
    benchmark_options.add_benchmark_options(parser, early_config.pluginmanager)
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    if config.option.perf_child is not None:
        from pytest_perfguard.plugin import worker_plugins

        worker_plugins.neutralise_options(config)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", options.MARKER_HELP)
    options.check_settings(config)
    benchmark.register(config)
    if config.option.perf_child is not None:
        from pytest_perfguard.plugin import worker_session

        worker_session.register(config)
    elif mode := options.chosen_mode(config):
        from pytest_perfguard.plugin import session

        session.register(config, mode)
    if config.option.perf_setup_times and config.option.perf_child is None:
        from pytest_perfguard.plugin import fixture_times

        config.pluginmanager.register(fixture_times.SetupTimes(config), "perfguard-setups")
    if name := options.metrics_file(config):
        from pytest_perfguard.plugin.fixtures import metrics

        metrics.register_metrics(config, name)
