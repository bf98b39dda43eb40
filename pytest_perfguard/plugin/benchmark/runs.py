"""Benchmarks beside a saved run: what is compared with, the limits held against it, the rows of the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_perfguard.compat.exchange import read_benchmarks
from pytest_perfguard.compat.grouping import Row
from pytest_perfguard.compat.parsed_options import ParsedOptions
from pytest_perfguard.compat.result import BenchmarkResult
from pytest_perfguard.compat.storage import saved_runs, source_name
from pytest_perfguard.core.errors import SettingError
from pytest_perfguard.core.tool_errors import BenchmarkFileError
from pytest_perfguard.plugin.benchmark.files import BenchmarkFiles
from pytest_perfguard.plugin.output import usage_error


class BenchmarkRuns:
    """`called_once` counts the benchmarks that were not timed because of xdist."""

    def __init__(self, config: pytest.Config, asked: ParsedOptions, files: BenchmarkFiles, session: object) -> None:
        self._config = config
        self._asked = asked
        self._files = files
        self._notes = files.notes
        self._session = session
        self._saved: dict[str, dict[str, Row]] = {}
        """By the run's name: its benchmarks by node id."""
        self._compared = 0
        self.called_once = 0

    @property
    def nothing_compared(self) -> bool:
        """Were limits given, and nothing held against them?"""
        if not self._asked.limits or self._compared:
            return False
        self._notes.error("--benchmark-compare-fail: no benchmark of this run is in the saved run: nothing was judged")
        return True

    def load(self) -> None:
        """Read what is to be compared with.

        Raises
        ------
        pytest.UsageError
            where nothing is saved that limits could be held against.
        """
        if not self._asked.compare:
            return
        try:
            storage = self._files.storage()
            files = saved_runs(storage, self._asked.compared)
            runs = {source_name(storage, file): read_benchmarks(_text_of(file), str(file)) for file in files}
        except (SettingError, BenchmarkFileError) as error:
            raise usage_error(error) from None
        if not files:
            wanted = (
                f"matches {self._asked.compared!r}" if self._asked.compared else "was saved on this kind of machine"
            )
            problem = f"--benchmark-compare: no run in {storage} {wanted}; save one with: pytest --benchmark-autosave"
            if self._asked.limits:
                raise usage_error(problem)
            self._notes.warning(problem)
        for name, run in runs.items():
            self._config.hook.pytest_benchmark_compare_machine_info(
                config=self._config,
                benchmarksession=self._session,
                machine_info=self._files.machine(),
                compared_benchmark=run,
            )
            self._saved[name] = {benchmark["fullname"]: benchmark for benchmark in run["benchmarks"]}

    def exceeded(self, finished: BenchmarkResult) -> str:
        """By how much a benchmark exceeds its limits, in words; "" where it does not."""
        lines = []
        for name, run in self._saved.items():
            if finished.fullname in run:
                self._compared += 1
                told = [
                    limit.exceeded(finished.as_dict(flat=True), run[finished.fullname]["stats"])
                    for limit in self._asked.limits
                ]
                lines += [f"slower than in the saved run {name}: {text}" for text in told if text]
        if not lines:
            return ""
        hint = "One number of one process moves by itself; for a verdict that holds: pytest --perf-against=REV"
        return "\n".join([*lines, hint])

    def rows(self, benchmarks: Sequence[BenchmarkResult]) -> list[Row]:
        """Of the tables: each benchmark, after what was saved of it."""
        rows: list[Row] = []
        for finished in benchmarks:
            if not finished:
                continue
            saved = {name: run[finished.fullname] for name, run in self._saved.items() if finished.fullname in run}
            own = {**finished.as_dict(include_data=False, flat=True), "has_error": finished.has_error}
            for name, benchmark in saved.items():
                rows.append(
                    {**own, "iterations": 1, **benchmark["stats"], "path": name, "source": name, "has_error": False}
                )
            rows.append({**own, "path": None, "source": "NOW" if saved else None})
        return rows


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkFileError(str(file), str(error)) from None
