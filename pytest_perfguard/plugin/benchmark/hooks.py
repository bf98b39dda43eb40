"""Specifications of pytest-benchmark's hooks, so that a conftest may implement them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_perfguard.compat.grouping import Group, Row
    from pytest_perfguard.compat.result import BenchmarkResult
    from pytest_perfguard.plugin.benchmark.session import BenchmarkSession


@pytest.hookspec(firstresult=True)
def pytest_benchmark_scale_unit(
    config: pytest.Config,
    unit: str,
    benchmarks: Sequence[Row],
    best: Mapping[str, float],
    worst: Mapping[str, float],
    sort: str,
) -> tuple[str, float] | None:
    """Return the prefix and the factor for a table's `unit`, which is "seconds" or "operations"."""


@pytest.hookspec(firstresult=True)
def pytest_benchmark_generate_machine_info(config: pytest.Config) -> dict[str, object] | None:
    """Return the `machine_info` of a file."""


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, object]) -> None:
    """Change the `machine_info` of a file in place."""


@pytest.hookspec(firstresult=True)
def pytest_benchmark_generate_commit_info(config: pytest.Config) -> dict[str, object] | None:
    """Return the `commit_info` of a file."""


def pytest_benchmark_update_commit_info(config: pytest.Config, commit_info: dict[str, object]) -> None:
    """Change the `commit_info` of a file in place."""


@pytest.hookspec(firstresult=True)
def pytest_benchmark_group_stats(config: pytest.Config, benchmarks: list[Row], group_by: str) -> list[Group] | None:
    """Return the groups of the table: `[(name of the group, its benchmarks), ...]`."""


@pytest.hookspec(firstresult=True)
def pytest_benchmark_generate_json(
    config: pytest.Config,
    benchmarks: Sequence[BenchmarkResult],
    include_data: bool,
    machine_info: dict[str, object],
    commit_info: dict[str, object],
) -> dict[str, object] | None:
    """Return the JSON object of a file."""


def pytest_benchmark_update_json(
    config: pytest.Config, benchmarks: Sequence[BenchmarkResult] | list[object], output_json: dict[str, object]
) -> None:
    """Change the JSON object of a file in place."""


def pytest_benchmark_compare_machine_info(
    config: pytest.Config,
    benchmarksession: BenchmarkSession,
    machine_info: dict[str, object],
    compared_benchmark: dict[str, object],
) -> None:
    """Inspect the machine of a saved run before this run is compared with it."""
