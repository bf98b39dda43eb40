"""What benchmarks leave in files: pytest-benchmark's JSON, saved runs, tables and plots."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_perfguard.compat.boxplot import box_plot
from pytest_perfguard.compat.exchange import benchmark_json_from_records, to_text
from pytest_perfguard.compat.grouping import NAMES, Group, scale_of
from pytest_perfguard.compat.parsed_options import ParsedOptions
from pytest_perfguard.compat.result import BenchmarkResult
from pytest_perfguard.compat.storage import (
    autosave_name,
    file_of,
    machine_folder,
    next_number,
    storage_folder,
)
from pytest_perfguard.compat.table import csv_text
from pytest_perfguard.core.atomic_files import atomic_write
from pytest_perfguard.core.errors import SettingError
from pytest_perfguard.core.model import Comparison
from pytest_perfguard.engine.verdict.stopping import to_record


class Notes:
    """Lines for the end of the run, each once; a conftest's hooks know it as `benchmarksession.logger`."""

    def __init__(self) -> None:
        self._lines: dict[str, bool] = {}

    def warning(self, text: str, **_style: object) -> None:
        self._lines.setdefault(text, False)

    info = debug = warning

    def error(self, text: str, **_style: object) -> None:
        self._lines[text] = True

    def lines(self) -> Iterator[tuple[str, bool]]:
        """(text, is it an error?)"""
        return iter(self._lines.items())


class BenchmarkFiles:
    """Writes whatever the options ask for; `problem` says what could not be written."""

    def __init__(self, config: pytest.Config, asked: ParsedOptions, notes: Notes) -> None:
        self._config = config
        self._asked = asked
        self.notes = notes
        self.problem = ""

    def keep(self, benchmarks: Sequence[BenchmarkResult]) -> None:
        """Write what is to be written."""
        asked = self._asked
        if not (asked.json or asked.save or asked.autosave):
            return
        if not any(benchmarks):
            self.notes.warning("nothing was saved: no benchmark was measured")
            return
        commit = self._commit()
        self._write(commit, lambda data: self._content(benchmarks, commit, data=data))

    def keep_measured(self, comparisons: Sequence[Comparison]) -> None:
        """Write what measuring processes gave: rounds are processes there."""
        asked = self._asked
        if asked.compare:
            self.notes.warning(
                "--benchmark-compare does nothing in perf modes: --perf-compare and --perf-against compare"
            )
        if not (asked.json or asked.save or asked.autosave):
            return
        commit = self._commit()
        records = {
            comparison.nodeid: to_record(comparison.measurement, source="", commit="")
            for comparison in comparisons
            if comparison.measurement.samples
        }
        content = benchmark_json_from_records(
            records, machine_info=self.machine(), commit_info=commit, at=_now().isoformat()
        )
        hook = self._config.hook
        hook.pytest_benchmark_update_json(config=self._config, benchmarks=content["benchmarks"], output_json=content)
        self._write(commit, lambda _data: to_text(content))

    def draw(self, groups: Sequence[Group]) -> None:
        """Write plots and the table where they are wanted."""
        asked = self._asked
        try:
            if asked.csv:
                path = Path(asked.csv)
                path = path if path.suffix else path.with_suffix(".csv")
                atomic_write(path, csv_text(groups, columns=asked.columns, sort=asked.sort))
                self.notes.info(f"wrote {path}")
            for title, rows in groups if asked.histogram else ():
                prefix, factor = scale_of("seconds", rows[0], rows[0], "min", asked.time_unit)
                names = [NAMES[asked.name](row) for row in rows]
                path = file_of(str(asked.histogram), title, ".svg")
                atomic_write(path, box_plot(title or "benchmarks", rows, names, f"{prefix}s", factor))
                self.notes.info(f"wrote {path}")
        except OSError as error:
            self._failed(error)

    def dump_profiles(self, benchmarks: Sequence[BenchmarkResult]) -> None:
        """Write each profile into a file of its own, where that is wanted: `PREFIX-TEST.prof`."""
        prefix = self._asked.cprofile_dump
        profiled = [(each.name, each.cprofile_stats) for each in benchmarks if each.cprofile_stats is not None]
        try:
            for name, stats in profiled if prefix else ():
                path = file_of(str(prefix), name, ".prof")
                path.parent.mkdir(parents=True, exist_ok=True)
                stats.dump_stats(path)
                self.notes.info(f"wrote {path}")
        except OSError as error:
            self._failed(error)

    def _content(self, benchmarks: Sequence[BenchmarkResult], commit: Mapping[str, Any], *, data: bool) -> str:
        hook = self._config.hook
        output = hook.pytest_benchmark_generate_json(
            config=self._config,
            benchmarks=benchmarks,
            include_data=data,
            machine_info=self.machine(),
            commit_info=commit,
        )
        hook.pytest_benchmark_update_json(config=self._config, benchmarks=benchmarks, output_json=output)
        return to_text(output)

    def _write(self, commit: dict[str, Any], text: Callable[[bool], str]) -> None:
        """`text(with all rounds?)` into the file and into the storage, where these are wanted."""
        asked = self._asked
        try:
            if asked.json:
                path = Path(asked.json)
                atomic_write(path, text(True))
                self.notes.info(f"wrote {path}")
            if asked.save or asked.autosave:
                self._save(asked.save or autosave_name(commit, _now().strftime("%Y%m%d_%H%M%S")), text(asked.save_data))
        except (OSError, SettingError) as error:
            self._failed(error)

    def _commit(self) -> dict[str, Any]:
        hook = self._config.hook
        commit: dict[str, Any] = hook.pytest_benchmark_generate_commit_info(config=self._config)
        hook.pytest_benchmark_update_commit_info(config=self._config, commit_info=commit)
        return commit

    def machine(self) -> dict[str, Any]:
        hook = self._config.hook
        machine: dict[str, Any] = hook.pytest_benchmark_generate_machine_info(config=self._config)
        hook.pytest_benchmark_update_machine_info(config=self._config, machine_info=machine)
        return json.loads(to_text(machine))  # type: ignore[no-any-return]  # as a file gives it back

    def _save(self, name: str, text: str) -> None:
        """Under the next number; another run that saves at the same moment takes another one."""
        storage = self.storage()
        folder = storage / machine_folder()
        folder.mkdir(parents=True, exist_ok=True)
        number = next_number(storage)
        while True:
            path = folder / f"{number:04}_{name}.json"
            claim = folder / f".{number:04}.claim"
            try:
                os.close(os.open(claim, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                number += 1
                continue
            try:
                atomic_write(path, text)
            finally:
                claim.unlink()
            self.notes.info(f"saved as {path}")
            return

    def storage(self) -> Path:
        return self._config.invocation_params.dir / storage_folder(self._asked.storage)

    def _failed(self, error: Exception) -> None:
        self.problem = str(error)
        self.notes.error(f"not written: {error}")


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
