"""The page of a report or a history: a table of tests in plain HTML, and their details beside it, compressed.

Every browser shows the table, also without scripts. A script adds the details of the tests that the reader opens, filters and
sorts. The rows that come first may have their details in plain HTML, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pytest_perfguard.engine.report.markup import asset, escape, filled, tag
from pytest_perfguard.engine.report.packed import packed

#: Key of a row -> its name in the list of orders.
_ORDERS: Final = {
    "change": "change of time",
    "time": "time now",
    "memory": "change of memory",
    "seconds": "measuring time",
    "recordings": "recordings",
}


class ColumnTitle(NamedTuple):
    """A column of the table."""

    name: str
    """Shown within the cells on a narrow screen."""
    title: str = ""
    """HTML, where the title is not the name."""
    has_tone: bool = False
    """Its cells have the colour of the row's word."""
    has_bars: bool = False
    """The script draws a bar in its cells."""


@dataclass(frozen=True)
class Row:
    """A test."""

    word: str
    """Class of the row, by which the reader filters."""
    name: str
    cells: Sequence[str]
    """Text, one for each column."""
    panel: str
    """Details as HTML."""
    shown: str = ""
    """The text of the first cell, where it is not the word."""
    is_plain: bool = False
    """The details are plain HTML."""
    pictures: str = ""
    """HTML that follows the details once they are opened."""
    plots: Sequence[object] = ()
    bar: Sequence[float] = ()
    keys: Mapping[str, float | None] = field(default_factory=dict)
    """Numbers by which the reader sorts."""


class Page(NamedTuple):
    """A page."""

    title: str
    heading: str
    """HTML."""
    first: str
    """Title of the first column."""
    counts: Mapping[str, int]
    """Number of rows per word, in the order of the buttons that filter."""
    labels: Mapping[str, str]
    """Word -> the text of its button, where that is not the word."""
    columns: Sequence[ColumnTitle]
    rows: Sequence[Row]
    legend: str = ""
    grid: str = ""
    """HTML above the table, shown by the script."""


def table_page(page: Page) -> str:
    """Return the text of the page."""
    orders = {key: title for key, title in _ORDERS.items() if any(row.keys.get(key) is not None for row in page.rows)}
    titles = (page.first, "test", *(column.title or column.name for column in page.columns))
    parts = {
        "title": escape(page.title),
        "style": asset("page.css") + _column_style(page.columns),
        "heading": page.heading,
        "chips": "".join(_chip(word, page.labels.get(word, word), count) for word, count in page.counts.items()),
        "sorting": "".join(tag("option", title, value=key) for key, title in orders.items()),
        "columns": "".join(f"<th scope=col>{title}" for title in titles),
        "tests": "\n".join(_row(row) for row in page.rows),
        "legend": page.legend if page.rows else "There is no test.",
        "data": packed(_data(page, list(orders))),
        "plotting": asset("plots.js"),
        "script": asset("page.js"),
    }
    return filled(asset("page.html"), parts)


def _data(page: Page, keys: Sequence[str]) -> dict[str, object]:
    """Return what the script needs, one list per kind: equal things beside each other take less room."""
    bars = [index for index, column in enumerate(page.columns) if column.has_bars]
    return {
        **{key: [row.keys.get(key) for row in page.rows] for key in keys},
        "column": 3 + bars[0] if bars else 0,
        "bars": [row.bar for row in page.rows],
        "panels": ["" if row.is_plain else row.panel for row in page.rows],
        "pictures": [row.pictures for row in page.rows],
        "plots": [row.plots for row in page.rows],
        "grid": page.grid,
    }


def _row(row: Row) -> str:
    """Return the row of a test, and a row with its details if they are plain HTML. End tags are optional in tables."""
    cells = "".join(f"<td>{escape(text)}" for text in row.cells)
    details = f"<tr class=panel><td colspan={len(row.cells) + 2}>{row.panel}" if row.is_plain else ""
    return f"<tr class={row.word}><td>{escape(row.shown or row.word)}<th>{escape(row.name)}{cells}{details}"


def _column_style(columns: Sequence[ColumnTitle]) -> str:
    """Return the rules that depend on the columns: their colours, and their titles within cells on a narrow screen."""
    toned = (
        f"#tests>tbody>tr:not(.panel)>td:nth-child({index + 3}){{color:var(--tone);font-weight:600}}"
        for index, column in enumerate(columns)
        if column.has_tone
    )
    named = (
        f'#tests>tbody>tr>td:nth-child({index + 3}):not(:empty)::before{{content:"{column.name} "}}'
        for index, column in enumerate(columns)
    )
    return f"\n{''.join(toned)}\n@media screen and (max-width:52rem){{{''.join(named)}}}"


def _chip(word: str, label: str, count: int) -> str:
    return tag("button", f"{escape(label)} {count}", class_=f"chip {word}", type="button", data_verdict=word)
