"""Pages on the history of tests: all tests in one table with a grid of their recordings, and a page for each test. Pure.

The words are those of a history, not verdicts: a series of recordings is `worse`, `better` or `steady`, and too `short` to
judge below six recordings.
"""

from __future__ import annotations

import datetime
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from pytest_perfguard.core.metric_names import metric_kind
from pytest_perfguard.core.model import change_ratio
from pytest_perfguard.core.text import plural, printable
from pytest_perfguard.core.units import format_amount, format_change
from pytest_perfguard.engine.history.drift import MIN_WINDOW
from pytest_perfguard.engine.history.trends import HistoryPoint, Trend
from pytest_perfguard.engine.report.links import UNKNOWN, Origin, commit_address
from pytest_perfguard.engine.report.markup import asset, escape, facts, link, tag
from pytest_perfguard.engine.report.page import ColumnTitle, Page, Row, table_page
from pytest_perfguard.engine.report.trend_svg import trend_svg

#: Number of recordings that a judgement needs.
MIN_RECORDINGS: Final = 2 * MIN_WINDOW
WORDS: Final[Mapping[str, str]] = {
    "worse": "worse",
    "better": "better",
    "steady": "no change found",
    "short": "too few recordings",
}
#: Latest recordings in the grid.
_MAX_GRID: Final = 60
#: Characters of a name in the grid that surely fit into three lines of a phone.
_MAX_TITLE: Final = 60
#: Logarithms of the ratios at which the colour of a cell deepens: 5 %, 20 %, 60 %.
_SHADES: Final = (math.log(1.05), math.log(1.2), math.log(1.6))
_COLUMNS: Final = (
    ColumnTitle("first"),
    ColumnTitle("last"),
    ColumnTitle("change", has_tone=True),
    ColumnTitle("recordings"),
)


@dataclass(frozen=True)
class History:
    """The trends of all tests, and where they come from."""

    trends: Sequence[Trend]
    source: str
    """The baseline file or the folder of reports."""
    origin: Origin = UNKNOWN

    def by_test(self) -> dict[str, list[Trend]]:
        """Return the trends of each test."""
        tests: dict[str, list[Trend]] = {}
        for trend in self.trends:
            tests.setdefault(trend.nodeid, []).append(trend)
        return tests


def history_page(history: History, page_of: Callable[[str], str] = str) -> str:
    """Return the page on all tests; `page_of` maps a node id to the address of the test's own page, or to the node id itself."""
    rows = [_row(nodeid, trends, history, page_of) for nodeid, trends in history.by_test().items()]
    rows.sort(key=lambda row: (list(WORDS).index(row.word), row.name))
    counts = Counter(row.word for row in rows)
    page = Page(
        title=f"{history.origin.project or 'perfguard'}: history, {_in_words(counts)}",
        heading=_heading(history, f"history of {plural(len(rows), 'test')}", ""),
        first="history",
        counts={word: counts[word] for word in WORDS if counts[word]},
        labels=WORDS,
        columns=_COLUMNS,
        rows=rows,
        legend=(
            "First and last are levels, each the median of several recordings; below six recordings, where nothing is judged, they "
            "are single ones. In the grid a cell is a recording: red is slower than the first level, green faster, ▲ and ▼ a change of "
            "level, blank not recorded."
        ),
        grid=_grid(history),
    )
    return table_page(page)


def test_page(nodeid: str, trends: Sequence[Trend], history: History) -> str:
    """Return the page of one test, which needs no script."""
    heading = _heading(history, printable(nodeid), describe_standing(trends), home="../index.html")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark"><meta name="generator" content="perfguard publish">\n'
        f"<title>{escape(nodeid)}</title>\n<style>{asset('page.css')}</style></head>\n"
        f"<body><header>{heading}</header>\n<main>{_figures(trends, history)}</main></body></html>\n"
    )


test_page.__test__ = False  # type: ignore[attr-defined]  # pytest collects functions of this name


def page_name(nodeid: str) -> str:
    """Return the file name of a test's page: readable, and different for every node id."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", nodeid.removesuffix("]")).strip("-")[-60:]
    return f"{readable}-{sha256(nodeid.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}.html"


def standing(trend: Trend) -> str:
    """Return the word for a series."""
    if trend.worse:
        return "worse"
    if trend.drift is None:
        return "short"
    return "better" if trend.steps and math.prod(step.ratio for step in trend.steps) < 1 else "steady"


def describe_standing(trends: Sequence[Trend]) -> str:
    """Return the state of a test: `time: worse`, or `time: too few recordings (2; a judgement needs 6)`."""
    leading = _leading(trends)
    word = standing(leading)
    if word != "short":
        return f"{leading.metric}: {WORDS[word]}"
    return f"{leading.metric}: {WORDS[word]} ({len(leading.points)}; a judgement needs {MIN_RECORDINGS})"


def _heading(history: History, what: str, state: str, home: str = "") -> str:
    origin = history.origin
    machines = sorted({trend.machine for trend in history.trends})
    rows = {
        "state": escape(state),
        "from": escape(history.source),
        "machine" if len(machines) == 1 else "machines": escape(", ".join(machines)),
        "all tests": tag("a", "index", href=home) if home else "",
    }
    name = f"{link(origin.project, origin.web)}: " if origin.project else ""
    return f"<h1>{name}{escape(what)}</h1>{facts(rows)}"


def _in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{counts[word]} {text}" for word, text in WORDS.items() if counts[word])


def _leading(trends: Sequence[Trend]) -> Trend:
    """Return the trend that stands for the test: one that became worse, or else the first, which is the time."""
    return next((trend for trend in trends if trend.worse), trends[0])


def _row(nodeid: str, trends: Sequence[Trend], history: History, page_of: Callable[[str], str]) -> Row:
    trend = _leading(trends)
    word, change = standing(trend), _levels(trend)
    address = page_of(nodeid)
    own_page = f"<p>{tag('a', 'page of this test', href=address)}</p>" if address != nodeid else ""
    return Row(
        word=word,
        name=nodeid,
        cells=[
            format_amount(change[0], trend.unit),
            format_amount(change[1], trend.unit),
            format_change(change_ratio(*change)) if word != "short" else "",
            str(len(trend.points)),
        ],
        panel=f"<p>{escape(describe_standing(trends))}</p>{own_page}",
        shown=WORDS[word],
        pictures=_figures(trends, history),
        keys={
            "change": min(1e300, change_ratio(*change)) if word != "short" else None,
            "time": change[1],
            "recordings": float(len(trend.points)),
        },
    )


def _levels(trend: Trend) -> tuple[float, float]:
    """Return the first and the last level where the series is long enough, or else its first and last recording."""
    first, last = trend.anchor or trend.points[0].value, trend.points[-1].value
    if trend.drift is None:
        return first, last
    window = max(MIN_WINDOW, min(10, len(trend.points) // 6))
    values = [point.value for point in trend.points]
    start = trend.anchor or sorted(values[:window])[window // 2]
    return start, start * trend.drift.ratio


def _figures(trends: Sequence[Trend], history: History) -> str:
    """Return the line of each metric, with the list of its changes of level."""

    def address(commit: str) -> str:
        return commit_address(history.origin.web, commit)

    parts = []
    several = len({trend.machine for trend in trends}) > 1
    for trend in trends:
        parts += [f"<h2>{escape(trend.machine)}</h2>"] if several else []
        parts.append(trend_svg(trend, address))
        steps = "".join(f"<li>{text}</li>" for text in _steps(trend, address))
        parts += [f"<ul>{steps}</ul>"] if steps else []
    return "".join(parts)


def _steps(trend: Trend, address: Callable[[str], str]) -> Iterator[str]:
    for step in trend.steps:
        before, after = trend.points[step.index - 1], trend.points[step.index]
        when = f" ({after.at[:10]})" if after.at else ""
        commits = escape(f"git log {before.label}..{after.label}")
        yield f"{escape(format_change(step.ratio))} at {link(after.label, address(after.label))}{when}; <code>{commits}</code>"


def _grid(history: History) -> str:
    """Return a table with a row for each series of times and a column for each recorded state, coloured by the change."""
    shown = [trend for trend in history.trends if metric_kind(trend.metric) == "time"] or list(history.trends)
    shown.sort(key=lambda trend: (list(WORDS).index(standing(trend)), trend.nodeid))
    points = {point.label: point for trend in shown for point in trend.points}
    labels = [point.label for point in sorted(points.values(), key=_moment)][-_MAX_GRID:]
    head = "".join(f"<th scope=col>{escape(label[:12])}" for label in labels)
    rows = "".join(f"<tr><th scope=row>{_series_title(trend)}{_cells(trend, labels)}" for trend in shown)
    return f'<table aria-label="all recordings"><thead><tr><td>{head}<tbody>{rows}</table>'


def _series_title(trend: Trend) -> str:
    """Return the name of the series. The style cuts a long one, so that it leaves room for the recordings."""
    name = trend.nodeid if trend.metric == "time" else f"{trend.nodeid} {trend.metric}"
    return tag("span", escape(name), **({"title": name} if len(name) > _MAX_TITLE else {}))


def _moment(point: HistoryPoint) -> tuple[bool, float]:
    """Return the key that sorts recordings by time; those without one, such as the working tree, come last."""
    try:
        return False, datetime.datetime.fromisoformat(point.at.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return True, 0.0


def _cells(trend: Trend, labels: Sequence[str]) -> str:
    start = _levels(trend)[0]
    values = {point.label: point.value for point in trend.points}
    marks = {trend.points[step.index].label: "▲" if step.ratio > 1 else "▼" for step in trend.steps}
    cells = []
    for label in labels:
        if label not in values:
            cells.append("<td>")
            continue
        ratio = change_ratio(start, values[label])
        title = escape(f"{label}: {format_amount(values[label], trend.unit)}, {format_change(ratio)}")
        cells.append(f'<td class={_shade(ratio)} title="{title}">{marks.get(label, "")}')
    return "".join(cells)


def _shade(ratio: float) -> str:
    """Return `z` for no change, `p1` to `p3` for more, `m1` to `m3` for less."""
    size = abs(math.log(ratio)) if 0 < ratio < math.inf else math.inf
    depth = sum(size > bound for bound in _SHADES)
    return f"{'p' if ratio > 1 else 'm'}{depth}" if depth else "z"
