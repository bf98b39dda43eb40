"""The JSON report, written and read back. Its fields are a public contract (docs/report.md).

Nothing in a report that is read is trusted: every value is checked, and nothing is executed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from pytest_perfguard.core.errors import ReportUnreadable
from pytest_perfguard.core.explanation import Explanation
from pytest_perfguard.core.json_values import JsonObject, JsonValue
from pytest_perfguard.core.metric_stats import MetricStats, rounded
from pytest_perfguard.core.model import Acceptance, Comparison, Finding, Machine, Measurement, Pairing, Verdict
from pytest_perfguard.engine.baseline import json_reader
from pytest_perfguard.engine.baseline.schema import read_record, record_data
from pytest_perfguard.engine.report.document import QUANTILES, MetricSides, Report, ReportedTest, stats_data
from pytest_perfguard.engine.report.links import Origin

SCHEMA: Final = 1
#: Logarithms beyond this belong to no ratio that a float can hold.
_MAX_LOG: Final = 700.0
_MODES: Final = ("measure", "baseline", "compare", "against")


def json_report(report: Report) -> str:
    """Return the text of the report. Amounts are per iteration, in the unit beside them."""
    content = {
        "schema": SCHEMA,
        "mode": report.mode,
        "project": {"name": report.origin.project, "url": report.origin.web, "folder": report.origin.folder},
        "run": report.origin.run,
        "at": report.at,
        "commit": report.commit,
        "against": report.against,
        "complete": report.complete,
        "notes": list(report.notes),
        "machine": {"class": report.machine.name, **report.machine.facts},
        "settings": report.settings,
        "summary": report.summary,
        "tests": [_test_data(entry) for entry in sorted(report.entries, key=lambda entry: entry.nodeid)],
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def read_report(text: str, path: str) -> Report:
    """Return the report in this text; `path` appears in errors.

    Raises
    ------
    ReportUnreadable
        with the line and the field that are wrong.
    """
    content = json_reader.load(text, path, ReportUnreadable)
    reader = _ReportReader(path, text, ReportUnreadable)
    schema, mode = content.get("schema"), content.get("mode")
    reader.expect(
        "classes" not in content, "classes", "this is a baseline file, and a JSON report of a run is expected"
    )
    if json_reader.is_count(schema) and schema > SCHEMA:
        raise json_reader.newer(path, schema, SCHEMA, ReportUnreadable)
    reader.expect(schema == SCHEMA, "schema", f"schema is {schema!r}, expected {SCHEMA}")
    reader.expect(mode in _MODES, "mode", f"mode is {mode!r}, expected one of {', '.join(_MODES)}")
    machine = dict(reader.mapping(content, "machine", "machine"))
    name = reader.text(machine, "class", "machine")
    tests = reader.objects(content, "tests", "tests")
    entries = tuple(_read_test(reader, data) for data in tests)
    names = [entry.nodeid for entry in entries]
    reader.expect(len(set(names)) == len(names), "tests", "a test occurs twice")
    return Report(
        mode=str(mode),
        machine=Machine(name, {key: value for key, value in machine.items() if key != "class"}),
        settings=reader.mapping(content, "settings", "settings"),
        entries=entries,
        at=reader.optional_text(content, "at", "at"),
        commit=reader.optional_text(content, "commit", "commit"),
        against=reader.optional_text(content, "against", "against"),
        complete=content.get("complete", True) is True,
        notes=reader.texts(content, "notes", "notes"),
        origin=_read_origin(reader, content),
    )


def _read_origin(reader: _ReportReader, content: Mapping[str, JsonValue]) -> Origin:
    """Return the origin of a report; older ones name none."""
    project = reader.mapping(content, "project", "project") if "project" in content else {}
    name, web, folder = (reader.optional_text(project, field, "project") for field in ("name", "url", "folder"))
    return Origin(name, web, reader.optional_text(content, "run", "run"), folder)


def _test_data(entry: ReportedTest) -> dict[str, object]:
    comparison = entry.comparison
    return {
        "nodeid": comparison.nodeid,
        "verdict": str(comparison.verdict) if comparison.verdict else None,
        "seconds": round(comparison.measurement.seconds, 3),
        "processes": comparison.measurement.processes,
        "paired": _pairing_data(comparison),
        "reason": comparison.broken or comparison.reason,
        "broken": bool(comparison.broken),
        "accepted_by": [_acceptance_data(acceptance) for acceptance in comparison.accepted_by],
        "notes": list(comparison.measurement.notes),
        "file": entry.file,
        "line": entry.line,
        "base": entry.base,
        "headline": entry.headline,
        "explanation": _explanation_data(entry),
        "metrics": [_metric_data(finding, entry.sides.get(finding.name)) for finding in comparison.findings],
        "record": record_data(entry.record) if entry.record is not None else None,
    }


def _explanation_data(entry: ReportedTest) -> dict[str, object]:
    """Return the lines of the failure, and the findings of the profiles if both sides were profiled."""
    profiled = entry.comparison.explanation
    return {"lines": list(entry.lines), **(profiled.to_json() if profiled is not None else {})}


def _acceptance_data(acceptance: Acceptance) -> dict[str, object]:
    return {
        "author": acceptance.author,
        "commit": acceptance.place,
        "tests": acceptance.tests,
        "metric": acceptance.metric,
        "share": acceptance.share,
    }


def _pairing_data(comparison: Comparison) -> dict[str, object] | None:
    pairing = comparison.pairing
    if pairing is None:
        return None
    return {
        "revision": pairing.revision,
        "pairs": pairing.measurement.processes,
        "pinned": pairing.pinned,
        "why": pairing.why or "",
    }


def _metric_data(finding: Finding, sides: MetricSides | None) -> dict[str, object]:
    return {
        "name": finding.name,
        "unit": finding.unit,
        "baseline": finding.baseline,
        "candidate": finding.candidate,
        "ratio": finding.ratio,
        "interval": list(finding.interval) if finding.interval else None,
        "verdict": str(finding.verdict) if finding.verdict else None,
        "rounds": finding.rounds,
        "limit": finding.limit,
        "smallest_detectable": finding.smallest,
        "reason": finding.reason,
        "details": list(finding.details),
        "samples": _sides_data(sides) if sides is not None else None,
    }


def _sides_data(sides: MetricSides) -> dict[str, object]:
    return {
        "baseline": stats_data(sides.baseline) if sides.baseline is not None else None,
        "candidate": stats_data(sides.candidate),
        "log_ratios": list(map(rounded, sides.log_ratios)),
    }


class _ReportReader(json_reader.JsonReader):
    """Reader of the values that occur in reports only."""

    def expect(self, condition: bool, key: str, problem: str) -> None:
        """Raise an error unless the condition holds."""
        if not condition:
            raise self.wrong(key, problem)

    def objects(self, data: Mapping[str, JsonValue], name: str, key: str) -> list[JsonObject]:
        value = data.get(name)
        objects = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
        if not isinstance(value, list) or len(objects) != len(value):
            raise self.wrong(key, f"{name} is {value!r:.60}, expected a list of objects")
        return objects

    def optional_text(self, data: Mapping[str, JsonValue], name: str, key: str) -> str:
        """Return a text that older reports lack."""
        return self.text(data, name, key) if name in data else ""

    def signed(self, data: Mapping[str, JsonValue], name: str, key: str) -> float:
        """Return a number that may be negative, such as memory that shrank in a leak check."""
        value = data.get(name)
        if not json_reader.is_finite(value):
            raise self.wrong(key, f"{name} is {value!r:.60}, expected a number")
        return float(value)

    def optional_number(self, data: Mapping[str, JsonValue], name: str, key: str) -> float | None:
        """Return an amount, or None for null."""
        return None if data.get(name) is None else self.number(data, name, key)

    def finite_numbers(self, data: Mapping[str, JsonValue], name: str, key: str) -> tuple[float, ...]:
        """Return finite numbers of any sign; none where the field is absent."""
        values = data.get(name, [])
        numbers = [float(value) for value in values if json_reader.is_finite(value)] if isinstance(values, list) else []
        if not isinstance(values, list) or len(numbers) != len(values):
            raise self.wrong(key, f"{name} is {values!r:.60}, expected a list of numbers")
        return tuple(numbers)

    def log_ratios(self, data: Mapping[str, JsonValue], key: str) -> tuple[float, ...]:
        """Return logarithms whose ratios are finite numbers, too."""
        values = self.finite_numbers(data, "log_ratios", key)
        self.expect(all(abs(value) < _MAX_LOG for value in values), key, f"log_ratios is {values!r:.60}")
        return values

    def verdict(self, data: Mapping[str, JsonValue], key: str) -> Verdict | None:
        value = data.get("verdict")
        valid = [str(verdict) for verdict in Verdict]
        self.expect(value is None or value in valid, key, f"verdict is {value!r}, expected one of {', '.join(valid)}")
        return None if value is None else Verdict(value)

    def count(self, data: Mapping[str, JsonValue], name: str, key: str) -> int:
        value = data.get(name, 0)
        if value != 0 and not json_reader.is_count(value):
            raise self.wrong(key, f"{name} is {value!r}, expected a whole number")
        return int(value or 0)


def _read_test(reader: _ReportReader, data: JsonObject) -> ReportedTest:
    nodeid = key = reader.text(data, "nodeid", "tests")
    metrics = reader.objects(data, "metrics", key)
    reason = reader.text(data, "reason", key)
    # Older reports lack the field.
    broken = data.get("broken", data.get("verdict") is None and bool(reason) and not metrics) is True
    measurement = Measurement(
        processes=reader.count(data, "processes", key),
        seconds=reader.number(data, "seconds", key),
        notes=reader.texts(data, "notes", key),
    )
    comparison = Comparison(
        nodeid=nodeid,
        verdict=reader.verdict(data, key),
        findings=tuple(_read_finding(reader, key, metric) for metric in metrics),
        measurement=measurement,
        reason="" if broken else reason,
        pairing=_read_pairing(reader, key, data),
        broken=reason if broken else None,
        accepted_by=tuple(_read_acceptances(reader, key, data)),
    )
    lines, explanation = _read_explanation(reader, key, data)
    comparison = replace(comparison, explanation=explanation)
    record = data.get("record")
    return ReportedTest(
        comparison=comparison,
        sides={str(metric["name"]): sides for metric in metrics if (sides := _read_sides(reader, key, metric))},
        record=read_record(reader, nodeid, record) if record is not None else None,
        file=reader.optional_text(data, "file", key),
        line=reader.count(data, "line", key),
        base=reader.optional_text(data, "base", key),
        lines=lines,
        headline=reader.optional_text(data, "headline", key),
    )


def _read_explanation(
    reader: _ReportReader, key: str, data: Mapping[str, JsonValue]
) -> tuple[tuple[str, ...], Explanation | None]:
    """Return the lines of the failure and the findings of the profiles; older reports hold a list of lines instead."""
    if not isinstance(data.get("explanation"), dict):
        return reader.texts(data, "explanation", key), None
    stored = reader.mapping(data, "explanation", key)
    lines = reader.texts(stored, "lines", key)
    if "metrics" not in stored:
        return lines, None
    try:
        return lines, Explanation.from_json(stored)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise reader.wrong(key, f"explanation cannot be read: {error!r}") from None


def _read_acceptances(reader: _ReportReader, key: str, data: Mapping[str, JsonValue]) -> Iterator[Acceptance]:
    for accepted in reader.objects(data, "accepted_by", key) if "accepted_by" in data else ():
        author, commit, tests, metric = (
            reader.text(accepted, name, key) for name in ("author", "commit", "tests", "metric")
        )
        yield Acceptance(tests, metric, reader.number(accepted, "share", key), author, commit)


def _read_pairing(reader: _ReportReader, key: str, data: Mapping[str, JsonValue]) -> Pairing | None:
    if data.get("paired") is None:
        return None
    paired = reader.mapping(data, "paired", key)
    base = Measurement(processes=reader.count(paired, "pairs", key))
    return Pairing(
        reader.text(paired, "revision", key),
        base,
        reader.text(paired, "why", key) or None,
        paired.get("pinned") is True,
    )


def _read_finding(reader: _ReportReader, key: str, data: Mapping[str, JsonValue]) -> Finding:
    interval = reader.finite_numbers(data, "interval", key) if data.get("interval") is not None else ()
    reader.expect(len(interval) in (0, 2), key, f"interval is {interval!r}, expected two numbers")
    return Finding(
        name=reader.text(data, "name", key),
        unit=reader.text(data, "unit", key),
        verdict=reader.verdict(data, key),
        candidate=reader.signed(data, "candidate", key),
        baseline=reader.optional_number(data, "baseline", key),
        interval=(interval[0], interval[1]) if interval else None,
        limit=reader.optional_number(data, "limit", key),
        rounds=reader.count(data, "rounds", key),
        reason=reader.optional_text(data, "reason", key),
        smallest=reader.optional_number(data, "smallest_detectable", key),
        estimated_ratio=reader.optional_number(data, "ratio", key),
        details=reader.texts(data, "details", key),
    )


def _read_sides(reader: _ReportReader, key: str, metric: Mapping[str, JsonValue]) -> MetricSides | None:
    if metric.get("samples") is None:
        return None
    samples = reader.mapping(metric, "samples", key)
    unit, has_baseline = reader.text(metric, "unit", key), samples.get("baseline") is not None
    return MetricSides(
        _read_stats(reader, key, unit, reader.mapping(samples, "candidate", key)),
        _read_stats(reader, key, unit, reader.mapping(samples, "baseline", key)) if has_baseline else None,
        reader.log_ratios(samples, key),
    )


def _read_stats(reader: _ReportReader, key: str, unit: str, data: Mapping[str, JsonValue]) -> MetricStats:
    quantiles = reader.finite_numbers(data, "quantiles", key)
    reader.expect(len(quantiles) in (0, len(QUANTILES)), key, f"expected {len(QUANTILES)} quantiles")
    minima = reader.numbers(data, "minima", key, "samples")
    return MetricStats(unit, minima, reader.numbers(data, "medians", key, "samples"), quantiles=quantiles)
