"""Groups, names, units, the table, the CSV file and the plot."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from pytest_perfguard.compat.boxplot import box_plot
from pytest_perfguard.compat.grouping import (
    COLUMNS,
    NAME_FORMS,
    grouped,
    parse_columns,
    parse_grouping,
    parse_name,
    parse_sort,
    parse_time_unit,
    rate_scale,
    scale_of,
    time_scale,
)
from pytest_perfguard.compat.table import LEGEND, csv_text, table_lines
from pytest_perfguard.core.errors import SettingError
from tests.compat.rows import row

ROWS = [
    row("test_b[1]", (2e-6, 4e-6), param="1", params={"n": 1}, group="g"),
    row("test_a[1]", param="1", params={"n": 1}),
    row("test_a[2]", param="2", params={"n": 2}, file="b.py"),
]


def scale(*, unit, benchmarks, best, worst, sort):
    return scale_of(unit, best, worst, sort, None)


@pytest.mark.parametrize(
    ("group_by", "expected"),
    [
        ("group", {None: ["test_a[1]", "test_a[2]"], "g": ["test_b[1]"]}),
        ("name", {"test_a[1]": ["test_a[1]"], "test_a[2]": ["test_a[2]"], "test_b[1]": ["test_b[1]"]}),
        ("func", {"test_a": ["test_a[1]", "test_a[2]"], "test_b": ["test_b[1]"]}),
        ("fullfunc", {"a.py::test_a": ["test_a[1]"], "a.py::test_b": ["test_b[1]"], "b.py::test_a": ["test_a[2]"]}),
        ("param", {"1": ["test_a[1]", "test_b[1]"], "2": ["test_a[2]"]}),
        ("param:n", {"n=1": ["test_a[1]", "test_b[1]"], "n=2": ["test_a[2]"]}),
        ("param:other", {None: ["test_a[1]", "test_a[2]", "test_b[1]"]}),
        ("group,func", {"test_a": ["test_a[1]", "test_a[2]"], "g test_b": ["test_b[1]"]}),
    ],
)
def test_benchmarks_are_grouped(group_by, expected):
    assert {name: [row["name"] for row in rows] for name, rows in grouped(ROWS, parse_grouping(group_by))} == expected


def test_the_nameless_group_comes_first():
    assert [name for name, _rows in grouped(ROWS, "group")] == [None, "g"]


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_columns, "min,speed", "'speed' is not a valid column (valid: min, max, "),
        (parse_sort, "rounds", "'rounds' is not a valid column to sort by (valid: min, "),
        (parse_grouping, "colour", "'colour' is not a valid grouping (valid: group, name, "),
        (parse_name, "tiny", "'tiny' is not a valid form of names (valid: short, normal, long, trial)"),
        (parse_time_unit, "h", "'h' is not a valid unit of time (valid: ns, us, ms, s, auto)"),
    ],
)
def test_other_words_are_refused_with_the_valid_ones(parse, text, message):
    with pytest.raises(SettingError) as caught:
        parse(text)
    assert message in str(caught.value)


def test_words_are_read():
    assert parse_columns("Min, ops") == ("min", "ops")
    assert (parse_sort("NAME"), parse_name("Short"), parse_time_unit("auto"), parse_time_unit("ms")) == (
        "name",
        "short",
        None,
        "ms",
    )


def test_units_fit_the_best():
    assert [time_scale(seconds)[0] for seconds in (2e-9, 2e-6, 2e-3, 2.0)] == ["n", "u", "m", ""]
    assert [rate_scale(rate)[0] for rate in (10, 1e4, 1e7)] == ["", "K", "M"]
    assert scale_of("seconds", {"min": 5e-6}, {}, "name", None) == ("u", 1e6)
    assert scale_of("seconds", {"min": 5e-6}, {}, "name", "ms") == ("m", 1e3)


@pytest.mark.parametrize(
    ("form", "alone", "saved"),
    [
        ("short", "a", "a (0001)"),
        ("normal", "test_a", "test_a (Other/0001_abcdefg)"),
        ("long", "a.py::test_a", "a.py::test_a (Other/0001_abcdefghijk)"),
        ("trial", "????", "0001"),
    ],
)
def test_names_have_forms(form, alone, saved):
    assert NAME_FORMS[form](row("test_a")) == alone
    assert NAME_FORMS[form](row("test_a", source="Other/0001_abcdefghijk")) == saved


def test_a_table_for_each_group_with_the_factor_to_its_best():
    lines = list(
        table_lines(grouped(ROWS, "group"), columns=("min", "ops", "rounds"), sort="min", name="normal", scale=scale)
    )
    assert lines == [
        "benchmark: 2 tests",
        "Name (time in us)              Min     OPS (Kops/s)    Rounds",
        "-------------------  -------------  ---------------  --------",
        "test_a[1]            1.0000 (1.00)  500.0000 (1.00)         3",
        "test_a[2]            1.0000 (1.00)  500.0000 (1.00)         3",
        "",
        "benchmark 'g': 1 test",
        "Name (time in us)       Min    OPS (Kops/s)    Rounds",
        "-------------------  ------  --------------  --------",
        "test_b[1]            2.0000        333.3333         2",
        "",
        LEGEND,
    ]


def test_a_benchmark_that_failed_is_marked_and_a_factor_may_be_endless():
    rows = [row("test_a", (0.0, 0.0)), {**row("test_b"), "has_error": True}, row("test_c", (5e-2,))]
    text = "\n".join(table_lines([(None, rows)], columns=COLUMNS, sort="name", name="normal", scale=scale))
    assert "test_b (failed)" in text
    assert "(inf)" in text


def test_the_csv_file_has_a_line_per_benchmark_and_a_column_per_parameter():
    assert csv_text(grouped(ROWS, "group"), columns=("min", "rounds"), sort="name").splitlines() == [
        "name,param:n,min,rounds",
        "a.py::test_a[1],1,1e-06,3",
        "b.py::test_a[2],2,1e-06,3",
        "a.py::test_b[1],1,2e-06,2",
    ]


def test_the_plot_is_valid_svg_with_a_box_per_benchmark():
    rows = [row("test_a<b>"), row("test_c", (5e-6,), source="0001_x")]
    svg = ElementTree.fromstring(box_plot("speed & more", rows, ["a<b>", "c"], "us", 1e6))
    texts = [element.text for element in svg.iter() if element.tag.endswith("text")]
    assert texts[0] == "speed & more (us)"
    assert texts[-2:] == ["a<b>", "c"]
    assert sum(element.tag.endswith("rect") for element in svg.iter()) == 2
