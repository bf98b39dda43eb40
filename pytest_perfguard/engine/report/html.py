"""The HTML report: one file that opens offline, the most severe tests first.

The table is plain HTML, which every browser and no script can show. The details of the tests lie beside it, compressed, and a
script shows those that the reader opens. The most severe tests have their details in plain HTML, too.

All text from tests and users passes through `escape`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from pytest_perfguard.core.model import FAILING, Comparison, Finding, Unjudged
from pytest_perfguard.core.units import format_amount
from pytest_perfguard.engine.history.trends import Trend
from pytest_perfguard.engine.report.document import Report, ReportedTest
from pytest_perfguard.engine.report.flame import icicle_svg
from pytest_perfguard.engine.report.interval_bar import interval_bar, place
from pytest_perfguard.engine.report.links import commit_address
from pytest_perfguard.engine.report.markup import escape, facts, link, tag
from pytest_perfguard.engine.report.page import ColumnTitle, Page, Row, table_page
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
_LEGEND: Final = (
    "The bar is the interval of the ratio now / before, on a logarithmic axis from half to twice; the dot is the estimate, the "
    "line in the middle no change, the dashed line the largest ratio that is allowed."
)


class Column(NamedTuple):
    """A column of the table, and the text of its cells."""

    head: ColumnTitle
    cell: Callable[[Comparison], str]


def html_report(report: Report, trends: Sequence[Trend] = ()) -> str:
    """Return the text of the page; `trends` are the histories of its tests."""
    by_test: dict[str, list[Trend]] = {}
    for trend in trends:
        by_test.setdefault(trend.nodeid, []).append(trend)
    entries = most_severe_first(report.entries, key=lambda entry: entry.comparison)
    columns = _columns(entries)
    rows = [
        _row(entry, report, columns, by_test.get(entry.nodeid, ()), is_first=index < _MAX_PLAIN)
        for index, entry in enumerate(entries)
    ]
    page = Page(
        title=f"{report.origin.project or 'perfguard'}: {counts_in_words(report.summary)}",
        heading=heading(report),
        first="verdict",
        counts=report.summary,
        labels={},
        columns=[column.head for column in columns],
        rows=rows,
        legend=_LEGEND if any(column.head.has_bars for column in columns) else "",
    )
    return table_page(page)


def _row(
    entry: ReportedTest, report: Report, columns: Sequence[Column], trends: Sequence[Trend], *, is_first: bool
) -> Row:
    comparison = entry.comparison
    word = str(comparison.outcome)
    return Row(
        word=word,
        name=entry.nodeid,
        cells=[column.cell(comparison) for column in columns],
        panel=panel(entry, report),
        shown=f"{word}, accepted" if comparison.accepted_by else "",
        is_plain=is_first and (comparison.outcome in FAILING or comparison.outcome is Unjudged.BROKEN),
        pictures=_pictures(entry, trends),
        plots=plots_of(entry),
        bar=interval_bar(_time(comparison)),
        keys=_keys(comparison),
    )


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
    """Return the columns in which any test has a value: CPU time only where nothing was compared."""
    known = [
        Column(ColumnTitle("before", "time before"), lambda item: _amount(_time(item), now=False)),
        Column(ColumnTitle("now"), lambda item: _amount(_time(item), now=True)),
        Column(ColumnTitle("interval", f"interval{_scale()}", has_bars=True), _interval),
        Column(ColumnTitle("change", has_tone=True), lambda item: change_cell(_time(item))),
        Column(ColumnTitle("CPU", "CPU time"), _cpu),
        Column(ColumnTitle("memory"), _memory),
        Column(ColumnTitle("instructions"), _instructions),
    ]
    used = [column for column in known if any(column.cell(entry.comparison) for entry in entries)]
    if any(column.head.name == "before" for column in used):
        return [column for column in used if column.head.name != "CPU"]
    now = "time" if any(_is_timed(entry.comparison) for entry in entries) else "instructions"
    return [column._replace(head=ColumnTitle(now)) if column.head.name == "now" else column for column in used]


def _scale() -> str:
    """Return the scale of the bars."""
    marks = ((0.5, "½x"), (1.0, "same"), (2.0, "2x"))
    placed = "".join(f'<i style="left:{place(ratio)}%">{text}</i>' for ratio, text in marks)
    return f"<span class=scale aria-hidden=true>{placed}</span>"


def _pictures(entry: ReportedTest, trends: Sequence[Trend]) -> str:
    explanation = entry.comparison.explanation
    flames = explanation.flames if explanation is not None else ()
    shown = [tag("div", icicle_svg(flame), class_="scroll") for flame in flames]
    return "".join([*shown, *(trend_svg(trend) for trend in trends if len(trend.points) > 1)])


def _keys(comparison: Comparison) -> dict[str, float | None]:
    """Return the numbers by which the script sorts; JSON lacks the infinite."""

    def short(value: float | None) -> float | None:
        return None if value is None else float(f"{min(value, 1e300):.4g}")

    time, memory = _time(comparison), leading_finding(comparison, "memory")
    return {
        "change": short(time.change if time else None),
        "time": short(time.candidate if time else None),
        "memory": short(memory.change if memory else None),
        "seconds": short(comparison.measurement.seconds),
    }


def _time(comparison: Comparison) -> Finding | None:
    return leading_finding(comparison, "time", "cpu", "instructions")


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


def _is_timed(comparison: Comparison) -> bool:
    return leading_finding(comparison, "time", "cpu") is not None


def _instructions(comparison: Comparison) -> str:
    """Return the counts of a test that was timed, too; of others, they are the main figure."""
    finding = leading_finding(comparison, "instructions")
    return (change_cell(finding) or _amount(finding, now=True)) if _is_timed(comparison) else ""


def _memory(comparison: Comparison) -> str:
    finding = leading_finding(comparison, "memory")
    return change_cell(finding) or _amount(finding, now=True)
