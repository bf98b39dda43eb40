"""The HTML page as text; tests/engine/report/browser opens it."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from itertools import accumulate

import pytest
from hypothesis import given, settings

from pytest_perfguard.core.model import Acceptance, Finding, Verdict
from pytest_perfguard.engine.history.drift import Drift
from pytest_perfguard.engine.history.trends import HistoryPoint, LevelChange, Trend
from pytest_perfguard.engine.report import html as page
from pytest_perfguard.engine.report.explain import NEXT_STEPS
from pytest_perfguard.engine.report.interval_bar import interval_bar
from pytest_perfguard.engine.report.links import Origin
from pytest_perfguard.engine.report.markup import asset, escape
from pytest_perfguard.engine.report.packed import unpacked
from pytest_perfguard.engine.report.text import most_severe_first
from tests.engine.report.conftest import BROKEN, GREEN, PAIRED, RED, TIME, large_report, report_of, reports

POINTS = tuple(HistoryPoint(f"c{index}", "2026-01-01", 1e-6 * (1 + index)) for index in range(4))
TRACK = Trend(RED.nodeid, "linux", "time", "s", POINTS, (LevelChange(2, 1.5),), Drift(2.0, 1.5, drifted=True))


def data_in(text: str) -> dict:
    """The data that the page's script unpacks."""
    return unpacked(re.search(r'id="data">(.*?)</script>', text, re.DOTALL)[1])


def names_in(text: str) -> list[str]:
    """The names of the tests, in the order of the table."""
    rows = re.findall(r"^<tr class=[\w-]+><td>[^<]*<th>([^<]*)", text, re.MULTILINE)
    return [html.unescape(row.removesuffix("\n")) for row in rows]


def plots_in(text: str) -> dict:
    """The plots by node id."""
    return dict(zip(names_in(text), data_in(text)["plots"], strict=True))


def panel_in(text: str, nodeid: str) -> str:
    """The details of a test, wherever they are."""
    index = names_in(text).index(nodeid)
    return data_in(text)["panels"][index] or text.split("<tr class=panel>")[1 + index].split("\n<tr")[0]


def cells_of(text: str, nodeid: str) -> list[str]:
    """The cells of a test's row, without its verdict."""
    return re.search(rf"<th>{re.escape(html.escape(nodeid))}(.*)", text)[1].split("<tr")[0].rstrip().split("<td>")[1:]


def titles_in(text: str) -> list[str]:
    return [
        html.unescape(title).strip() for title in re.findall(r"<th scope=col>([^<]*)", text.partition("<tbody>")[0])
    ]


def test_what_got_worse_is_at_the_top():
    text = page.html_report(report_of(GREEN, BROKEN, RED))
    assert names_in(text) == [BROKEN.nodeid, RED.nodeid, GREEN.nodeid]
    assert "<title>perfguard: 1 broken, 1 regression, 1 unchanged</title>" in text
    assert titles_in(text) == ["verdict", "test", "time before", "now", "interval", "change", "memory"]
    assert cells_of(text, RED.nodeid) == ["1.00 us", "2.00 us", "1.9x to 2.1x", "2.0x", "+0.0 %"]
    assert "<td>1.9x to 2.1x<td>" in panel_in(text, RED.nodeid)


def test_what_grew_from_nothing_says_so():
    grown = replace(RED.comparison, findings=(replace(TIME, baseline=0.0, interval=None),))
    text = page.html_report(report_of(replace(RED, comparison=grown)))
    assert cells_of(text, RED.nodeid) == ["0 ns", "2.00 us", "from nothing"]


def test_a_reason_that_metrics_share_is_given_once():
    slow = replace(TIME, verdict=Verdict.INCONCLUSIVE, reason="the machine was slow", smallest=1.68)
    comparison = replace(RED.comparison, verdict=Verdict.INCONCLUSIVE, findings=(slow, replace(slow, name="cpu")))
    text = panel_in(page.html_report(report_of(replace(RED, comparison=comparison, lines=()))), RED.nodeid)
    assert text.count("the machine was slow") == 1
    assert "smallest slowdown this run could detect: 68 %" in text


def test_an_explanation_does_not_repeat_the_table():
    """Its first line, the reason and the next steps remain; without next steps, all of it."""
    lines = ("Slower.", "", "  time  1 us -> 2 us", "", "  base  main", "", NEXT_STEPS, "  pytest x")
    text = panel_in(page.html_report(report_of(replace(RED, lines=lines))), RED.nodeid)
    assert f"<pre>Slower.\n\n{NEXT_STEPS}\n  pytest x</pre>" in text
    assert "<pre>Slower than its baseline.\n\n  time" in panel_in(page.html_report(report_of(RED)), RED.nodeid)


def test_what_concerns_the_whole_run_stands_under_the_heading():
    text = page.html_report(replace(report_of(GREEN), complete=False, notes=("<b> & both arms are the same",)))
    assert '</h1><p class="remark">The run was interrupted: tests are missing.</p>' in text
    assert '<p class="remark">&lt;b&gt; &amp; both arms are the same</p>' in text


def test_the_origin_is_named_and_linked():
    origin = Origin("shop", "https://github.com/o/shop", "https://github.com/o/shop/actions/runs/1", "sub")
    text = page.html_report(replace(report_of(RED), origin=origin, commit="def4561"))
    assert '<h1><a href="https://github.com/o/shop">shop</a>: compared with perf-baseline.json</h1>' in text
    assert '<a href="https://github.com/o/shop/commit/def4561">def4561</a>' in text
    assert '<a href="https://github.com/o/shop/actions/runs/1">CI run</a>' in text
    assert '<a href="https://github.com/o/shop/blob/def4561/sub/tests/test_a.py#L12">tests/test_a.py:12</a>' in text


def test_an_accepted_regression_is_marked():
    accepted = replace(RED.comparison, accepted_by=(Acceptance("tests", "time", 0.2, "Ada", "1a2b3c4"),))
    assert "<td>regression, accepted<th>" in page.html_report(report_of(replace(RED, comparison=accepted)))


def test_nothing_is_fetched_from_anywhere():
    """Links lead away only where the reader follows them."""
    text = page.html_report(large_report(3))
    markup = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"src\s*=|<link|url\(|@import", markup)
    assert set(re.findall(r"<(\w+)[^>]*\shref=", markup)) == {"a"}


def test_plots_show_both_sides_and_the_pairs_and_a_picture_the_history():
    pairs = replace(PAIRED, sides=page_sides())
    text = page.html_report(report_of(RED, pairs), [TRACK])
    plots, pictures = plots_in(text), dict(zip(names_in(text), data_in(text)["pictures"], strict=True))
    assert [plot["kind"] for plot in plots[RED.nodeid]] == ["sides"]
    assert [plot["kind"] for plot in plots[pairs.nodeid]] == ["pairs", "sides"]
    assert pictures[pairs.nodeid] == ""
    assert "time: 4 recordings" in pictures[RED.nodeid]
    assert ">+50.0 %</text>" in pictures[RED.nodeid]


def test_amounts_are_packed_as_steps_and_stay_accurate():
    """To a fiftieth of their spread."""
    plot = plots_in(page.html_report(large_report(1)))[large_report(1).entries[0].nodeid][1]
    sides = large_report(1).entries[0].sides["time"]
    for side, stats in zip(plot["sides"], (sides.baseline, sides.candidate), strict=True):
        values = [plot["first"] + steps * plot["step"] for steps in accumulate(side["minima"])]
        exact = [value * {"us": 1e6, "ns": 1e9, "ms": 1e3}[plot["unit"]] for value in sorted(stats.minima)]
        assert values == pytest.approx(exact, abs=plot["step"])


@pytest.mark.parametrize(("ratio", "factors", "allowed"), [(2.0, True, 1.05), (1.5, False, 5.0)])
def test_the_pairs_are_drawn_on_the_scale_of_the_estimate(ratio, factors, allowed):
    time = replace(TIME, estimated_ratio=ratio)
    pairs = replace(PAIRED, comparison=replace(PAIRED.comparison, findings=(time,)), sides=page_sides())
    plot = plots_in(page.html_report(report_of(pairs)))[pairs.nodeid][0]
    assert plot["factors"] is factors
    assert plot["allowed"] == pytest.approx(allowed)
    assert plot["changes"] == pytest.approx([1.915, 1.909] if factors else [91.5, 90.9])


def page_sides():
    from pytest_perfguard.engine.report.document import sides_of

    return sides_of(PAIRED.comparison, None)


@settings(max_examples=30)
@given(reports)
def test_whatever_tests_are_called_the_page_holds_together(report):
    """No name, reason or detail can end an element that it stands in."""
    text = page.html_report(report)
    assert text.count("<script") == text.count("</script>") == 3
    assert text.count("<noscript") == 1
    assert names_in(text) == [escape_shown(name) for name in names_in_order(report)]
    assert len(data_in(text)["panels"]) == len(report.entries)


def names_in_order(report):
    return [entry.nodeid for entry in most_severe_first(report.entries, key=lambda entry: entry.comparison)]


def escape_shown(name):
    return html.unescape(escape(name))


def test_a_hostile_name_is_only_a_name():
    name = "test_x[</script><script>alert(1)</script>@@script@@\x1b[31m]"
    text = page.html_report(report_of(replace(RED, comparison=replace(RED.comparison, nodeid=name))))
    assert "<script>alert" not in text
    assert "\x1b" not in text
    assert "@@script@@" in text


@pytest.mark.parametrize(("ratio", "place"), [(1.0, 50.0), (2.0, 97.0), (0.5, 3.0), (50.0, 97.0), (2**0.5, 73.5)])
def test_the_interval_is_drawn_on_a_logarithmic_axis_from_half_to_twice(ratio, place):
    assert interval_bar(replace(TIME, estimated_ratio=ratio, interval=None, limit=None)) == [place, 1.0, place]


def test_the_bar_shows_what_is_allowed():
    assert interval_bar(TIME) == [93.5, 3.5, 97.0, 53.3]
    assert interval_bar(replace(TIME, baseline=None)) == []


@pytest.mark.parametrize("mode", ["against", "measure"])
def test_two_hundred_tests_with_plots_fit_into_a_hundred_kilobytes(mode):
    assert len(page.html_report(large_report(200, mode=mode))) < 100_000


def test_the_same_report_is_the_same_page():
    """So that a page that is published again does not change without a reason."""
    assert page.html_report(large_report(3)) == page.html_report(large_report(3))


def test_columns_without_values_are_left_out():
    text = page.html_report(large_report(2, mode="measure"))
    assert titles_in(text) == ["verdict", "test", "time", "CPU time", "memory"]
    panel = panel_in(text, names_in(text)[0])
    assert re.findall(r"<th scope=col>([^<]*)", panel) == ["metric", "now"]
    assert titles_in(page.html_report(report_of(GREEN))) == [
        "verdict",
        "test",
        "time before",
        "now",
        "interval",
        "change",
    ]


def test_counts_have_a_column_beside_times_and_name_their_own():
    finding = Finding("instructions", "instructions", None, 757_000.0)
    counted = replace(GREEN, comparison=replace(GREEN.comparison, verdict=None, findings=(finding,)))
    text = page.html_report(report_of(counted, mode="measure"))
    assert titles_in(text) == ["verdict", "test", "instructions"]
    both = replace(
        counted, comparison=replace(counted.comparison, findings=(replace(TIME, verdict=None, baseline=None), finding))
    )
    text = page.html_report(report_of(both, mode="measure"))
    assert titles_in(text) == ["verdict", "test", "time", "instructions"]


def test_the_most_severe_tests_can_be_read_without_a_script():
    text = page.html_report(report_of(RED, GREEN))
    assert text.count("<tr class=panel>") == 1
    assert "<pre>Slower than its baseline." in text
    assert data_in(text)["panels"][0] == ""


def test_the_verdicts_words_are_styled():
    style = asset("page.css")
    assert all(f".{word}" in style for word in (*map(str, Verdict), "broken", "measured"))


def test_a_page_without_tests_states_it():
    assert "There is no test." in page.html_report(report_of())
