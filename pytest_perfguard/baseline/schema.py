"""The form of the baseline file: one test per line, keys sorted, the same bytes for the same content.

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

Time and version stand in `stamp`, so that the line of a test changes with its own record only. `minima` and `medians`
must agree in length and order, so that a merge of two half lines does not go unnoticed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pytest_perfguard.baseline import fields
from pytest_perfguard.errors import BaselineUnreadable
from pytest_perfguard.metrics import metric_kind
from pytest_perfguard.model import Record, Recorded
from pytest_perfguard.values import KINDS

SCHEMA: Final = 1


@dataclass(frozen=True)
class MachineClass:
    """The part of the file that belongs to one class of machines and interpreters."""

    machine: Mapping[str, object] = field(default_factory=dict)
    stamp: Mapping[str, object] = field(default_factory=dict)
    tests: Mapping[str, Record] = field(default_factory=dict)


@dataclass(frozen=True)
class Baseline:
    """The whole file."""

    classes: Mapping[str, MachineClass] = field(default_factory=dict)

    def tests_of(self, class_name: str) -> Mapping[str, Record]:
        """The records of one machine class."""
        return self.classes[class_name].tests if class_name in self.classes else {}


def to_text(baseline: Baseline) -> str:
    """The file's content."""
    classes = [_class_lines(name, part) for name, part in sorted(baseline.classes.items())]
    return f'{{\n"schema": {SCHEMA},\n"classes": {{\n' + ",\n".join(classes) + "\n}\n}\n"


def from_text(text: str, path: str) -> Baseline:
    """The baseline that this text holds; `path` is named in errors.

    Raises
    ------
    BaselineUnreadable
        with the line and the field at fault.
    """
    content = fields.load(text, path)
    schema = content.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise BaselineUnreadable(
            path, f"schema {schema} is newer than this perfguard, which reads up to {SCHEMA}", 2, "upgrade perfguard"
        )
    reader = fields.Reader(path, text)
    reader.expect(schema == SCHEMA, '"schema"', f"schema is {schema!r}, expected {SCHEMA}")
    classes = reader.mapping(content, "classes", '"classes"')
    return Baseline({name: _read_class(reader, name, part) for name, part in classes.items()})


def _class_lines(name: str, part: MachineClass) -> str:
    tests = [f"{_line(nodeid)}: {record_text(record)}" for nodeid, record in sorted(part.tests.items())]
    head = f'{_line(name)}: {{\n"machine": {_line(part.machine)},\n"stamp": {_line(part.stamp)},\n"tests": {{\n'
    return head + ",\n".join(tests) + "\n}\n}"


def record_text(record: Record) -> str:
    """How the file writes this record."""
    return _line(_record_data(record))


def _line(value: object) -> str:
    # Every character that could end a line, or that an editor could alter, is escaped.
    return json.dumps(value, sort_keys=True, ensure_ascii=True, allow_nan=False)


def _record_data(record: Record) -> dict[str, object]:
    metrics = {
        name: {"medians": list(kept.medians), "minima": list(kept.minima), "rounds": kept.rounds, "unit": kept.unit}
        for name, kept in record.metrics.items()
    }
    imports = {"imports": sorted(record.imports)} if record.imports else {}
    return {
        **imports,
        "commit": record.commit,
        "conditions": dict(record.conditions),
        "iterations": dict(record.iterations),
        "kernel": record.kernel,
        "metrics": metrics,
        "paces": list(record.paces),
        "source": record.source,
    }


def _read_class(reader: fields.Reader, name: str, part: Any) -> MachineClass:
    key = json.dumps(name)
    reader.expect(isinstance(part, dict), key, f"class {name} is not an object")
    tests = {nodeid: _read_record(reader, nodeid, data) for nodeid, data in reader.mapping(part, "tests", key).items()}
    return MachineClass(reader.mapping(part, "machine", key), reader.mapping(part, "stamp", key), tests)


def _read_record(reader: fields.Reader, nodeid: str, data: Any) -> Record:
    key = json.dumps(nodeid)
    reader.expect(isinstance(data, dict), key, f"the record of {nodeid} is not an object")
    iterations = reader.mapping(data, "iterations", key)
    for label, count in iterations.items():
        reader.expect(fields.is_count(count), key, f"iterations.{label} is {count!r}, expected a whole number above 0")
    conditions = reader.mapping(data, "conditions", key)
    for name, state in conditions.items():
        reader.expect(isinstance(state, bool), key, f"conditions.{name} is {state!r}, expected true or false")
    metrics = {
        name: _read_metric(reader, key, name, value) for name, value in reader.mapping(data, "metrics", key).items()
    }
    return Record(
        source=reader.text(data, "source", key),
        commit=reader.text(data, "commit", key),
        kernel=reader.number(data, "kernel", key),
        iterations=iterations,
        metrics=metrics,
        conditions=conditions,
        paces=reader.numbers(data, "paces", key, "the record"),
        imports=reader.texts(data, "imports", key),
    )


def _read_metric(reader: fields.Reader, key: str, name: str, data: Any) -> Recorded:
    reader.expect(isinstance(data, dict), key, f"metrics.{name} is not an object")
    minima = reader.numbers(data, "minima", key, f"metrics.{name}")
    medians = reader.numbers(data, "medians", key, f"metrics.{name}")
    consistent = len(minima) == len(medians) and all(low <= mid for low, mid in zip(minima, medians, strict=False))
    reader.expect(consistent, key, f"metrics.{name}: minima and medians do not belong together")
    rounds = data.get("rounds")
    reader.expect(fields.is_count(rounds), key, f"metrics.{name}.rounds is {rounds!r}, expected a whole number above 0")
    unit = reader.text(data, "unit", key)
    reader.expect(
        metric_kind(name) in KINDS and unit == KINDS[metric_kind(name)].unit, key, f"metrics.{name}.unit is {unit!r}"
    )
    return Recorded(unit, minima, medians, rounds)
