"""A metric that grew from nothing reads the same in every report."""

from __future__ import annotations

import math
import re

from pytest_perfguard.core.model import Comparison, Finding, Measurement, Verdict
from pytest_perfguard.engine.report.explain import describe_finding
from pytest_perfguard.engine.report.html import html_report
from pytest_perfguard.engine.report.json import json_report, read_report
from pytest_perfguard.engine.report.markdown import markdown_report
from pytest_perfguard.engine.report.packed import unpacked
from pytest_perfguard.engine.report.summary_table import TableStyle, by_file, table_rows
from pytest_perfguard.engine.report.text import leading_finding
from tests.engine.report.conftest import ReportedTest, report_of

GROWN = Finding("memory", "B", Verdict.REGRESSION, 5000.0, 0.0, limit=1024.0)
DOUBLED = Finding("memory:parse", "B", Verdict.REGRESSION, 5000.0, 2500.0, limit=3524.0)
TEST = ReportedTest(Comparison("t", Verdict.REGRESSION, (DOUBLED, GROWN), Measurement(processes=3)))


def test_its_change_is_infinite_and_it_leads_the_others():
    assert (GROWN.change, GROWN.ratio) == (math.inf, None)
    assert leading_finding(TEST.comparison, "memory") is GROWN


def test_every_report_says_from_nothing():
    assert "from nothing" in table_rows(by_file([TEST.comparison]), TableStyle("compare", 100))[-1].text
    assert "from nothing" in describe_finding(GROWN)
    assert "from nothing" in markdown_report(report_of(TEST))
    again = read_report(json_report(report_of(TEST)), "r.json")
    assert again.entries[0].comparison.findings[1].change == math.inf


def test_the_page_says_it_and_sorts_it_first():
    page = html_report(report_of(TEST))
    assert "<td>from nothing" in page
    data = unpacked(re.search(r'id="data">(.*?)</script>', page)[1])
    assert data["memory"] == [1e300]  # JSON lacks the infinite
