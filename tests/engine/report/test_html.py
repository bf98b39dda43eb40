"""The HTML page as text; tests/engine/report/browser opens it."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings

from pytest_perfguard.core.model import Verdict
from pytest_perfguard.engine.history.drift import Drift
from pytest_perfguard.engine.history.trends import HistoryPoint, LevelChange, Trend
from pytest_perfguard.engine.report import html as page
from pytest_perfguard.engine.report.html import interval_bar
from tests.engine.report.conftest import BROKEN, GREEN, PAIRED, RED, TIME, report_of, reports

POINTS = tuple(HistoryPoint(f"c{index}", "2026-01-01", 1e-6 * (1 + index)) for index in range(4))
TRACK = Trend(RED.nodeid, "linux", "time", "s", POINTS, (LevelChange(2, 1.5),), Drift(2.0, 1.5, drifted=True))


def plots_in(text: str) -> dict:
    """The plots by node id."""
    plots = json.loads(re.search(r'id="plots">(.*?)</script>', text, re.DOTALL)[1])
    rows = re.findall(r'data-index="(\d+)" data-nodeid="([^"]*)"', text)
    return {html.unescape(nodeid): plots[int(index)] for index, nodeid in rows}


def test_what_got_worse_is_at_the_top():
    text = page.html_report(report_of(GREEN, BROKEN, RED))
    places = [text.index(f'data-nodeid="{entry.nodeid}"') for entry in (BROKEN, RED, GREEN)]
    assert places == sorted(places)
    assert "<h1>1 broken, 1 regression, 1 unchanged</h1>" in text
    assert "1.00 us → 2.00 us" in text
    assert '<span class="change">2.0x</span>' in text
    assert "<td>1.9x to 2.1x</td>" in text


def test_what_grew_from_nothing_says_so():
    grown = replace(RED.comparison, findings=(replace(TIME, baseline=0.0, interval=None),))
    assert '<span class="change">from nothing</span>' in page.html_report(report_of(replace(RED, comparison=grown)))


def test_a_reason_that_metrics_share_is_given_once():
    slow = replace(TIME, verdict=Verdict.INCONCLUSIVE, reason="the machine was slow", smallest=1.68)
    comparison = replace(RED.comparison, findings=(slow, replace(slow, name="cpu")))
    text = page.html_report(report_of(replace(RED, comparison=comparison, lines=())))
    assert text.count("the machine was slow") == 1
    assert "smallest slowdown this run could detect: 68 %" in text


def test_what_concerns_the_whole_run_stands_under_the_heading():
    text = page.html_report(replace(report_of(GREEN), complete=False, notes=("<b> & both arms are the same",)))
    assert '</h1><p class="remark">The run was interrupted: tests are missing.</p>' in text
    assert '<p class="remark">&lt;b&gt; &amp; both arms are the same</p>' in text


def test_nothing_is_fetched_from_anywhere():
    text = page.html_report(report_of(RED))
    markup = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"(src|href)\s*=|url\(|@import", markup)


def test_plots_show_both_sides_the_pairs_and_the_history():
    pairs = replace(PAIRED, sides=page_sides())
    plots = plots_in(page.html_report(report_of(RED, pairs), [TRACK]))
    assert [plot["kind"] for plot in plots[RED.nodeid]] == ["sides", "track"]
    assert [plot["kind"] for plot in plots[pairs.nodeid]] == ["pairs", "sides"]
    assert plots[RED.nodeid][1]["steps"] == [{"index": 2, "worse": True, "text": "+50.0 %"}]


@pytest.mark.parametrize(
    ("ratio", "axis", "allowed", "text"), [(2.0, "now / before", 1.05, "1.9x"), (1.5, "change in %", 5.0, "+90.9 %")]
)
def test_the_pairs_are_drawn_on_the_scale_of_the_estimate(ratio, axis, allowed, text):
    time = replace(TIME, estimated_ratio=ratio)
    pairs = replace(PAIRED, comparison=replace(PAIRED.comparison, findings=(time,)), sides=page_sides())
    plot = plots_in(page.html_report(report_of(pairs)))[pairs.nodeid][0]
    assert (plot["axis"], plot["texts"][1]) == (axis, text)
    assert plot["allowed"] == pytest.approx(allowed)


def page_sides():
    from pytest_perfguard.engine.report.document import sides_of

    return sides_of(PAIRED.comparison, None)


@settings(max_examples=30)
@given(reports)
def test_whatever_tests_are_called_the_page_holds_together(report):
    """No name, reason or detail can end an element that it stands in."""
    text = page.html_report(report)
    assert text.count("<script") == text.count("</script>") == 3
    assert text.count("<details") == text.count("</details>") == len(report.entries)
    assert len(plots_in(text)) == len(report.entries)


def test_a_hostile_name_is_only_a_name():
    name = "test_x[</script><script>alert(1)</script>@@script@@\x1b[31m]"
    text = page.html_report(report_of(replace(RED, comparison=replace(RED.comparison, nodeid=name))))
    assert "<script>alert" not in text
    assert "\x1b" not in text
    assert "@@script@@" in text


@pytest.mark.parametrize(("ratio", "x"), [(1.0, 100.0), (2.0, 194.0), (0.5, 6.0), (50.0, 194.0), (2**0.5, 147.0)])
def test_the_interval_is_drawn_on_a_logarithmic_axis_from_half_to_twice(ratio, x):
    bar = interval_bar(replace(TIME, estimated_ratio=ratio, interval=None, limit=None))
    assert f'cx="{x}"' in bar
    assert "allowed" not in bar


def test_the_bar_shows_what_is_allowed():
    assert 'class="allowed" x1="106.6"' in interval_bar(TIME)
    assert "<title>2.0x slower (interval 1.9x to 2.1x), allowed 1.1x</title>" in interval_bar(TIME)
    assert interval_bar(replace(TIME, baseline=None)) == ""


def test_two_hundred_tests_with_plots_fit_into_few_kilobytes():
    pairs = replace(PAIRED, sides=page_sides())
    entries = [replace(pairs, comparison=replace(PAIRED.comparison, nodeid=f"test_a.py::test_{i}")) for i in range(200)]
    assert len(page.html_report(report_of(*entries))) < 500_000


def test_columns_of_a_comparison_stand_only_where_something_was_compared():
    assert 'class="columns compared"' in page.html_report(report_of(RED))
    alone = replace(GREEN.comparison, findings=tuple(replace(f, baseline=None) for f in GREEN.comparison.findings))
    assert 'class="columns measured"' in page.html_report(report_of(replace(GREEN, comparison=alone)))


def test_the_verdicts_words_are_styled():
    style = page._asset("page.css")
    assert all(f".{word}" in style for word in (*map(str, Verdict), "broken", "measured"))
