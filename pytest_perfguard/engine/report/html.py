"""The HTML report: one file that opens offline, with what got worse at the top."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from functools import cache
from importlib import resources

from pytest_perfguard.core.errors import MissingExtra
from pytest_perfguard.core.model import Comparison, Finding
from pytest_perfguard.core.units import format_amount, format_duration
from pytest_perfguard.engine.history.trends import Trend
from pytest_perfguard.engine.report.change_text import change_cell, each_reason_once, interval_cell, smallest_in_words
from pytest_perfguard.engine.report.document import Entry, Report
from pytest_perfguard.engine.report.flame import icicle_svg
from pytest_perfguard.engine.report.html_parts import amounts, badge, escape, interval_bar, tag
from pytest_perfguard.engine.report.plot_data import plots_of
from pytest_perfguard.engine.report.text import leading_finding, most_severe_first, verdict_word

_TITLES = {
    "history": "history of",
    "measure": "measured",
    "baseline": "recorded",
    "compare": "compared with",
    "against": "measured side by side with",
}


def check_available() -> None:
    """Raise `MissingExtra` where the plots cannot be had."""
    _plotly()


def html_report(report: Report, tracks: Sequence[Trend] = ()) -> str:
    """The page's text; `tracks` are the histories of its tests."""
    by_test: dict[str, list[Trend]] = {}
    for track in tracks:
        by_test.setdefault(track.nodeid, []).append(track)
    entries = most_severe_first(report.entries, key=lambda entry: entry.comparison)
    plots = [plots_of(entry, by_test.get(entry.nodeid, ())) for entry in entries]
    template = _asset("page.html")
    parts = {
        "title": escape(f"perfguard: {_counts(report)}"),
        "style": _asset("page.css"),
        "heading": _heading(report),
        "chips": "".join(_chip(word, count) for word, count in report.summary.items()),
        "tests": "\n".join(_test(entry, index, plots[index]) for index, entry in enumerate(entries)),
        "plots": _embedded(plots),
        "script": _asset("page.js"),
        "plotly": _plotly(),
    }
    # One pass, so that a test named like a placeholder is not replaced.
    pieces = template.split("@@")
    return "".join(parts[piece] if index % 2 else piece for index, piece in enumerate(pieces))


@cache
def _plotly() -> str:
    """The drawing script that plotly brings, compressed: base64 of gzip."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise MissingExtra("the HTML report", "plotly", "html") from None
    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode("ascii")


def _asset(name: str) -> str:
    return (resources.files("pytest_perfguard.engine.report") / "assets" / name).read_text(encoding="utf-8")


def _embedded(data: object) -> str:
    """JSON inside of a script element, which `</script>` in a test's name must not end."""
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _counts(report: Report) -> str:
    return ", ".join(f"{count} {word}" for word, count in report.summary.items()) or "nothing measured"


def _heading(report: Report) -> str:
    facts = report.machine.facts
    told = {
        "mode": f"{_TITLES[report.mode]} {report.against}".strip(),
        "commit": report.commit,
        "at": report.at,
        "machine": f"{facts.get('cpu', '')}, {facts.get('cpus', '?')} CPUs, {facts.get('system', '')}".strip(", "),
        "Python": str(facts.get("python_version", "")),
    }
    rows = "".join(f"<div><dt>{name}</dt><dd>{escape(text)}</dd></div>" for name, text in told.items() if text)
    cut = [] if report.complete else ["The run was interrupted: tests are lacking."]
    remarks = "".join(tag("p", escape(text), class_="remark") for text in (*cut, *report.notes))
    return f"<h1>{escape(_counts(report))}</h1>{remarks}<dl>{rows}</dl>"


def _chip(word: str, count: int) -> str:
    return tag("button", f"{escape(word)} {count}", class_=f"chip {word}", type="button", data_verdict=word)


def _test(entry: Entry, index: int, plots: Sequence[object]) -> str:
    comparison = entry.comparison
    time, memory = leading_finding(comparison, "time", "cpu"), leading_finding(comparison, "memory")
    word = verdict_word(comparison)
    summary = "".join(
        [
            badge(word),
            tag("span", escape(entry.nodeid), class_="name"),
            tag("span", amounts(time), class_="amounts"),
            tag("span", interval_bar(time), class_="interval-cell"),
            tag("span", escape(change_cell(time)), class_="change"),
            tag("span", _memory(memory), class_="memory"),
        ]
    )
    return tag(
        "details",
        f"<summary>{summary}</summary>{_panel(entry, drawn=bool(plots))}",
        class_=f"test {word}",
        data_index=index,
        data_nodeid=entry.nodeid,
        data_verdict=word,
        data_change=_sortable(time.ratio if time else None),
        data_time=_sortable(time.candidate if time else None),
        data_memory=_sortable(memory.ratio if memory else None),
        data_seconds=_sortable(comparison.measurement.seconds),
    )


def _memory(finding: Finding | None) -> str:
    if finding is None:
        return ""
    return escape(f"memory {change_cell(finding) or format_amount(finding.candidate, finding.unit)}")


def _panel(entry: Entry, *, drawn: bool) -> str:
    comparison = entry.comparison
    parts = [tag("div", _findings(comparison), class_="scroll")] if comparison.findings else []
    if drawn:
        parts.append('<div class="plots"></div>')
    if entry.lines:
        parts.append(tag("pre", escape("\n".join(entry.lines))))
    elif comparison.broken or comparison.reason:
        parts.append(tag("pre", escape(comparison.broken or comparison.reason)))
    if comparison.explanation is not None:
        parts += [tag("div", icicle_svg(flame), class_="scroll") for flame in comparison.explanation.flames]
    told = [_extent(comparison), *comparison.measurement.notes]
    if comparison.pairing is not None and comparison.pairing.why:
        told.append(f"measured side by side, because: {comparison.pairing.why}")
    parts.append(tag("ul", "".join(f"<li>{escape(line)}</li>" for line in told), class_="notes"))
    return tag("div", "".join(parts), class_="panel")


def _extent(comparison: Comparison) -> str:
    measurement, pairing = comparison.measurement, comparison.pairing
    unit = "pairs of processes" if pairing is not None else "processes"
    beside = f", beside {pairing.revision}" if pairing is not None else ""
    return f"{measurement.processes} {unit}, {format_duration(measurement.seconds)} of measuring{beside}"


def _findings(comparison: Comparison) -> str:
    head = "".join(f"<th>{name}</th>" for name in ("metric", "was", "now", "change", "interval", "allowed", "verdict"))
    rows = "".join(_finding_row(finding) for finding in each_reason_once(comparison.findings))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _finding_row(finding: Finding) -> str:
    cells = [
        finding.name,
        format_amount(finding.baseline, finding.unit) if finding.baseline is not None else "",
        format_amount(finding.candidate, finding.unit),
        change_cell(finding),
        interval_cell(finding),
        format_amount(finding.limit, finding.unit) if finding.limit is not None else "",
    ]
    last = badge(str(finding.verdict)) if finding.verdict else ""
    said = [finding.reason, *finding.details]
    if finding.smallest is not None:
        said.append(smallest_in_words(finding.smallest))
    told = "".join(f"<div class='why'>{escape(line)}</div>" for line in said if line)
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + f"<td>{last}{told}</td></tr>"


def _sortable(value: float | None) -> str:
    return "" if value is None else f"{value:.9g}"
