"""Format of the baseline file: one test per line, keys sorted, the same bytes for the same content.

Schema history: 1 - first version (perfguard 0.1).

{
"schema": 1,
"classes": {
"linux-x86_64-...": {
"machine": {...},
"stamp": {"at": "2026-01-31T12:00:00Z", "perfguard": "0.1.0"},
"tests": {
"tests/test_a.py::test_b": {"commit": ..., "conditions": ..., "iterations": ..., "kernel": ..., "metrics": ..., ...}
}
}
}
}

Time and version are in `stamp`, so that the line of a test changes only with its own record. `minima` and `medians` must
agree in length and order, which reveals a merge of two half lines.
"""

from __future__ import annotations

import contextlib
import gc
import json
import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pytest_perfguard.core.json_values import JsonValue
from pytest_perfguard.core.metric_names import metric_kind
from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Record
from pytest_perfguard.core.parsers import KINDS
from pytest_perfguard.engine.baseline import json_reader

SCHEMA: Final = 1
_ENCODER: Final = json.JSONEncoder(sort_keys=True, ensure_ascii=True, allow_nan=False)


@dataclass(frozen=True)
class MachineClass:
    """Part of the file for one class of machines and interpreters."""

    machine: Mapping[str, object] = field(default_factory=dict)
    stamp: Mapping[str, object] = field(default_factory=dict)
    tests: Mapping[str, Record] = field(default_factory=dict)


@dataclass(frozen=True)
class Baseline:
    """The whole file."""

    classes: Mapping[str, MachineClass] = field(default_factory=dict)

    def tests_of(self, class_name: str) -> Mapping[str, Record]:
        """Return the records of one machine class."""
        return self.classes[class_name].tests if class_name in self.classes else {}


def to_text(baseline: Baseline) -> str:
    """Return the content of the file."""
    classes = [_class_lines(name, part) for name, part in sorted(baseline.classes.items())]
    return f'{{\n"schema": {SCHEMA},\n"classes": {{\n' + ",\n".join(classes) + "\n}\n}\n"


def from_text(text: str, path: str) -> Baseline:
    """Return the baseline in this text; `path` appears in errors.

    Raises
    ------
    BaselineUnreadable
        with the line and the field that are wrong.
    """
    with _collector_paused():
        return _from_text(text, path)


def _from_text(text: str, path: str) -> Baseline:
    content = json_reader.load(text, path)
    schema = content.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise json_reader.newer(path, schema, SCHEMA)
    reader = json_reader.JsonReader(path, text)
    if schema != SCHEMA:
        raise reader.wrong("schema", f"schema is {schema!r}, expected {SCHEMA}")
    classes = reader.mapping(content, "classes", "classes")
    return Baseline({name: _read_class(reader, name, part) for name, part in classes.items()})


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Pause the garbage collector: its searches of millions of new values would take a third of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _class_lines(name: str, part: MachineClass) -> str:
    tests = [f"{_line(nodeid)}: {record_text(record)}" for nodeid, record in sorted(part.tests.items())]
    head = f'{_line(name)}: {{\n"machine": {_line(part.machine)},\n"stamp": {_line(part.stamp)},\n"tests": {{\n'
    return head + ",\n".join(tests) + "\n}\n}"


def record_text(record: Record) -> str:
    """Return the text of this record in the file."""
    return _line(record_data(record))


def _line(value: object) -> str:
    # Escapes every character that could end a line or that an editor could change.
    return _ENCODER.encode(value)


def record_data(record: Record) -> dict[str, object]:
    """Return the record as plain data."""
    metrics = {
        name: {
            "medians": list(stats.medians),
            "minima": list(stats.minima),
            "rounds": stats.rounds,
            "unit": stats.unit,
        }
        for name, stats in record.metrics.items()
    }
    imports = {"imports": sorted(record.imports)} if record.imports else {}
    calls = {"calls": dict(record.calls)} if record.calls else {}
    counting = {"counting": record.counting} if record.counting else {}
    lost = {"lost": record.lost} if record.lost else {}
    return {
        **imports,
        **calls,
        **counting,
        **lost,
        "commit": record.commit,
        "conditions": dict(record.conditions),
        "iterations": dict(record.iterations),
        "kernel": record.kernel,
        "metrics": metrics,
        "paces": list(record.paces),
        "source": record.source,
    }


def _read_class(reader: json_reader.JsonReader, name: str, part: JsonValue) -> MachineClass:
    if not isinstance(part, dict):
        raise reader.wrong(name, f"class {name} is not an object")
    tests = reader.mapping(part, "tests", name)
    # Removed one by one: a large file is not held in memory twice.
    records = {nodeid: read_record(reader, nodeid, tests.pop(nodeid)) for nodeid in list(tests)}
    return MachineClass(reader.mapping(part, "machine", name), reader.mapping(part, "stamp", name), records)


def read_record(reader: json_reader.JsonReader, nodeid: str, data: JsonValue) -> Record:
    """Return the record in this data. Errors have the type that the `reader` raises."""
    if not isinstance(data, dict):
        raise reader.wrong(nodeid, f"the record of {nodeid} is not an object")
    iterations, conditions = _read_iterations(reader, nodeid, data), _read_conditions(reader, nodeid, data)
    metrics = reader.mapping(data, "metrics", nodeid)
    return Record(
        source=reader.text(data, "source", nodeid),
        commit=reader.text(data, "commit", nodeid),
        kernel=reader.number(data, "kernel", nodeid),
        iterations=iterations,
        metrics={name: _read_metric(reader, nodeid, name, value) for name, value in metrics.items()},
        conditions=conditions,
        paces=reader.numbers(data, "paces", nodeid, "the record"),
        imports=tuple(sorted(reader.texts(data, "imports", nodeid))),
        calls=_read_calls(reader, nodeid, data),
        counting=reader.text(data, "counting", nodeid) if "counting" in data else "",
        lost=_read_lost(reader, nodeid, data),
    )


def _read_iterations(reader: json_reader.JsonReader, nodeid: str, data: Mapping[str, JsonValue]) -> dict[str, int]:
    iterations: dict[str, int] = {}
    for label, count in reader.mapping(data, "iterations", nodeid).items():
        if not json_reader.is_count(count):
            raise reader.wrong(nodeid, f"iterations.{label} is {count!r:.60}, expected a whole number above 0")
        iterations[label] = count
    return iterations


def _read_conditions(reader: json_reader.JsonReader, nodeid: str, data: Mapping[str, JsonValue]) -> dict[str, bool]:
    conditions: dict[str, bool] = {}
    for name, state in reader.mapping(data, "conditions", nodeid).items():
        if not isinstance(state, bool):
            raise reader.wrong(nodeid, f"conditions.{name} is {state!r:.60}, expected true or false")
        conditions[name] = state
    return conditions


def _read_calls(reader: json_reader.JsonReader, nodeid: str, data: Mapping[str, JsonValue]) -> dict[str, float]:
    """Read the numbers of calls, which older files lack."""
    calls: dict[str, float] = {}
    for name, count in (reader.mapping(data, "calls", nodeid) if "calls" in data else {}).items():
        if not json_reader.is_finite(count) or count < 0:
            raise reader.wrong(nodeid, f"calls.{name} is {count!r:.60}, expected a number that is not negative")
        calls[name] = count
    return calls


def _read_lost(reader: json_reader.JsonReader, nodeid: str, data: Mapping[str, JsonValue]) -> float:
    """Read the share of time that other processes took, which quiet recordings lack."""
    lost = reader.number(data, "lost", nodeid) if "lost" in data else 0.0
    if not 0 <= lost <= 1:
        raise reader.wrong(nodeid, f"lost is {lost!r:.60}, expected a share from 0 to 1")
    return lost


def _read_metric(reader: json_reader.JsonReader, nodeid: str, name: str, data: JsonValue) -> MetricStats:
    place = f"metrics.{name}"
    if not isinstance(data, dict):
        raise reader.wrong(nodeid, f"{place} is not an object")
    minima = reader.numbers(data, "minima", nodeid, place)
    medians = reader.numbers(data, "medians", nodeid, place)
    if len(minima) != len(medians) or not all(map(operator.le, minima, medians)):
        raise reader.wrong(nodeid, f"{place}: minima and medians do not match; there is one of each per process")
    rounds, unit = data.get("rounds"), reader.text(data, "unit", nodeid)
    if not json_reader.is_count(rounds):
        raise reader.wrong(nodeid, f"{place}.rounds is {rounds!r:.60}, expected a whole number above 0")
    kind = KINDS.get(metric_kind(name))
    if kind is None or unit != kind.unit:
        raise reader.wrong(nodeid, f"{place}.unit is {unit!r:.60}")
    return MetricStats(unit, minima, medians, rounds)
