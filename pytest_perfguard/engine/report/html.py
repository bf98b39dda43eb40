"""The HTML report: one file that opens offline, the most severe tests first.

The table is plain HTML, which every browser and no script can show. The details of the tests lie beside it, compressed, and a
script shows those that the reader opens. The most severe tests have their details in plain HTML, too.

All text from tests and users passes through `escape`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from pytest_perfguard.core.model import FAILING, Comparison, Finding, Unjudged
from pytest_perfguard.core.units import format_amount
from pytest_perfguard.engine.history.trends import Trend
from pytest_perfguard.engine.report.document import Report, ReportedTest
from pytest_perfguard.engine.report.flame import icicle_svg
from pytest_perfguard.engine.report.interval_bar import interval_bar, place
from pytest_perfguard.engine.report.links import commit_address
from pytest_perfguard.engine.report.markup import asset, escape, facts, filled, link, tag
from pytest_perfguard.engine.report.packed import packed
from pytest_perfguard.engine.report.panel import panel
from pytest_perfguard.engine.report.plot_data import plots_of
from pytest_perfguard.engine.report.text import (
    change_cell,
    counts_in_words,
    interval_cell,
    leading_finding,
    most_severe_first,
)
from pytest_perfguard.engine.report.trend_svg import trend_svg

_TITLES: Final = {
    "measure": "measured",
    "baseline": "recorded",
    "compare": "compared with",
    "against": "measured side by side with",
}
#: Number of tests whose details are plain HTML.
_MAX_PLAIN: Final = 10
_INTERVAL: Final = "interval"


class Column(NamedTuple):
    """A column of the table."""

    name: str
    cell: Callable[[Comparison], str]
    title: str = ""
    """The title as HTML, where it is not the name."""


def html_report(report: Report, trends: Sequence[Trend] = ()) -> str:
    """Return the text of the page; `trends` are the histories of its tests."""
    by_test: dict[str, list[Trend]] = {}
    for trend in trends:
        by_test.setdefault(trend.nodeid, []).append(trend)
    entries = most_severe_first(report.entries, key=lambda entry: entry.comparison)
    columns = _columns(entries)
    panels = [panel(entry, report) for entry in entries]
    plain = {index for index, entry in enumerate(entries[:_MAX_PLAIN]) if _is_failed(entry.comparison)}
    rows = (_row(entry, columns, panels[index] if index in plain else "") for index, entry in enumerate(entries))
    data = {
        **_sort_keys(entries),
        "column": 3 + next((index for index, column in enumerate(columns) if column.name == _INTERVAL), -9),
        "bars": [interval_bar(_time(entry.comparison)) for entry in entries],
        "panels": ["" if index in plain else text for index, text in enumerate(panels)],
        "pictures": [_pictures(entry, by_test.get(entry.nodeid, ())) for entry in entries],
        "plots": [plots_of(entry) for entry in entries],
    }
    parts = {
        "title": escape(f"{report.origin.project or 'perfguard'}: {counts_in_words(report.summary)}"),
        "style": asset("page.css") + _column_style(columns),
        "heading": heading(report),
        "chips": "".join(_chip(word, count) for word, count in report.summary.items()),
        "columns": "".join(
            f"<th scope=col>{title}"
            for title in ("verdict", "test", *(column.title or column.name for column in columns))
        ),
        "tests": "\n".join(rows),
        "legend": _legend(columns),
        "data": packed(data),
        "plotting": asset("plots.js"),
        "script": asset("page.js"),
    }
    return filled(asset("page.html"), parts)


def heading(report: Report) -> str:
    """Return the title of the page and the facts of the run, each once."""
    machine, origin = report.machine.facts, report.origin
    what = f"{_TITLES.get(report.mode, report.mode)} {report.against}".strip()
    rows = {
        "commit": link(report.commit, commit_address(origin.web, report.commit)),
        "at": escape(report.at.replace("T", " ").replace("Z", " UTC")),
        "run": link("CI run", origin.run) if origin.run else "",
        "machine": escape(
            ", ".join(
                str(part)
                for part in (
                    machine.get("cpu"),
                    f"{machine['cpus']} CPUs" if "cpus" in machine else None,
                    machine.get("system"),
                )
                if part
            )
        ),
        "Python": escape(str(machine.get("python_version", ""))),
    }
    interrupted = [] if report.complete else ["The run was interrupted: tests are missing."]
    remarks = "".join(tag("p", escape(text), class_="remark") for text in (*interrupted, *report.notes))
    name = f"{link(origin.project, origin.web)}: " if origin.project else ""
    return f"<h1>{name}{escape(what)}</h1>{remarks}{facts(rows)}"


def _columns(entries: Sequence[ReportedTest]) -> list[Column]:
    """Return the columns in which any test has a value: those of a comparison only where something was compared."""
    scale = "".join(
        f'<i style="left:{place(ratio)}%">{text}</i>' for ratio, text in ((0.5, "½x"), (1.0, "same"), (2.0, "2x"))
    )
    known = [
        Column("before", lambda item: _amount(_time(item), now=False), "time before"),
        Column("now", lambda item: _amount(_time(item), now=True), "now"),
        Column(_INTERVAL, _interval, f"interval<span class=scale aria-hidden=true>{scale}</span>"),
        Column("change", lambda item: change_cell(_time(item))),
        Column("CPU", _cpu, "CPU time"),
        Column("memory", _memory),
    ]
    used = [column for column in known if any(column.cell(entry.comparison) for entry in entries)]
    is_compared = any(column.name == "before" for column in used)
    if is_compared:
        return [column for column in used if column.name != "CPU"]
    return [column._replace(title="time") if column.name == "now" else column for column in used]


def _row(entry: ReportedTest, columns: Sequence[Column], plain: str) -> str:
    """Return the row of a test, and a row with its details if they are plain HTML. End tags are optional in tables."""
    comparison = entry.comparison
    word = str(comparison.outcome)
    shown = f"{word}, accepted" if comparison.accepted_by is not None else word
    cells = "".join(f"<td>{escape(column.cell(comparison))}" for column in columns)
    details = f"<tr class=panel><td colspan={len(columns) + 2}>{plain}" if plain else ""
    return f"<tr class={word}><td>{escape(shown)}<th>{escape(entry.nodeid)}{cells}{details}"


def _is_failed(comparison: Comparison) -> bool:
    return comparison.outcome in FAILING or comparison.outcome is Unjudged.BROKEN


def _pictures(entry: ReportedTest, trends: Sequence[Trend]) -> str:
    explanation = entry.comparison.explanation
    flames = explanation.flames if explanation is not None else ()
    shown = [tag("div", icicle_svg(flame), class_="scroll") for flame in flames]
    return "".join([*shown, *(trend_svg(trend) for trend in trends if len(trend.points) > 1)])


def _sort_keys(entries: Sequence[ReportedTest]) -> dict[str, list[float | None]]:
    """Return the numbers by which the script sorts, one list for each; 1e999, which JSON lacks, is written as a large one."""

    def short(value: float | None) -> float | None:
        return None if value is None else float(f"{min(value, 1e300):.4g}")

    def keys(entry: ReportedTest) -> Iterator[float | None]:
        time, memory = _time(entry.comparison), leading_finding(entry.comparison, "memory")
        yield short(time.change if time else None)
        yield short(time.candidate if time else None)
        yield short(memory.change if memory else None)
        yield short(entry.comparison.measurement.seconds)

    table = [list(keys(entry)) for entry in entries]
    return {name: [row[index] for row in table] for index, name in enumerate(("change", "time", "memory", "seconds"))}


def _column_style(columns: Sequence[Column]) -> str:
    """Return the rules that depend on the columns: the colour of the change, and titles within cells on a narrow screen."""
    names = enumerate(
        ({"now": "time"} if columns and columns[0].name != "before" else {}).get(column.name, column.name)
        for column in columns
    )
    rules = "".join(
        f'#tests>tbody>tr>td:nth-child({index + 3}):not(:empty)::before{{content:"{name} "}}' for index, name in names
    )
    change = 3 + next((index for index, column in enumerate(columns) if column.name == "change"), -9)
    toned = (
        f"#tests>tbody>tr:not(.panel)>td:nth-child({change}){{color:var(--tone);font-weight:600}}" if change > 0 else ""
    )
    return f"\n{toned}\n@media (max-width:52rem){{{rules}}}"


def _legend(columns: Sequence[Column]) -> str:
    if not any(column.name == _INTERVAL for column in columns):
        return ""
    return (
        "The bar is the interval of the ratio now / before, on a logarithmic axis from half to twice; the dot is the estimate, "
        "the line in the middle no change, the dashed line the largest ratio that is allowed."
    )


def _chip(word: str, count: int) -> str:
    return tag("button", f"{escape(word)} {count}", class_=f"chip {word}", type="button", data_verdict=word)


def _time(comparison: Comparison) -> Finding | None:
    return leading_finding(comparison, "time", "cpu")


def _amount(finding: Finding | None, *, now: bool) -> str:
    if finding is None:
        return ""
    value = finding.candidate if now else finding.baseline
    return format_amount(value, finding.unit) if value is not None and math.isfinite(value) else ""


def _interval(comparison: Comparison) -> str:
    finding = _time(comparison)
    return interval_cell(finding) if finding is not None and finding.baseline is not None else ""


def _cpu(comparison: Comparison) -> str:
    finding = leading_finding(comparison, "cpu")
    return _amount(finding, now=True) if leading_finding(comparison, "time") is not None else ""


def _memory(comparison: Comparison) -> str:
    finding = leading_finding(comparison, "memory")
    return change_cell(finding) or _amount(finding, now=True)
