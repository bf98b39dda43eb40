"""Reading a JSON report back. Nothing in it is trusted: each value is checked, and none is ever executed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pytest_perfguard.core.errors import ReportUnreadable
from pytest_perfguard.core.explanation import Explanation
from pytest_perfguard.core.model import Comparison, Finding, Machine, Measurement, Pairing, Verdict
from pytest_perfguard.engine.baseline import fields
from pytest_perfguard.engine.baseline.schema import read_record
from pytest_perfguard.engine.report.document import QUANTILES, Entry, Report, Sides, Spread
from pytest_perfguard.engine.report.json import SCHEMA

_LARGEST_LOG: Final = 700.0
_MODES: Final = ("measure", "baseline", "compare", "against")


def read_report(text: str, path: str) -> Report:
    """The report that this text holds; `path` is named in errors.

    Raises
    ------
    ReportUnreadable
        with the line and the field at fault.
    """
    content = fields.load(text, path, ReportUnreadable)
    reader = _Reader(path, text, ReportUnreadable)
    schema, mode = content.get("schema"), content.get("mode")
    reader.expect(schema == SCHEMA, "schema", f"schema is {schema!r}, expected {SCHEMA}")
    reader.expect(mode in _MODES, "mode", f"mode is {mode!r}, expected one of {', '.join(_MODES)}")
    machine = dict(reader.mapping(content, "machine", "machine"))
    name = reader.text(machine, "class", "machine")
    tests = reader.objects(content, "tests", "tests")
    entries = tuple(_entry(reader, data) for data in tests)
    names = [entry.nodeid for entry in entries]
    reader.expect(len(set(names)) == len(names), "tests", "a test occurs twice")
    return Report(
        mode=str(mode),
        machine=Machine(name, {key: value for key, value in machine.items() if key != "class"}),
        settings=reader.mapping(content, "settings", "settings"),
        entries=entries,
        at=reader.text_or_nothing(content, "at", "at"),
        commit=reader.text_or_nothing(content, "commit", "commit"),
        against=reader.text_or_nothing(content, "against", "against"),
        complete=content.get("complete", True) is True,
        notes=reader.texts(content, "notes", "notes"),
    )


class _Reader(fields.Reader):
    """With what only reports hold."""

    def expect(self, condition: bool, key: str, problem: str) -> None:
        if not condition:
            raise self.wrong(key, problem)

    def objects(self, data: Mapping[str, Any], name: str, key: str) -> list[dict[str, Any]]:
        value = data.get(name)
        right = isinstance(value, list) and all(isinstance(item, dict) for item in value)
        self.expect(right, key, f"{name} is {value!r:.60}, expected a list of objects")
        return value  # type: ignore[return-value]  # checked above

    def text_or_nothing(self, data: Mapping[str, Any], name: str, key: str) -> str:
        """A text that older reports lack."""
        return self.text(data, name, key) if name in data else ""

    def signed(self, data: Mapping[str, Any], name: str, key: str) -> float:
        """A number that may be negative: what a leak check saw shrink."""
        value = data.get(name)
        self.expect(fields.is_finite(value), key, f"{name} is {value!r:.60}, expected a number")
        return float(value)  # type: ignore[arg-type]  # checked above

    def maybe(self, data: Mapping[str, Any], name: str, key: str) -> float | None:
        """An amount, or null."""
        return None if data.get(name) is None else self.number(data, name, key)

    def series(self, data: Mapping[str, Any], name: str, key: str) -> tuple[float, ...]:
        """Finite numbers of any sign; none where the field is absent."""
        values = data.get(name, [])
        right = isinstance(values, list) and all(map(fields.is_finite, values))
        self.expect(right, key, f"{name} is {values!r:.60}, expected a list of numbers")
        return tuple(float(value) for value in values)

    def log_ratios(self, data: Mapping[str, Any], key: str) -> tuple[float, ...]:
        """Logarithms of ratios that are numbers themselves."""
        values = self.series(data, "log_ratios", key)
        self.expect(all(abs(value) < _LARGEST_LOG for value in values), key, f"log_ratios is {values!r:.60}")
        return values

    def verdict(self, data: Mapping[str, Any], key: str) -> Verdict | None:
        value = data.get("verdict")
        valid = [str(verdict) for verdict in Verdict]
        self.expect(value is None or value in valid, key, f"verdict is {value!r}, expected one of {', '.join(valid)}")
        return None if value is None else Verdict(value)

    def count(self, data: Mapping[str, Any], name: str, key: str) -> int:
        value = data.get(name, 0)
        self.expect(value == 0 or fields.is_count(value), key, f"{name} is {value!r}, expected a whole number")
        return int(value)


def _entry(reader: _Reader, data: dict[str, Any]) -> Entry:
    nodeid = reader.text(data, "nodeid", "tests")
    key = nodeid
    metrics = reader.objects(data, "metrics", key)
    reason = reader.text(data, "reason", key)
    # Older reports do not say it.
    broken = data.get("broken", data.get("verdict") is None and bool(reason) and not metrics) is True
    measurement = Measurement(
        processes=reader.count(data, "processes", key),
        seconds=reader.number(data, "seconds", key),
        notes=reader.texts(data, "notes", key),
    )
    lines, explanation = _explanation(reader, key, data)
    comparison = Comparison(
        nodeid=nodeid,
        verdict=reader.verdict(data, key),
        findings=tuple(_finding(reader, key, metric) for metric in metrics),
        measurement=measurement,
        reason="" if broken else reason,
        pairing=_pairing(reader, key, data),
        broken=reason if broken else "",
        explanation=explanation,
    )
    record = data.get("record")
    return Entry(
        comparison=comparison,
        sides={metric["name"]: sides for metric in metrics if (sides := _sides(reader, key, metric))},
        record=read_record(reader, nodeid, record) if record is not None else None,
        file=reader.text_or_nothing(data, "file", key),
        line=reader.count(data, "line", key),
        base=reader.text_or_nothing(data, "base", key),
        lines=lines,
        headline=reader.text_or_nothing(data, "headline", key),
    )


def _explanation(reader: _Reader, key: str, data: Mapping[str, Any]) -> tuple[tuple[str, ...], Explanation | None]:
    """The lines, and what the profiles found; an older report has a list of lines in its place."""
    if not isinstance(data.get("explanation"), dict):
        return reader.texts(data, "explanation", key), None
    kept = reader.mapping(data, "explanation", key)
    lines = reader.texts(kept, "lines", key)
    if "metrics" not in kept:
        return lines, None
    try:
        return lines, Explanation.from_json(kept)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise reader.wrong(key, f"explanation cannot be read: {error!r}") from None


def _pairing(reader: _Reader, key: str, data: Mapping[str, Any]) -> Pairing | None:
    if data.get("paired") is None:
        return None
    paired = reader.mapping(data, "paired", key)
    base = Measurement(processes=reader.count(paired, "pairs", key))
    return Pairing(
        reader.text(paired, "revision", key), base, reader.text(paired, "why", key), paired.get("pinned") is True
    )


def _finding(reader: _Reader, key: str, data: Mapping[str, Any]) -> Finding:
    interval = reader.series(data, "interval", key) if data.get("interval") is not None else ()
    reader.expect(len(interval) in (0, 2), key, f"interval is {interval!r}, expected two numbers")
    return Finding(
        name=reader.text(data, "name", key),
        unit=reader.text(data, "unit", key),
        verdict=reader.verdict(data, key),
        candidate=reader.signed(data, "candidate", key),
        baseline=reader.maybe(data, "baseline", key),
        interval=(interval[0], interval[1]) if interval else None,
        limit=reader.maybe(data, "limit", key),
        rounds=reader.count(data, "rounds", key),
        reason=reader.text_or_nothing(data, "reason", key),
        smallest=reader.maybe(data, "smallest_detectable", key),
        estimated_ratio=reader.maybe(data, "ratio", key),
        details=reader.texts(data, "details", key),
    )


def _sides(reader: _Reader, key: str, metric: Mapping[str, Any]) -> Sides | None:
    if metric.get("samples") is None:
        return None
    samples = reader.mapping(metric, "samples", key)
    base = samples.get("baseline")
    return Sides(
        _spread(reader, key, reader.mapping(samples, "candidate", key)),
        _spread(reader, key, reader.mapping(samples, "baseline", key)) if base is not None else None,
        reader.log_ratios(samples, key),
    )


def _spread(reader: _Reader, key: str, data: Mapping[str, Any]) -> Spread:
    quantiles = reader.series(data, "quantiles", key)
    reader.expect(len(quantiles) in (0, len(QUANTILES)), key, f"expected {len(QUANTILES)} quantiles")
    minima = reader.numbers(data, "minima", key, "samples")
    return Spread(minima, reader.numbers(data, "medians", key, "samples"), quantiles)
