"""Pages on the history of tests."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_perfguard.engine.history.trends import HistoryPoint, HistoryQuery, Trend, judge_trend
from pytest_perfguard.engine.report.history_page import (
    History,
    describe_standing,
    history_page,
    page_name,
    standing,
)
from pytest_perfguard.engine.report.history_page import (
    test_page as page_of_test,
)
from pytest_perfguard.engine.report.links import Origin
from pytest_perfguard.engine.report.packed import unpacked
from pytest_perfguard.engine.report.trend_svg import trend_svg

GITHUB = Origin("shop", "https://github.com/o/shop")


def trend_of(values, nodeid="tests/test_a.py::test_a", unit="s", anchor=None) -> Trend:
    """A series with one recording a day, judged as the command does."""
    points = tuple(
        HistoryPoint(f"{index:07x}", f"2026-01-{index % 28 + 1:02}T00:00:00+00:00", value)
        for index, value in enumerate(values)
    )
    return judge_trend(nodeid, "linux", "time", unit, points, HistoryQuery(0.05), anchor)


#: Ten recordings of 1 us, then ten of 1.5 us, with some noise.
NOISE = [1, 1.004, 0.997, 1.002, 0.999, 1.001, 0.996, 1.003, 1, 0.998]
WORSE = trend_of([1e-6 * value for value in NOISE] + [1.5e-6 * value for value in NOISE], "t.py::test_worse")
BETTER = trend_of([1e-6 * value for value in NOISE] + [0.5e-6 * value for value in NOISE], "t.py::test_better")
STEADY = trend_of([1e-6 * value for value in NOISE], "t.py::test_steady")
SHORT = trend_of([1e-6, 2.427e-6], "t.py::test_short")
ALL = History([SHORT, STEADY, BETTER, WORSE], "perf-baseline.json", GITHUB)


def data_in(text):
    return unpacked(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


def rows_in(text):
    """Word, name and cells of each row."""
    body = text.split("<tbody>\n")[1].partition("</table>")[0]
    rows = re.findall(r"<tr class=(\w+)><td>[^<]*<th>([^<]*)(.*)", body)
    return [(word, name, cells.split("<td>")[1:]) for word, name, cells in rows]


def test_each_series_has_a_word_of_its_own():
    assert [standing(trend) for trend in (WORSE, BETTER, STEADY, SHORT)] == ["worse", "better", "steady", "short"]


def test_the_worst_is_at_the_top_with_its_levels():
    rows = rows_in(history_page(ALL))
    assert [row[:2] for row in rows] == [
        ("worse", "t.py::test_worse"),
        ("better", "t.py::test_better"),
        ("steady", "t.py::test_steady"),
        ("short", "t.py::test_short"),
    ]
    assert rows[0][2][2:] == ["+50.0 %", "20"]
    assert rows[1][2][2:] == ["0.50x", "20"]


def test_two_recordings_are_too_few_to_judge():
    """The figures are shown, and no change that would look like a result."""
    text = history_page(History([SHORT], "b.json"))
    assert rows_in(text) == [("short", SHORT.nodeid, ["1.00 us", "2.43 us", "", "2"])]
    assert "<title>perfguard: history, 1 too few recordings</title>" in text
    assert "unchanged" not in text.partition("<style>")[0] + text.partition("</style>")[2].partition("<script")[0]
    assert describe_standing([SHORT]) == "time: too few recordings (2; a judgement needs 6)"


def test_the_grid_shows_every_recording_and_every_change_of_level():
    grid = data_in(history_page(ALL))["grid"]
    assert grid.count("<th scope=col>") == 20
    assert grid.count("<th scope=row>") == 4
    rows = grid.split("<th scope=row><span>")
    assert rows[1].startswith("t.py::test_worse</span><td class=z")
    assert rows[1].count("<td class=p2") == 10
    assert rows[1].count("▲") == rows[2].count("▼") == 1
    assert rows[4].count("<td>") == 18, "not recorded"
    assert 'title="0000001: 2.43 us, 2.4x"' in rows[4]


def test_a_long_name_in_the_grid_is_cut_by_the_style_and_whole_in_its_title():
    name = "t.py::test[<b>" + 60 * "x"
    grid = data_in(history_page(History([trend_of([1e-6] * 6, name)], "b.json")))["grid"]
    shown = name.replace("<b>", "&lt;b&gt;")
    assert f'<th scope=row><span title="{shown}">{shown}</span>' in grid


def test_the_working_tree_is_the_last_column():
    points = (*STEADY.points, HistoryPoint("working tree", "", 1e-6))
    trend = judge_trend("t", "linux", "time", "s", points, HistoryQuery(0.05), None)
    grid = data_in(history_page(History([trend], "b.json")))["grid"]
    assert re.findall(r"<th scope=col>([^<]*)", grid)[-1] == "working tree"


def test_a_step_names_its_commits():
    text = page_of_test(WORSE.nodeid, [WORSE], ALL)
    assert 'at <a href="https://github.com/o/shop/commit/000000a">000000a</a> (2026-01-11)' in text
    assert "<code>git log 0000009..000000a</code>" in text
    assert ">+50.0 %</text>" in text
    assert '<a href="../index.html">index</a>' in text
    assert "<script" not in text


def test_an_outlier_does_not_squeeze_the_line():
    """It is an arrow at the upper edge."""
    svg = trend_svg(trend_of([1e-6] * 9 + [1e-3]))
    assert svg.count("<path") == 1
    assert "1.00 us</text>" in svg


def test_the_names_of_pages_are_readable_and_distinct():
    names = [page_name(nodeid) for nodeid in ("t/a.py::test_x[a-b]", "t/a.py::test_x[a/b]", "../../x")]
    assert len(set(names)) == 3
    assert names[0].startswith("t-a-py-test-x-a-b-")
    assert all(re.fullmatch(r"[A-Za-z0-9-]+\.html", name) for name in names)


@settings(max_examples=30, deadline=None)
@given(
    st.text(min_size=1, max_size=20),
    st.lists(st.floats(0, 1e12), min_size=1, max_size=12),
    st.sampled_from(["s", "B", "blocks", ""]),
    st.none() | st.floats(1e-9, 1e9),
)
def test_whatever_is_recorded_the_pages_hold_together(nodeid, values, unit, anchor):
    trend = trend_of(values, nodeid, unit, anchor)
    history = History([trend], "b.json")
    assert history_page(history).count("<script") == 3
    page = page_of_test(nodeid, [trend], history)
    assert page.count("<svg") == page.count("</svg>") == 1


def test_the_same_history_is_the_same_page():
    assert history_page(ALL) == history_page(ALL)


@pytest.mark.parametrize("count", [200])
def test_the_index_of_many_tests_stays_small(count):
    many = [trend_of([1e-6 * value for value in NOISE * 3], f"t.py::test_{index}") for index in range(count)]
    assert len(history_page(History(many, "b.json"))) < 200_000
