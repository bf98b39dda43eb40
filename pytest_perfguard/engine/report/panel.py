"""The details of one test in the HTML report: its place, its metrics, its explanation and how it was measured."""

from __future__ import annotations

from typing import Final

from pytest_perfguard.core.model import Comparison, Finding
from pytest_perfguard.core.text import plural
from pytest_perfguard.core.units import format_amount, format_duration
from pytest_perfguard.engine.profile.lines import where_lines
from pytest_perfguard.engine.report.document import Report, ReportedTest
from pytest_perfguard.engine.report.explain import NEXT_STEPS
from pytest_perfguard.engine.report.links import line_address
from pytest_perfguard.engine.report.markup import badge, escape, link, tag
from pytest_perfguard.engine.report.text import change_cell, each_reason_once, interval_cell, smallest_in_words

_TITLES: Final = ("metric", "before", "now", "change", "interval", "allowed", "verdict")


def panel(entry: ReportedTest, report: Report) -> str:
    """Return the details as HTML, without pictures."""
    comparison = entry.comparison
    parts = [_place(entry, report)]
    if comparison.findings:
        parts.append(tag("div", _findings(comparison), class_="scroll"))
    if text := _explanation(entry):
        parts.append(tag("pre", escape(text)))
    notes = [*_extent(comparison), *comparison.measurement.notes]
    if comparison.pairing is not None and comparison.pairing.why:
        notes.append(f"measured side by side, because: {comparison.pairing.why}")
    listed = "".join(f"<li>{escape(line)}</li>" for line in notes)
    return "".join([*parts, f"<ul>{listed}</ul>" if notes else ""])


def _place(entry: ReportedTest, report: Report) -> str:
    """Return the file and the line, linked where the code is on a known host and nothing was changed since the commit."""
    if not entry.file:
        return ""
    text = f"{entry.file}:{entry.line}" if entry.line else entry.file
    return f"<p>{link(text, line_address(report.origin, report.commit, entry.file, entry.line))}</p>"


def _explanation(entry: ReportedTest) -> str:
    """Return the text on a failure that the table of metrics does not have: its first line, the cause, the next steps."""
    comparison = entry.comparison
    if comparison.broken or not entry.lines:
        return "\n".join(entry.lines) or comparison.broken or comparison.reason
    if NEXT_STEPS not in entry.lines or not comparison.findings:
        return "\n".join(entry.lines)
    cause = where_lines(comparison.explanation) if comparison.explanation is not None else ()
    steps = entry.lines[entry.lines.index(NEXT_STEPS) :]
    return "\n".join([entry.lines[0], *filter(None, [comparison.reason]), *cause, "", *steps])


def _extent(comparison: Comparison) -> list[str]:
    measurement, pairing = comparison.measurement, comparison.pairing
    if not measurement.processes:
        return []
    count = plural(measurement.processes, "pair" if pairing is not None else "process")
    unit, beside = (" of processes", f", beside {pairing.revision}") if pairing is not None else ("", "")
    return [f"{count}{unit}, {format_duration(measurement.seconds)} of measuring{beside}"]


def _findings(comparison: Comparison) -> str:
    """Return a table of all metrics, without columns that are empty."""
    rows = [_row(finding) for finding in each_reason_once(comparison.findings)]
    used = [index for index, _title in enumerate(_TITLES) if any(row[index] for row in rows)]
    head = "".join(f"<th scope=col>{_TITLES[index]}" for index in used)
    body = "".join("<tr>" + "".join(f"<td>{row[index]}" for index in used) for row in rows)
    return f"<table><thead><tr>{head}<tbody>{body}</table>"


def _row(finding: Finding) -> list[str]:
    cells = [
        finding.name,
        format_amount(finding.baseline, finding.unit) if finding.baseline is not None else "",
        format_amount(finding.candidate, finding.unit),
        change_cell(finding),
        interval_cell(finding),
        format_amount(finding.limit, finding.unit) if finding.limit is not None else "",
    ]
    lines = [finding.reason, *finding.details]
    if finding.smallest is not None:
        lines.append(smallest_in_words(finding.smallest))
    why = "".join(f"<div>{escape(line)}</div>" for line in lines if line)
    return [*map(escape, cells), (badge(str(finding.verdict)) if finding.verdict else "") + why]
