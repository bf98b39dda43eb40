"""Entry point of the plugin: the hooks and fixtures that pytest loads in every run.

A run without a perf mode pays for this module and the few that it imports; everything else is imported when it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_perfguard.plugin.plain_imports import plain_imports

with plain_imports():
    from pytest_perfguard.core import originals  # noqa: F401  # captured before any test runs
    from pytest_perfguard.plugin import benchmark, options
    from pytest_perfguard.plugin.fixtures import (
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
    from pytest_perfguard.plugin.stash import record_environment

if TYPE_CHECKING:  # pytest examines every attribute of a plugin
    from collections.abc import Generator

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
    "pytest_collection_finish",
    "pytest_configure",
    "pytest_load_initial_conftests",
]


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    record_environment(pluginmanager)
    options.add_options(parser)
    benchmark.add_options_early(parser, pluginmanager)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config, parser: pytest.Parser
) -> Generator[None, object, object]:
    benchmark.install_stand_ins(early_config)
    result = yield
    # All plugins are known only now, including those that a conftest names.
    benchmark.add_options(parser, early_config.pluginmanager)
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    if config.option.perf_child is not None:
        from pytest_perfguard.plugin import worker_plugins

        worker_plugins.disable_options(config)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", options.MARKER_HELP)
    options.check_settings(config)
    benchmark.register(config)
    if paths := options.marked_paths(config):
        from pytest_perfguard.plugin import perf_paths

        perf_paths.register(config, paths)
    if config.option.perf_child is not None:
        from pytest_perfguard.plugin import worker_session

        worker_session.register(config)
    elif mode := options.chosen_mode(config):
        from pytest_perfguard.plugin import session

        session.register(config, mode)
    elif flags := options.options_without_effect(config):
        from pytest_perfguard.plugin import idle_run

        config.pluginmanager.register(idle_run.WithoutEffect(flags), "perfguard-without-effect")
    if config.option.perf_setup_times and config.option.perf_child is None:
        from pytest_perfguard.plugin import fixture_times

        config.pluginmanager.register(fixture_times.FixtureTimes(config), "perfguard-setups")
    if name := options.metrics_file(config):
        from pytest_perfguard.plugin.fixtures import metrics

        metrics.register_metrics(config, name)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Check the arguments of markers where nothing is measured; a run that measures checks them itself."""
    config = session.config
    marked = [
        item for item in session.items if any(mark.args or mark.kwargs for mark in item.iter_markers(options.MARKER))
    ]
    if marked and config.option.perf_child is None and not options.chosen_mode(config):
        from pytest_perfguard.plugin import idle_run

        idle_run.check_items(config, marked)
