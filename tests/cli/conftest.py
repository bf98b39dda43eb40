"""A folder with a baseline, and how the command is run in it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from pytest_perfguard.cli import main
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Comparison, Machine, Record, Verdict
from pytest_perfguard.core.settings import resolve
from pytest_perfguard.engine.baseline.schema import Baseline, MachineClass
from pytest_perfguard.engine.baseline.store import Store
from pytest_perfguard.engine.report.document import Report, ReportedTest
from pytest_perfguard.engine.report.json import json_report

SETTINGS = resolve(marker={}, command_line={}, ini={})
PROCESSES = 12


def record(seconds: float = 12.3e-6, *, source: str = "h", processes: int = PROCESSES, kernel: float = 0.5) -> Record:
    """Of a test whose processes all agree."""
    times = MetricStats("s", (seconds,) * processes, (seconds * 1.05,) * processes, 40 * processes)
    sizes = MetricStats("B", (1000.0,) * 3, (1000.0,) * 3, 9)
    return Record(source, "c0ffee", kernel, {"": 3}, {"time": times, "memory": sizes}, {}, (kernel,) * processes)


def baseline(tests: dict[str, Record], machine: str = "linux") -> Baseline:
    return Baseline({machine: MachineClass({"cpu": "Some CPU"}, {"at": "2026-01-31T12:00:00Z"}, tests)})


def report(tests: dict[str, Record], *, at: str = "2026-02-01T00:00:00Z", commit: str = "def456") -> str:
    entries = [ReportedTest(Comparison(nodeid, Verdict.UNCHANGED), record=kept) for nodeid, kept in tests.items()]
    return json_report(Report("compare", Machine("linux", {}), SETTINGS.as_data(), tuple(entries), at, commit))


class Command:
    """The command in a folder."""

    def __init__(self, path, capsys):
        self.path = path
        self._capsys = capsys
        self.store = Store(path / "perf-baseline.json")

    def keep(self, name: str, tests: dict[str, Record], machine: str = "linux"):
        Store(self.path / name).update(lambda _before: baseline(tests, machine))

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Exit status, output, errors."""
        self._capsys.readouterr()
        try:
            status = main(arguments)
        except SystemExit as stop:
            status = stop.code
        told = self._capsys.readouterr()
        return status, told.out, told.err

    def json(self, *arguments: str) -> tuple[int, dict]:
        status, out, _err = self.run(*arguments, "--json")
        return status, json.loads(out)


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    return Command(tmp_path, capsys)


def slower(kept: Record, factor: float) -> Record:
    time = kept.metrics["time"]
    scaled = replace(
        time, minima=tuple(factor * low for low in time.minima), medians=tuple(factor * mid for mid in time.medians)
    )
    return replace(kept, metrics={**kept.metrics, "time": scaled})
