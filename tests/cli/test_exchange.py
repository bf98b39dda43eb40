"""`perfguard import` and `export`."""

from __future__ import annotations

import csv
import io
import json

import pytest

from pytest_perfguard.compat.exchange import records_from_benchmark_json
from pytest_perfguard.engine.measure.machine import current_machine
from tests.cli.conftest import record


def exported(command, *more):
    command.keep("a.json", {"t": record(), "u": record()})
    return command.run("export", "--file", "a.json", *more)


def test_a_table_has_a_line_for_each_metric(command):
    status, out, _err = exported(command, "t")
    assert status == 0
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [(row["test"], row["metric"], row["unit"]) for row in rows] == [("t", "time", "s"), ("t", "memory", "B")]
    assert float(rows[0]["estimate"]) == 12.3e-6


def test_what_is_exported_can_be_imported(command):
    assert exported(command, "--format", "benchmark-json", "-o", "b.json")[0] == 0
    status, data = command.json("import", "b.json", "--machine", "some-class")
    assert (status, data["imported"], data["class"]) == (0, ["t", "u"], "some-class")
    kept = command.store.read().tests_of("some-class")["t"]
    assert kept.metrics["time"].minimum == 12.3e-6
    assert kept == records_from_benchmark_json((command.path / "b.json").read_text(), "b.json")["t"]


def pytest_benchmark_file(command, **facts):
    exported(command, "--format", "benchmark-json", "-o", "b.json")
    data = json.loads((command.path / "b.json").read_text())
    here = current_machine().facts
    data["machine_info"] = {
        "system": here["system"], "machine": here["architecture"], "python_version": here["python_version"], **facts
    }  # fmt: skip
    (command.path / "b.json").write_text(json.dumps(data))


def test_a_file_of_this_kind_of_machine_goes_into_its_class(command):
    pytest_benchmark_file(command)
    status, out, _err = command.run("import", "b.json")
    assert status == 0
    assert "for a reliable baseline, record with pytest --perf-baseline" in out
    assert set(command.store.read().tests_of(current_machine().name)) == {"t", "u"}


@pytest.mark.parametrize("facts", [{"machine": "other"}, {"python_version": "2.7.18"}, {"system": "Amiga"}])
def test_a_file_of_another_kind_of_machine_is_refused(command, facts):
    pytest_benchmark_file(command, **facts)
    status, _out, err = command.run("import", "b.json")
    assert status == 4
    assert "another kind of machine" in err
    assert "--machine=CLASS" in err
    assert not command.store.path.exists()


def test_a_file_that_is_none_of_pytest_benchmark_is_refused(command):
    (command.path / "b.json").write_text('{"x": 1}')
    status, _out, err = command.run("import", "b.json")
    assert status == 4
    assert "b.json" in err


def test_the_class_must_be_clear(command):
    command.keep("a.json", {"t": record()})
    command.keep("a.json", {"t": record()})
    assert command.run("export", "--file", "a.json", "--machine", "mac")[0] == 4
