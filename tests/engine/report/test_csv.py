"""The report as CSV."""

from __future__ import annotations

import csv
from dataclasses import replace

from pytest_perfguard.core.model import Acceptance
from pytest_perfguard.engine.report.csv import COLUMNS, csv_report
from tests.engine.report.conftest import BROKEN, GREEN, RED, report_of


def read(*entries):
    return list(csv.DictReader(csv_report(report_of(*entries)).splitlines()))


def test_each_metric_of_a_test_has_a_row():
    time, memory = read(RED)
    assert tuple(time) == COLUMNS
    assert (time["test"], time["outcome"], time["metric"], time["unit"]) == (
        "tests/test_a.py::test_slow", "regression", "time", "s",
    )  # fmt: skip
    assert (float(time["value"]), float(time["baseline"]), float(time["ratio"])) == (2e-6, 1e-6, 2.0)
    assert (float(time["min"]), float(time["median"]), float(time["max"])) == (2e-6, 2.1e-6, 2.2e-6)
    assert (time["processes"], time["calls"], time["verdict"]) == ("2", "3", "regression")
    assert (memory["metric"], memory["min"]) == ("memory", "")


def test_an_accepted_regression_names_who_accepted_it():
    ada = Acceptance("tests", "time", 0.2, "Ada", "1a2b3c4")
    rows = read(replace(RED, comparison=replace(RED.comparison, accepted_by=(ada,))), BROKEN)
    assert [row["accepted"] for row in rows] == ["time up to 20%, by Ada in 1a2b3c4"] * 2 + [""]


def test_a_test_without_figures_has_a_row():
    (row,) = read(BROKEN)
    assert (row["outcome"], row["metric"], row["value"]) == ("broken", "", "")
    assert len(read(GREEN, BROKEN)) > 1
