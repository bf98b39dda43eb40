"""The hooks of pytest-benchmark: declared, so that a conftest that implements them is valid, and called where they apply."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.hookspec(firstresult=True)
def pytest_benchmark_scale_unit(
    config: pytest.Config, unit: str, benchmarks: Any, best: Any, worst: Any, sort: str
) -> tuple[str, float] | None:
    """-> (prefix, factor) for a table's `unit`: "seconds" or "operations"."""


@pytest.hookspec(firstresult=True)
def pytest_benchmark_generate_machine_info(config: pytest.Config) -> dict[str, Any] | None:
    """-> what a file says of the machine."""


def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Change what a file says of the machine."""


@pytest.hookspec(firstresult=True)
def pytest_benchmark_generate_commit_info(config: pytest.Config) -> dict[str, Any] | None:
    """-> what a file says of the revision."""


def pytest_benchmark_update_commit_info(config: pytest.Config, commit_info: dict[str, Any]) -> None:
    """Change what a file says of the revision."""


@pytest.hookspec(firstresult=True)
def pytest_benchmark_group_stats(config: pytest.Config, benchmarks: Any, group_by: str) -> Any:
    """-> [(name of a group, its benchmarks), ...]."""


@pytest.hookspec(firstresult=True)
def pytest_benchmark_generate_json(
    config: pytest.Config,
    benchmarks: Any,
    include_data: bool,
    machine_info: dict[str, Any],
    commit_info: dict[str, Any],
) -> dict[str, Any] | None:
    """-> the object of a file."""


def pytest_benchmark_update_json(config: pytest.Config, benchmarks: Any, output_json: dict[str, Any]) -> None:
    """Change the object of a file."""


def pytest_benchmark_compare_machine_info(
    config: pytest.Config, benchmarksession: Any, machine_info: dict[str, Any], compared_benchmark: dict[str, Any]
) -> None:
    """A saved run is about to be compared with: look at where it comes from."""
