"""Reports through the door: files, GitHub, JUnit, verbosity."""

from __future__ import annotations

import json

import pytest

from pytest_perfguard.engine.report.json import read_report
from tests.plugin.conftest import WORK, last_perf_line
from tests.repository import Repository


@pytest.fixture
def red(recorded):
    """A project whose test is four times slower than its baseline."""
    recorded.rewrite_baseline(4.0)
    return recorded


def test_all_reports_of_one_run(red, distribution):
    names = ("r.json", "out/r.md", "r.html")
    result = red.run("--perf-compare", *(f"--perf-report={name}" for name in names), *distribution)
    assert result.ret == 1
    report = read_report((red.path / "r.json").read_text(), "r.json")
    (entry,) = report.entries
    assert (report.mode, report.against, report.summary) == ("compare", "perf-baseline.json", {"regression": 1})
    assert (entry.file, entry.line > 1, entry.record.kernel > 0) == (entry.nodeid.partition("::")[0], True, True)
    assert entry.headline.startswith("regression: time ")
    assert entry.lines[0].startswith("Slower than its baseline")
    assert "🔴 regression" in (red.path / "out" / "r.md").read_text()
    assert ": 1 regression</title>" in (red.path / "r.html").read_text()


@pytest.mark.thorough
def test_what_a_run_reports_can_be_accepted(red):
    from pytest_perfguard.cli import main

    red.run("--perf-compare", "--perf-report=r.json")
    file = f"--file={red.baseline}"
    assert main(["accept", file, str(red.path / "r.json"), "*"]) == 0
    before = json.loads(red.baseline.read_text())
    assert red.run("--perf-compare").ret == 0
    assert json.loads(red.baseline.read_text()) == before


def test_github_gets_a_summary_and_an_annotation_at_the_tests_line(red, monkeypatch):
    summary = red.path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_WORKSPACE", str(red.path.parent))
    result = red.run("--perf-compare")
    text = summary.read_text()
    assert text.startswith("before\n### perfguard: 1 regression\n"), "what others wrote stays"
    (line,) = [line for line in result.outlines if line.startswith("::error ")]
    folder, file = red.path.name, next(red.path.glob("test_*.py")).name
    assert line.startswith(f"::error file={folder}/{file},line=7,title=perfguard%3A {file}%3A%3Atest_work::regression")


def test_elsewhere_no_command_for_github_is_printed(red, monkeypatch):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    result = red.run("--perf-compare")
    assert not [line for line in result.outlines if line.startswith("::")]


def test_junit_has_the_ratio_of_each_metric(red):
    red.run("--perf-compare", "--junitxml=junit.xml")
    text = (red.path / "junit.xml").read_text()
    assert '<property name="perf.verdict" value="regression"' in text
    ratio = float(text.partition('name="perf.time.ratio" value="')[2].partition('"')[0])
    assert 2 < ratio < 40
    assert 'name="perf.memory.ratio" value="1"' in text


@pytest.mark.thorough
def test_verbosity_from_one_line_to_every_sample(red):
    quiet, plain, verbose, samples = (
        red.run("--perf-compare", *more) for more in (("-q", "-q"), (), ("-v",), ("-vv",))
    )
    assert last_perf_line(quiet).startswith("perf: 1 regression")
    assert not [line for line in quiet.outlines if line.startswith("test   ")]
    assert "  blocks  0 blocks -> 0 blocks, no change  unchanged" not in plain.outlines
    assert "  blocks  0 blocks -> 0 blocks, no change  unchanged" in verbose.outlines
    assert not [line for line in verbose.outlines if "minima" in line]
    assert [line for line in samples.outlines if line.startswith("        minima   ")]


@pytest.mark.thorough
def test_colours_only_where_they_are_wanted(red, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    red_row = "\x1b[31m  test_"
    coloured = red.run("--perf-compare", "--color=yes")
    assert [line for line in coloured.outlines if line.startswith(red_row)]
    monkeypatch.setenv("NO_COLOR", "1")
    for options in ((), ("--color=no",)):
        result = red.run("--perf-compare", *options)
        assert "\x1b" not in str(result.outlines)


@pytest.mark.thorough
def test_eighty_columns_are_enough(red, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    result = red.run("--perf-compare", "--perf-leaks", "-p", "no:cacheprovider")
    begin = next(index for index, line in enumerate(result.outlines) if line.startswith("test "))
    table = result.outlines[begin : begin + 4]
    assert all(len(line) <= 80 for line in table), table
    assert "leaks" in table[0]


def test_a_report_that_cannot_be_written_is_told_and_costs_no_numbers(project):
    """What is in the way comes after the start of the run, where it is looked for."""
    project.pytester.makepyfile(WORK + "\ndef test_takes():\n    open('taken', 'w').close()\n")
    result = project.run("--perf-baseline", "--perf-report=taken/r.json")
    assert result.ret == 4
    assert "the report taken/r.json could not be written" in result.stderr.str()
    assert "test_work" in project.baseline.read_text()


def test_a_folder_is_no_report(recorded):
    (recorded.path / "r.md").mkdir()
    result = recorded.run("--perf-compare", "--perf-report=r.md")
    assert result.ret == 4
    assert "--perf-report=r.md: this is a folder" in result.stderr.str()


def test_a_baseline_that_is_no_text_does_not_hinder_a_page(recorded):
    Repository(recorded.path).commit()
    recorded.baseline.write_bytes(b"\xff\xfe")
    assert recorded.run("--perf", "--perf-report=r.html").ret == 0
    assert ": 1 measured</title>" in (recorded.path / "r.html").read_text()
