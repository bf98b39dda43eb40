"""The JSON report: the public fields, and reading it back."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_perfguard.core.errors import BaselineUnreadable, ReportUnreadable
from pytest_perfguard.core.explanation import Blame, CallChange, Explanation, Flame, Location, MetricExplanation
from pytest_perfguard.core.model import Comparison, Verdict
from pytest_perfguard.engine.report.document import sides_of
from pytest_perfguard.engine.report.json import json_report, read_report
from tests.engine.report.conftest import BROKEN, GREEN, PAIRED, RECORD, RED, report_of, reports


def test_the_json_report_is_the_contracts_object():
    report = json.loads(json_report(report_of(RED, GREEN)))
    assert {key: report[key] for key in ("schema", "mode", "summary")} == {
        "schema": 1,
        "mode": "compare",
        "summary": {"regression": 1, "unchanged": 1},
    }
    assert report["machine"]["class"] == "linux"
    assert report["settings"]["threshold"] == 0.05
    test = report["tests"][1]
    assert (test["nodeid"], test["verdict"], test["seconds"]) == (RED.nodeid, "regression", 1.5)
    time = test["metrics"][0]
    assert {key: time[key] for key in ("name", "unit", "baseline", "candidate", "interval", "verdict", "rounds")} == {
        "name": "time", "unit": "s", "baseline": 1e-6, "candidate": 2e-6, "interval": [1.9, 2.1],
        "verdict": "regression", "rounds": 80,
    }  # fmt: skip
    assert time["ratio"] == 2.0
    assert time["samples"]["baseline"] == {"minima": [1e-6], "medians": [1.1e-6], "quantiles": []}
    assert time["samples"]["candidate"]["minima"] == [2e-6, 2.1e-6]


def test_pairs_keep_the_logarithm_of_each_pairs_ratio():
    sides = sides_of(PAIRED.comparison, RECORD)["time"]
    assert sides.log_ratios == pytest.approx((math.log(4 / 2.2), math.log(21 / 11)), abs=0.1)
    assert sides.baseline.minima == (1e-6, 1.1e-6), "the base's, not the record's"


@given(reports)
def test_what_is_written_is_read_again(report):
    again = read_report(json_report(report), "r.json")
    assert json_report(again) == json_report(report)
    assert [entry.comparison.verdict for entry in again.entries] == [
        entry.comparison.verdict for entry in report.entries
    ]


EXPLAINED = replace(
    RED,
    comparison=replace(
        RED.comparison,
        explanation=Explanation(
            (
                MetricExplanation(
                    "time", "s", 1e-6, (Blame(Location("a.py", 3, "f", 5), 9e-7, CallChange(1.0, 40.0)),), 1e-7, "both"
                ),
            ),
            (Flame("", ((("a.py:f",), 1e-6),), ((("a.py:f",), 2e-6),)),),
        ),
    ),
)


def test_an_explanation_is_an_object_with_the_lines_in_it():
    report = report_of(EXPLAINED, GREEN)
    again = read_report(json_report(report), "r.json")
    assert json_report(again) == json_report(report)
    assert [entry.comparison.explanation for entry in again.entries] == [None, EXPLAINED.comparison.explanation]
    written = json.loads(json_report(report))["tests"][-1:]
    assert written[0]["explanation"]["lines"] == list(RED.lines)
    assert written[0]["explanation"]["metrics"][0]["blames"][0]["calls"] == {"before": 1, "now": 40}


def test_reports_of_before_have_a_list_of_lines():
    data = json.loads(json_report(report_of(RED)))
    data["tests"][0]["explanation"] = list(RED.lines)
    assert read_report(json.dumps(data), "r.json").entries[0].lines == RED.lines


@pytest.mark.parametrize("wrong", [[{}], [{"metric": "time", "unit": "s", "loss": 10**400, "blames": []}], 3])
def test_an_explanation_that_cannot_be_read_is_named(wrong):
    data = json.loads(json_report(report_of(EXPLAINED)))
    data["tests"][0]["explanation"]["metrics"] = wrong
    with pytest.raises(ReportUnreadable, match="explanation cannot be read"):
        read_report(json.dumps(data), "r.json")


def test_a_test_that_broke_is_told_from_one_with_a_reason():
    again = read_report(json_report(report_of(BROKEN)), "r.json")
    assert again.entries[0].comparison == BROKEN.comparison
    assert again.failed == 1


def test_a_strict_run_counts_what_is_unsettled_as_failed():
    report = report_of(replace(GREEN, comparison=Comparison("t", Verdict.INCONCLUSIVE)))
    assert report.failed == 0
    assert replace(report, settings={"strict": True}).failed == 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda data: data.update(schema=0), "schema is 0, expected 1"),
        (lambda data: data.update(mode="fast"), "mode is 'fast', expected one of"),
        (lambda data: data.update(machine=3), "machine is 3, expected an object"),
        (lambda data: data["tests"].append("x"), "expected a list of objects"),
        (lambda data: data["tests"].append(data["tests"][0]), "a test occurs twice"),
        (lambda data: data["tests"][0].update(verdict="bad"), "verdict is 'bad', expected one of"),
        (lambda data: data["tests"][0].update(seconds="1"), "seconds is '1', expected a number"),
        (lambda data: data["tests"][0].update(line=-1), "line is -1, expected a whole number"),
        (lambda data: data["tests"][0].update(record={"source": 1}), "iterations is None, expected an object"),
        (lambda data: data["tests"][0]["metrics"][0].update(interval=[1]), "expected two numbers"),
        (lambda data: data["tests"][0]["metrics"][0].update(candidate=None), "candidate is None, expected a number"),
        (
            lambda data: data["tests"][0]["metrics"][0]["samples"]["candidate"].update(minima=[]),
            "expected a list of numbers",
        ),
        (
            lambda data: data["tests"][0]["metrics"][0]["samples"]["candidate"].update(quantiles=[1]),
            "expected 7 quantiles",
        ),
        (lambda data: data["tests"][0]["metrics"][0]["samples"].update(log_ratios=["x"]), "expected a list of numbers"),
    ],
)
def test_a_broken_report_is_refused_with_what_is_wrong(change, problem):
    data = json.loads(json_report(report_of(RED)))
    change(data)
    with pytest.raises(ReportUnreadable, match="r.json") as caught:
        read_report(json.dumps(data), "r.json")
    assert problem in str(caught.value)
    assert "write it again" in str(caught.value)
    assert not isinstance(caught.value, BaselineUnreadable)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_read_or_refused(data):
    """No input causes a traceback."""
    with pytest.raises(ReportUnreadable):
        read_report(json.dumps(data), "r.json")


def test_a_report_of_a_later_version_is_named():
    text = json_report(report_of(RED)).replace('"schema": 1', '"schema": 2')
    with pytest.raises(ReportUnreadable, match="r.json:2: schema 2 is newer than this perfguard.*; upgrade perfguard"):
        read_report(text, "r.json")
