"""The table of the summary: headings, columns that fit, spread, relative times, empty cells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.core.metric_stats import MetricStats
from pytest_perfguard.core.model import Comparison, Finding, Measurement, Verdict
from pytest_perfguard.engine.report.summary_table import TableGroup, TableStyle, by_file, histogram, table_rows
from pytest_perfguard.engine.report.terminal import summary_lines
from pytest_perfguard.engine.runner.accumulator import BUSY_NOTE

MEASURE = TableStyle("measure", 80)


def measured(name, *rounds, memory=1e3, iterations=7, **more):
    """A test that was measured and not judged; `rounds` in microseconds."""
    samples = {"time": MetricStats.from_rounds("s", (tuple(value * 1e-6 for value in rounds),))}
    findings = [Finding("time", "s", None, min(rounds) * 1e-6, rounds=len(rounds))]
    findings += [] if memory is None else [Finding("memory", "B", None, memory)]
    return Comparison(name, None, tuple(findings), Measurement(samples, {"": iterations}, processes=1, **more))


def lines(comparisons, style=MEASURE):
    return [row.text for row in table_rows(by_file(comparisons), style)]


def test_the_file_is_the_heading_of_its_tests():
    tests = [measured("tests/test_b.py::test_z", 5.0), measured("tests/test_a.py::TestIt::test_y", 6.0)]
    assert lines(tests) == [
        "test                 time   memory",
        "----------------  -------  -------",
        "tests/test_b.py",
        "  test_z          5.00 us  1.00 KB",
        "tests/test_a.py",
        "  TestIt::test_y  6.00 us  1.00 KB",
    ]


def test_the_spread_is_half_the_interquartile_range_in_percent_of_the_median():
    assert lines([measured("t", 10.0, 20.0, 20.0, 20.0, 30.0)])[-1].split() == [
        "t",
        "10.0",
        "us",
        "0.0",
        "%",
        "1.00",
        "KB",
    ]
    assert "10.0 %" in lines([measured("t", 18.0, 18.0, 20.0, 22.0, 22.0)])[-1].replace("10 %", "10.0 %")


def test_parameters_of_a_test_are_compared_with_the_fastest():
    tests = [measured("a.py::t[1]", 9.0), measured("a.py::t[2]", 5.0), measured("a.py::other", 1.0)]
    assert [line.split()[3:4] for line in lines(tests)[3:]] == [["1.8x"], ["1.0x"], ["1.00"]]


def test_details_add_the_median_the_maximum_and_the_rounds():
    (head, _, *_rest, row) = lines([measured("t", 10.0, 20.0, 60.0)], TableStyle("measure", 120, detailed=True))
    assert head.split() == ["test", "time", "+-", "median", "max", "rounds", "memory"]
    assert "20.0 us  60.0 us   3 x 7" in row


@given(st.lists(st.text(min_size=1, max_size=300), min_size=1, max_size=5), st.integers(60, 200))
def test_a_table_fits_the_terminal_whatever_the_names_and_cuts_none(names, width):
    slower = Finding("time", "s", Verdict.REGRESSION, 25.1e-6, 12.3e-6)
    tests = [Comparison(f"tests/test_a.py::test_x[{name}]", Verdict.REGRESSION, (slower,)) for name in names]
    shown = lines(tests, TableStyle("compare", width, terminal=True))
    assert all(len(line) <= width for line in shown)
    group = TableGroup("", tests)
    assert all(group.label(test).replace(" ", "") in "".join(shown).replace(" ", "") for test in tests)


def test_a_name_without_room_has_a_line_of_its_own():
    name = "test_" + "x" * 70
    test = measured(f"a.py::{name}", 5.0)
    *_head, first, second, figures = lines([test], TableStyle("measure", 60, terminal=True))
    assert (first + second, len(first)) == (f"  {name}", 60)
    assert figures.split() == ["5.00", "us", "1.00", "KB"]
    assert f"  {name}" in lines([test], TableStyle("measure", 60)), "in one piece in a log"


def test_a_narrow_terminal_omits_columns():
    tests = [measured("tests/test_a.py::test_with_a_long_name[parameter]", 10.0, 20.0, 20.0, 20.0, 60.0)]
    wide = TableStyle("measure", 120, detailed=True, unicode=True)
    assert lines(tests, wide)[0].split()[-1] == "distribution"
    assert lines(tests, TableStyle("measure", 60, detailed=True, unicode=True))[0].split()[:2] == ["test", "time"]
    assert "distribution" not in lines(tests, TableStyle("measure", 60, unicode=True))[0]


def test_a_cell_without_memory_says_why():
    style = TableStyle("measure", 80, traced=lambda _nodeid: True)
    slow, once = measured("slow", 2e6, memory=None), measured("once", 5.0, memory=None, conditions={"single": True})
    shown = [line.text for line in summary_lines([slow, once], style)]
    assert "note: slow: memory not traced: call above 1 s" in shown
    assert "note: once: memory not traced: one call per set-up" in shown
    assert any(line.startswith("  slow") and line.endswith("-") for line in shown)
    assert not any("not traced" in line.text for line in summary_lines([slow, once], MEASURE)), "it was not requested"


def test_a_busy_machine_is_remarked():
    busy = measured("t", 5.0, busy=0.99, lost=0.7, notes=(BUSY_NOTE, "another note"))
    lines = [line.text for line in summary_lines([busy], MEASURE)]
    assert any(line.startswith("wall is up to 3.3x its CPU time") for line in lines)
    assert [line for line in lines if line.startswith("note:")] == ["note: t: another note"]
    waits = measured("t", 5.0, busy=0.1, lost=0.7)
    assert not any("wall is" in line.text for line in summary_lines([waits], MEASURE))


def test_a_quick_look_says_on_how_many_processes_it_rests():
    last = [line.text for line in summary_lines([measured("t", 5.0)], MEASURE)][-1]
    assert last == "a quick look: figures rest on 1 process; --perf-baseline takes 10"


def test_counts_alone_have_no_legend_of_times():
    finding = Finding("instructions", "instructions", None, 1e6)
    samples = {"instructions": MetricStats.from_rounds("instructions", ((1e6,),))}
    counted = Comparison("t", None, (finding,), Measurement(samples, {"": 5}, processes=2))
    shown = [line.text for line in summary_lines([counted], MEASURE)]
    assert any("1.00 M" in line for line in shown)
    assert not any("time:" in line or "quick look" in line for line in shown)


@pytest.mark.parametrize(
    ("values", "bars"),
    [((1.0, 2.0), ""), ((1.0,) * 5, "█▁▁▁▁▁▁▁▁▁▁▁"), ((1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 9.0), "█▁▁▁▁▁▁▁▁▁▁▄")],
)
def test_a_histogram_has_a_bar_for_each_part_of_the_range(values, bars):
    shown = histogram(values)
    assert shown[:1] == bars[:1]
    assert len(shown) == len(bars)


def _counted(nodeid, verdict, *findings):
    return Comparison(nodeid, verdict, findings, Measurement({}, {"": 5}, processes=2))


COUNT = Finding("instructions", "instructions", Verdict.UNCHANGED, 1e6, 1e6)


@pytest.mark.parametrize(
    ("count", "note"),
    [
        ((), "only timed: instructions not counted"),
        ((Finding("instructions", "instructions", None, 1e6, 1e6, reason="counted under other conditions: x, now y"),),
         "instructions not compared: counted under other conditions: x, now y"),
        ((Finding("instructions", "instructions", None, 1e6),),
         "instructions not compared: the other side has no count of it"),
    ],
)  # fmt: skip
def test_a_judged_test_without_a_count_has_a_note_that_says_why(count, note):
    time = Finding("time", "s", Verdict.UNCHANGED, 1e-3, 1e-3)
    with_count, without = _counted("a", Verdict.UNCHANGED, time, COUNT), _counted("b", Verdict.UNCHANGED, time, *count)
    style = TableStyle("compare", 100)
    shown = [line.text for line in summary_lines([with_count, without], style)]
    assert f"note: b: {note}" in shown
    assert any(line.split() == ["b", "1.00", "ms", "1.00", "ms", "+0.0", "%", "-", "unchanged"] for line in shown)
    new = _counted("b", Verdict.NEW, *count)
    assert not any("note:" in line.text for line in summary_lines([with_count, new], style)), "its row says why"
    timed = [_counted("b", Verdict.UNCHANGED, time)]
    assert not any("note:" in line.text for line in summary_lines(timed, style)), "no test was counted"


def test_the_change_of_a_count_is_shown_once():
    style = TableStyle("compare", 100)
    shown = [line.text for line in summary_lines([_counted("a", Verdict.UNCHANGED, COUNT)], style)]
    assert any(line.split() == ["test", "baseline", "now", "instructions", "verdict"] for line in shown)
    assert any(line.split() == ["a", "1.00", "M", "1.00", "M", "+0.0", "%", "unchanged"] for line in shown)
