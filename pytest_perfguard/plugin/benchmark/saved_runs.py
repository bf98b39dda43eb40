"""Files of benchmark runs: pytest-benchmark's JSON and storage folder, CSV tables, plots, and the comparison with saved runs."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from pytest_perfguard.compat.boxplot import box_plot
from pytest_perfguard.compat.exchange import benchmark_json_from_records, benchmarks_in, read_benchmarks, to_text
from pytest_perfguard.compat.grouping import NAME_FORMS, Group, Row, scale_of
from pytest_perfguard.compat.parsed_options import ParsedOptions
from pytest_perfguard.compat.result import BenchmarkResult
from pytest_perfguard.compat.storage import (
    autosave_name,
    file_of,
    machine_folder,
    next_number,
    saved_runs,
    source_name,
    storage_folder,
)
from pytest_perfguard.compat.table import csv_text
from pytest_perfguard.core.atomic_files import atomic_write
from pytest_perfguard.core.errors import SettingError
from pytest_perfguard.core.json_values import JsonObject, as_number, as_object
from pytest_perfguard.core.model import Comparison
from pytest_perfguard.core.tool_errors import BenchmarkFileError
from pytest_perfguard.engine.verdict.stopping import to_record
from pytest_perfguard.plugin.output import usage_error


class Notes:
    """Lines for the end of the run, each once. Hooks of a conftest know it as `benchmarksession.logger`."""

    def __init__(self) -> None:
        self._lines: dict[str, bool] = {}

    def warning(self, text: str, **_style: object) -> None:
        self._lines.setdefault(text, False)

    info = debug = warning

    def error(self, text: str, **_style: object) -> None:
        self._lines[text] = True

    def lines(self) -> Iterator[tuple[str, bool]]:
        """Return each line, and whether it is an error."""
        return iter(self._lines.items())


class BenchmarkFiles:
    """Writer of the files that the options request. `problem` is the reason why one could not be written, or None."""

    def __init__(self, config: pytest.Config, options: ParsedOptions, notes: Notes) -> None:
        self._config = config
        self._options = options
        self.notes = notes
        self.problem: str | None = None

    def save(self, benchmarks: Sequence[BenchmarkResult]) -> None:
        """Write the benchmarks that this process measured."""
        if not self._saves:
            return
        if not any(benchmarks):
            self.notes.warning("nothing was saved: no benchmark was measured")
            return
        commit = self._commit()
        self._write(commit, lambda data: self._content(benchmarks, commit, data=data))

    def save_measured(self, comparisons: Sequence[Comparison]) -> None:
        """Write the results of measuring processes; each process counts as one round."""
        if self._options.compare:
            self.notes.warning(
                "--benchmark-compare has no effect in perf modes; compare with --perf-compare or --perf-against"
            )
        if not self._saves:
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
        """Write the CSV table and the plots that the options request."""
        options = self._options
        try:
            if options.csv:
                path = Path(options.csv)
                path = path if path.suffix else path.with_suffix(".csv")
                atomic_write(path, csv_text(groups, columns=options.columns, sort=options.sort))
                self.notes.info(f"wrote {path}")
            for title, rows in groups if options.histogram else ():
                first = {"min": as_number(rows[0]["min"])}
                prefix, factor = scale_of("seconds", first, first, "min", options.time_unit)
                names = [NAME_FORMS[options.name](row) for row in rows]
                path = file_of(str(options.histogram), title, ".svg")
                atomic_write(path, box_plot(title or "benchmarks", rows, names, f"{prefix}s", factor))
                self.notes.info(f"wrote {path}")
        except OSError as error:
            self._failed(error)

    def dump_profiles(self, benchmarks: Sequence[BenchmarkResult]) -> None:
        """Write each profile to its own file, `PREFIX-TEST.prof`, if --benchmark-cprofile-dump is given."""
        prefix = self._options.cprofile_dump
        profiled = [(each.name, each.cprofile_stats) for each in benchmarks if each.cprofile_stats is not None]
        try:
            for name, stats in profiled if prefix else ():
                path = file_of(str(prefix), name, ".prof")
                path.parent.mkdir(parents=True, exist_ok=True)
                stats.dump_stats(path)
                self.notes.info(f"wrote {path}")
        except OSError as error:
            self._failed(error)

    def machine(self) -> dict[str, object]:
        """Return the `machine_info` of a file, in the form in which JSON restores it."""
        hook = self._config.hook
        machine: dict[str, object] = hook.pytest_benchmark_generate_machine_info(config=self._config)
        hook.pytest_benchmark_update_machine_info(config=self._config, machine_info=machine)
        restored: dict[str, object] = json.loads(to_text(machine))
        return restored

    def storage(self) -> Path:
        """Return the folder of saved runs."""
        return self._config.invocation_params.dir / storage_folder(self._options.storage)

    @property
    def _saves(self) -> bool:
        return bool(self._options.json or self._options.save or self._options.autosave)

    def _content(self, benchmarks: Sequence[BenchmarkResult], commit: Mapping[str, object], *, data: bool) -> str:
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

    def _write(self, commit: Mapping[str, object], text: Callable[[bool], str]) -> None:
        """Write `text(with all rounds?)` to the file and to the storage folder, where the options request these."""
        options = self._options
        try:
            if options.json:
                path = Path(options.json)
                atomic_write(path, text(True))
                self.notes.info(f"wrote {path}")
            if options.save or options.autosave:
                name = options.save or autosave_name(commit, _now().strftime("%Y%m%d_%H%M%S"))
                self._store(name, text(options.save_data))
        except (OSError, SettingError) as error:
            self._failed(error)

    def _commit(self) -> dict[str, object]:
        hook = self._config.hook
        commit: dict[str, object] = hook.pytest_benchmark_generate_commit_info(config=self._config)
        hook.pytest_benchmark_update_commit_info(config=self._config, commit_info=commit)
        return commit

    def _store(self, name: str, text: str) -> None:
        """Write a file under the next free number. Runs that save at the same time get different numbers."""
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

    def _failed(self, error: Exception) -> None:
        self.problem = str(error)
        self.notes.error(f"not written: {error}")


class SavedRuns:
    """The saved runs that this run is compared with: their rows in the table, and the limits of `--benchmark-compare-fail`."""

    def __init__(self, config: pytest.Config, options: ParsedOptions, files: BenchmarkFiles) -> None:
        self._config = config
        self._options = options
        self._files = files
        self._notes = files.notes
        self._runs: dict[str, dict[str, JsonObject]] = {}
        """By the run's name: its benchmarks by node id."""
        self._compared = 0

    def nothing_compared(self) -> bool:
        """Return whether limits were given and no benchmark was compared with a saved run; add a note if so."""
        if not self._options.limits or self._compared:
            return False
        self._notes.error("--benchmark-compare-fail: no benchmark of this run is in the saved run: nothing was judged")
        return True

    def load(self, session: object) -> None:
        """Read the runs that `--benchmark-compare` names; `session` is passed to the hook that inspects their machine.

        Raises
        ------
        pytest.UsageError
            if limits were given and there is no saved run.
        """
        if not self._options.compare:
            return
        try:
            storage = self._files.storage()
            files = saved_runs(storage, self._options.compared)
            runs = {source_name(storage, file): read_benchmarks(_text_of(file), str(file)) for file in files}
        except (SettingError, BenchmarkFileError) as error:
            raise usage_error(error) from None
        if not files:
            wanted = (
                f"matches {self._options.compared!r}" if self._options.compared else "was saved on this kind of machine"
            )
            problem = f"--benchmark-compare: no run in {storage} {wanted}; save one with: pytest --benchmark-autosave"
            if self._options.limits:
                raise usage_error(problem)
            self._notes.warning(problem)
        for name, run in runs.items():
            self._config.hook.pytest_benchmark_compare_machine_info(
                config=self._config,
                benchmarksession=session,
                machine_info=self._files.machine(),
                compared_benchmark=run,
            )
            self._runs[name] = benchmarks_in(run)

    def exceeded(self, result: BenchmarkResult) -> str | None:
        """Return the text of a failure if the benchmark exceeds a limit, otherwise None."""
        lines = []
        for name, run in self._runs.items():
            if result.fullname in run:
                self._compared += 1
                now, saved = result.as_dict(flat=True), as_object(run[result.fullname]["stats"])
                texts = [limit.exceeded(now, saved) for limit in self._options.limits]
                lines += [f"slower than in the saved run {name}: {text}" for text in texts if text]
        if not lines:
            return None
        hint = "A single number of one process varies by itself; for a reliable verdict: pytest --perf-against=REV"
        return "\n".join([*lines, hint])

    def rows(self, benchmarks: Sequence[BenchmarkResult]) -> list[Row]:
        """Return the rows of the table: each benchmark, after its saved results."""
        rows: list[Row] = []
        for result in benchmarks:
            if not result:
                continue
            saved = {name: run[result.fullname] for name, run in self._runs.items() if result.fullname in run}
            own = {**result.as_dict(include_data=False, flat=True), "has_error": result.has_error}
            for name, benchmark in saved.items():
                rows.append(
                    {
                        **own,
                        "iterations": 1,
                        **as_object(benchmark["stats"]),
                        "path": name,
                        "source": name,
                        "has_error": False,
                    }
                )
            rows.append({**own, "path": None, "source": "NOW" if saved else None})
        return rows


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BenchmarkFileError(str(file), str(error)) from None


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)
