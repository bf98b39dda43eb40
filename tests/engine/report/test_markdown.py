"""The Markdown report and GitHub's annotations."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.core.model import Acceptance, Comparison, Finding, Verdict
from pytest_perfguard.engine.report.document import ReportedTest
from pytest_perfguard.engine.report.github import MAX_ANNOTATIONS, annotation_commands
from pytest_perfguard.engine.report.markdown import MAX_CHARACTERS, code, escaped, markdown_report
from tests.engine.report.conftest import BROKEN, GREEN, MEMORY, RED, TIME, names, report_of, reports


def test_what_got_worse_stands_in_the_open_and_the_rest_is_folded():
    text = markdown_report(report_of(GREEN, RED))
    assert text.startswith("### perfguard: 1 regression, 1 unchanged\n")
    row = "| `tests/test_a.py::test_slow` | 1.00 us | 2.00 us | 2.0x | +0.0 % | 🔴 regression |"
    assert row in text
    assert text.index(row) < text.index("1 test without findings") < text.index("test_same")
    assert "Slower than its baseline." in text


def test_a_run_that_only_measured_shows_its_figures_unfolded():
    found = (replace(TIME, verdict=None, baseline=None), replace(MEMORY, verdict=None, baseline=None))
    plain = replace(RED, comparison=replace(RED.comparison, verdict=None, findings=found), lines=())
    text = markdown_report(replace(report_of(plain), mode="measure"))
    assert "| test | time | ± | memory |\n|---|--:|--:|--:|\n" in text
    assert "| `tests/test_a.py::test_slow` | 2.00 us | 1.2 % | 1.00 KB |" in text
    assert "<details>" not in text


COUNT = Finding("instructions", "instructions", Verdict.UNCHANGED, 757_000.0, 741_000.0)


def test_a_run_of_counts_alone_has_no_empty_columns():
    counted = replace(GREEN, comparison=replace(GREEN.comparison, findings=(COUNT,)))
    text = markdown_report(report_of(counted))
    assert "| test | before | now | change | verdict |" in text
    assert "| `tests/test_a.py::test_same` | 741 k | 757 k | +2.2 % | unchanged |" in text
    plain = replace(counted, comparison=replace(counted.comparison, verdict=None))
    text = markdown_report(replace(report_of(plain), mode="measure"))
    assert "| test | instructions |\n|---|--:|\n| `tests/test_a.py::test_same` | 757 k |\n" in text


def test_counts_beside_times_have_a_column():
    both = replace(GREEN, comparison=replace(GREEN.comparison, findings=(*GREEN.comparison.findings, COUNT)))
    text = markdown_report(report_of(both))
    assert "| test | before | now | change | instructions | verdict |" in text
    assert "| 1.00 us | 2.00 us | 2.0x | +2.2 % | unchanged |" in text


def test_what_grew_from_nothing_says_so():
    grown = replace(RED.comparison, findings=(MEMORY, replace(TIME, baseline=0.0)))
    text = markdown_report(report_of(replace(RED, comparison=grown)))
    assert "| 0 ns | 2.00 us | from nothing | +0.0 % |" in text


def test_a_test_that_broke_is_in_the_open():
    assert "| `tests/test_a.py::test_dead` | 🔴 broken |" in markdown_report(report_of(BROKEN))
    assert "| `tests/test_a.py::test_dead` |  |  |  |  | 🔴 broken |" in markdown_report(report_of(BROKEN, RED))


def test_what_concerns_the_whole_run_stands_above_the_tests():
    text = markdown_report(replace(report_of(RED), notes=("only *tests* differ",)))
    assert "\n\n> only \\*tests\\* differ\n\n| test |" in text


def test_a_report_of_nothing_says_so():
    assert "nothing measured" in markdown_report(report_of())


@given(reports, st.integers(600, 3000))
def test_it_is_never_longer_than_allowed(report, most):
    assert len(markdown_report(report, most)) <= most


def test_a_long_report_keeps_its_head_and_says_that_it_was_cut():
    many = [
        replace(RED, comparison=replace(RED.comparison, nodeid=f"tests/test_{index}.py::test_x"))
        for index in range(2000)
    ]
    text = markdown_report(report_of(*many))
    assert len(text) <= MAX_CHARACTERS
    assert text.count("🔴") > 100
    assert text.rstrip().endswith("see the HTML or JSON report.")
    assert not text.rstrip().splitlines()[-3].endswith("🔴"), "rows are whole"


@given(names)
def test_a_name_cannot_leave_its_cell_or_its_code_span(name):
    cell = code(name, in_table=True)
    assert "|" not in cell.replace("\\|", "")
    assert "\n" not in cell
    fence = cell[: len(cell) - len(cell.lstrip("`"))]
    assert fence not in cell.strip("`").replace(" ", "") or not name.strip("`")


def test_nobody_is_mentioned_and_nothing_is_markup():
    assert escaped("@user <script> *a* [b](c)") == "@\u200buser &lt;script&gt; \\*a\\* \\[b\\](c)"
    text = markdown_report(report_of(replace(RED, headline="<img src=x> @team")))
    assert "<img" not in text
    assert "@team" not in text


def test_an_annotation_stands_at_the_tests_line():
    assert list(annotation_commands(report_of(GREEN, RED))) == [
        "::error file=tests/test_a.py,line=12,title=perfguard%3A tests/test_a.py%3A%3Atest_slow::"
        "regression: time 2.0x slower (1.00 us -> 2.00 us)"
    ]
    (percent,) = annotation_commands(report_of(replace(RED, headline="time 12 % slower")))
    assert percent.endswith("::time 12 %25 slower")
    below = list(annotation_commands(report_of(RED), "packages/a"))
    assert below[0].startswith("::error file=packages/a/tests/test_a.py,")


def test_an_accepted_regression_is_a_notice():
    ada = Acceptance("tests", "time", 0.2, "Ada", "1a2b3c4")
    accepted = replace(RED, comparison=replace(RED.comparison, accepted_by=(ada,)), headline="")
    assert list(annotation_commands(report_of(accepted))) == [
        "::notice file=tests/test_a.py,line=12,title=perfguard%3A tests/test_a.py%3A%3Atest_slow::"
        "regression accepted: time up to 20%25, by Ada in 1a2b3c4"
    ]


@given(names, names)
def test_an_annotation_is_one_command_whatever_the_names(name, headline):
    entry = replace(RED, comparison=replace(RED.comparison, nodeid=name), headline=headline, file=name)
    (line,) = annotation_commands(report_of(entry))
    assert len(line.splitlines()) == 1 or not set(line) & set("\r\n")
    assert line.count("::error ") >= 1
    assert not set(line) & {"\r", "\n"}


def test_github_shows_ten_the_most_severe_first():
    many = [ReportedTest(Comparison(f"t{index}", Verdict.OVER_LIMIT)) for index in range(20)]
    lines = list(annotation_commands(report_of(*many, RED)))
    assert len(lines) == MAX_ANNOTATIONS
    assert "test_slow" in lines[0]
