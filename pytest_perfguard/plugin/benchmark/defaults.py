"""What pytest-benchmark's hooks do where no conftest says otherwise."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

import pytest

from pytest_perfguard.compat.exchange import benchmark_json
from pytest_perfguard.compat.grouping import Group, Row, grouped, scale_of
from pytest_perfguard.compat.storage import commit_info, machine_info


class DefaultHooks:
    """Last in each row: a conftest's implementation comes before, and can be a wrapper around these."""

    def __init__(self, time_unit: str | None) -> None:
        self._time_unit = time_unit

    @pytest.hookimpl(trylast=True)
    def pytest_benchmark_scale_unit(
        self, unit: str, best: dict[str, float], worst: dict[str, float], sort: str
    ) -> tuple[str, float]:
        return scale_of(unit, best, worst, sort, self._time_unit)

    @pytest.hookimpl(trylast=True)
    def pytest_benchmark_generate_machine_info(self) -> dict[str, Any]:
        return machine_info()

    @pytest.hookimpl(trylast=True)
    def pytest_benchmark_generate_commit_info(self, config: pytest.Config) -> dict[str, Any]:
        return commit_info(config.rootpath)

    @pytest.hookimpl(trylast=True)
    def pytest_benchmark_group_stats(self, benchmarks: list[Row], group_by: str) -> list[Group]:
        return grouped(benchmarks, group_by)

    @pytest.hookimpl(trylast=True)
    def pytest_benchmark_generate_json(
        self, benchmarks: Iterable[Any], include_data: bool, machine_info: dict[str, Any], commit_info: dict[str, Any]
    ) -> dict[str, Any]:
        now = datetime.datetime.now(datetime.timezone.utc).isoformat()
        kept = [one.as_dict(include_data=include_data) for one in benchmarks if one and not one.has_error]
        return benchmark_json(kept, machine_info, commit_info, now)

    @pytest.hookimpl(trylast=True)
    def pytest_benchmark_compare_machine_info(
        self, benchmarksession: Any, machine_info: dict[str, Any], compared_benchmark: dict[str, Any]
    ) -> None:
        saved = compared_benchmark.get("machine_info")
        if saved != machine_info:
            differing = [name for name in machine_info if (saved or {}).get(name) != machine_info[name]]
            benchmarksession.logger.warning(
                f"the saved run is from another machine or interpreter ({', '.join(differing)}): its times are other times"
            )
